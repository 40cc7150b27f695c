"""The page at /, in a real browser: what it shows, in both languages, by keyboard, and that it asks nobody else."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure import DocumentArray, Executor, Flow, requests

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"]


class Cook(Executor):
    @requests(on="/cook")
    def cook(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        """Cook."""
        for doc in docs:
            if doc.text == "burn":
                raise ValueError("<b>too hot</b>")
            doc.text = (doc.text or doc.blob.decode()).upper() * int(parameters.get("times", 1))

    @requests(on="/mark")
    def mark(self, docs: DocumentArray) -> None:
        """Mark what is written in capitals, as a tagger does."""
        for doc in docs:
            found = re.finditer(r"[A-Z<>]+", doc.text)
            doc.tags["entities"] = [
                {"start": part.start(), "end": part.end(), "type": "LOUD", "text": part[0], "score": 0.5}
                for part in found
            ]


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    flow = Flow(protocol="http").add(uses=Cook, name="wash", timeout_ready_s=20)
    with flow.add(uses=Cook, name="fry", replicas=2, timeout_ready_s=20) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, flow: Flow) -> Iterator[Any]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1200, "height": 1000})
    opened = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    opened.goto(f"http://127.0.0.1:{flow.port}/")
    playwright.expect(opened.locator("#state")).to_have_text("ready")
    yield opened
    assert all(url.startswith((f"http://127.0.0.1:{flow.port}/", "data:")) for url in asked), asked
    assert faults == []
    context.close()


def test_it_shows_the_flow_and_what_it_does(page: Any, flow: Flow) -> None:
    flow.post("/cook", ["a"] * 40, request_size=1)
    rows = page.locator("#executors tr")
    playwright.expect(rows).to_have_count(2)
    playwright.expect(rows.nth(1)).to_contain_text("fry")
    playwright.expect(rows.nth(1).locator(".chip")).to_have_count(2)
    playwright.expect(page.locator("#graph svg title")).to_have_text("The Flow: gateway → wash; wash → fry")
    playwright.expect(page.locator("#rate")).not_to_have_text("")
    flow.post("/cook", ["a"] * 40, request_size=1)
    playwright.expect(page.locator("#rate")).to_have_text(re.compile(r"[1-9]"))
    if "DURE_SCREENSHOT" in os.environ:
        page.screenshot(path=os.environ["DURE_SCREENSHOT"])


def test_an_endpoint_can_be_tried_by_keyboard_alone(page: Any) -> None:
    page.locator("#endpoint").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("many hands")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type('{"times": 2}')
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#took")).to_contain_text("200")
    playwright.expect(page.locator("#answer")).to_contain_text("MANY HANDSMANY HANDS" * 2)


def test_entities_are_marked(page: Any) -> None:
    page.locator("#endpoint").select_option("/mark")
    page.locator("#text").fill("🙂 take a LADLE of 국 and <B>\nnothing")
    page.get_by_role("button", name="Send").click()
    lines = page.locator("#marked p")
    playwright.expect(lines).to_have_count(2)
    playwright.expect(lines.nth(0).locator("mark")).to_have_text(["LADLE LOUD", "<B> LOUD"])
    playwright.expect(lines.nth(0)).to_have_text("🙂 take a LADLE LOUD of 국 and <B> LOUD")
    playwright.expect(lines.nth(1)).to_have_text("nothing")
    if "SCREENSHOT_MARKED" in os.environ:
        page.screenshot(path=os.environ["SCREENSHOT_MARKED"], full_page=True)
    page.locator("#endpoint").select_option("/cook")
    page.get_by_role("button", name="Send").click()
    playwright.expect(page.locator("#answer")).to_contain_text("LADLE")
    playwright.expect(lines).to_have_count(0)


def test_a_file_can_be_sent(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "한.bin"
    file.write_bytes(b"rice")
    page.locator("#file").set_input_files(str(file))
    page.get_by_role("button", name="Send").click()
    playwright.expect(page.locator("#answer")).to_contain_text("RICE")
    playwright.expect(page.locator("#answer")).to_contain_text("한.bin")


def test_errors_are_shown_as_text(page: Any, flow: Flow) -> None:
    assert flow.post("/cook", "burn", continue_on_error=True).error is not None
    shown = page.locator("#errors li").first
    playwright.expect(shown).to_contain_text("<b>too hot</b>")
    playwright.expect(shown.locator("code")).to_have_text("executor")


def test_it_speaks_korean_and_keeps_to_it(page: Any) -> None:
    page.get_by_role("button", name="한국어").click()
    playwright.expect(page.locator("html")).to_have_attribute("lang", "ko")
    playwright.expect(page.get_by_role("heading", name="최근 오류")).to_be_visible()
    page.reload()
    playwright.expect(page.locator("#state")).to_have_text("준비됨")


def test_every_control_has_a_name_and_both_colours_can_be_read(page: Any) -> None:
    for role in ("button", "textbox", "combobox"):
        for control in page.get_by_role(role).all():
            assert control.evaluate("one => (one.labels && one.labels.length) || one.textContent.trim()")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        paper, ink = page.evaluate(
            "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color] }"
        )
        assert contrast(paper, ink) > 7


def contrast(one: str, other: str) -> float:
    """Return the ratio of WCAG 2 between two colours written `rgb(r, g, b)`."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_page_about_endpoints_works_offline(browser: Any, flow: Flow) -> None:
    context = browser.new_context()
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(f"http://127.0.0.1:{flow.port}/docs")
    playwright.expect(opened.locator(".opblock-summary-path").first).to_have_text(re.compile("/cook"))
    assert faults == []
    context.close()


def test_it_can_be_left_out() -> None:
    from tests.e2e.doors import post

    with Flow(protocol="http", page=False).add(uses=Cook, name="fry", timeout_ready_s=20) as flow:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", flow.port, timeout=10)
        connection.request("GET", "/live.json")
        assert connection.getresponse().status in (404, 405)
        connection.close()
        assert post(flow.port, "/cook", {"data": ["a"]})[0] == 200
