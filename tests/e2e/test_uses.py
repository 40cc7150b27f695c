"""Every way to name an Executor, and every way to say how it is made."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from dure import Document, DocumentArray, Executor, Flow, requests
from dure.device.probe import inventory
from dure.errors import DeviceNotFound, EndpointNotFound, SpecError
from tests.e2e.programs import program

HELLO = '''
from dure import Executor, requests
from neighbour import GREETING

class Hello(Executor):
    """Greets."""

    def __init__(self, mark='!', **kwargs):
        super().__init__(**kwargs)
        self.mark = mark

    @requests(on='/hello')
    def hello(self, docs, **kwargs):
        for doc in docs:
            doc.text = f'{GREETING} {doc.text}{self.mark}'
            doc.tags = {'name': getattr(self.metas, 'name', None), 'runs as': self.runtime_args.name}

    def other(self, docs, **kwargs):
        docs.texts = ['other'] * len(docs)
'''
CONFIG = """
jtype: Hello
with:
  mark: '?'
metas:
  name: a name
  description: greets
requests:
  /greet: hello
py_modules:
  - executor.py
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "한글 폴더"
    folder.mkdir()
    (folder / "executor.py").write_text(HELLO)
    (folder / "neighbour.py").write_text("GREETING = '안녕'\n", encoding="utf-8")
    (folder / "config.yml").write_text(CONFIG)
    return folder


def answer(uses: Any, endpoint: str = "/hello", **settings: Any) -> Document:
    with Flow().add(uses=uses, timeout_ready_s=20, **settings) as flow:
        (found,) = flow.post(endpoint, "x")
        return found


def test_a_file(bundle: Path) -> None:
    assert answer(str(bundle / "executor.py")).text == "안녕 x!"
    assert answer(bundle / "executor.py").text == "안녕 x!"


def test_a_class_in_a_file_of_several(bundle: Path) -> None:
    with (bundle / "executor.py").open("a") as file:
        file.write("\n\nclass Louder(Hello):\n    def __init__(self):\n        super().__init__(mark='!!!')\n")
    assert answer(f"{bundle / 'executor.py'}:Louder").text == "안녕 x!!!"
    with pytest.raises(SpecError, match=r"must define exactly one Executor, or say which.*Hello, Louder"):
        answer(str(bundle / "executor.py"))
    with pytest.raises(SpecError, match=r"no Executor 'Loudr' there\. Did you mean 'Louder'"):
        answer(f"{bundle / 'executor.py'}:Loudr")


@pytest.mark.parametrize("name", ["", "config.yml"])
def test_a_bundle(bundle: Path, name: str) -> None:
    found = answer(str(bundle / name), "/greet", name="greeter")
    assert found.text == "안녕 x?"
    assert found.tags == {"name": "a name", "runs as": "greeter"}


def test_a_relative_path(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle)
    assert answer("executor.py").text == "안녕 x!"
    assert answer("config.yml", "/greet").text == "안녕 x?"


def test_what_the_flow_says_goes_over_the_config(bundle: Path) -> None:
    assert answer(str(bundle), "/greet", uses_with={"mark": "."}).text == "안녕 x."
    assert answer(str(bundle), "/greet", uses_requests={"/greet": "other"}).text == "other"


def test_a_dotted_name_and_py_modules(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle / "package").mkdir()
    (bundle / "package" / "module.py").write_text(HELLO)
    monkeypatch.syspath_prepend(str(bundle))
    assert answer("package.module.Hello").text == "안녕 x!"
    assert answer("Hello", py_modules=[str(bundle / "executor.py")]).text == "안녕 x!"


def test_a_class_within_a_function_with_what_it_closes_over() -> None:
    word = "closed over"

    class Local(Executor):
        @requests
        def say(self, docs: DocumentArray, **kwargs: Any) -> None:
            docs[0].text = word

    assert answer(Local).text == word


def test_a_class_of_the_program_itself_without_a_guard(tmp_path: Path) -> None:
    source = """
    from dure import Document, Executor, Flow, requests

    def shout(text):
        return text.upper() + MARK

    MARK = '!'

    class Base(Executor):
        def __init__(self, times=1, **kwargs):
            super().__init__(**kwargs)
            self.times = times

    class Shout(Base):
        @requests(on='/shout')
        def shout(self, docs, **kwargs):
            docs.texts = [shout(text) * self.times for text in docs.texts]

    f = Flow().add(uses=Shout, uses_with={'times': 2})
    with f:
        print(f.post('/shout', inputs=[Document(text='안녕 hello')]).texts)
    """
    with program(tmp_path, textwrap.dedent(source)) as running:
        assert running.wait() == 0, running.said()
        assert "['안녕 HELLO!안녕 HELLO!']" in running.said()
        assert running.said().count("Flow is ready") == 1, "the worker ran the program again"


def test_the_program_on_standard_input() -> None:
    source = """
from dure import Executor, Flow, requests
class One(Executor):
    @requests
    def one(self, docs, **kwargs):
        docs.texts = ['one'] * len(docs)
with Flow().add(uses=One) as f:
    print(f.post('/', 'x').texts)
"""
    run = subprocess.run([sys.executable, "-"], input=source, capture_output=True, text=True, timeout=30)
    assert run.stdout.splitlines()[-1] == "['one']", run.stderr


class Settings(Executor):
    def __init__(self, device: str = "cpu", value: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device, self.value = device, value

    @requests(on="/first")
    def first(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].text = f"first {self.device} {self.value} {os.environ.get('MY_VARIABLE')} {self.runtime_args.name}"

    @requests(on="/second")
    def second(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].text = "second"


class Sized:
    """Something that only pickle knows how to send."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __str__(self) -> str:
        return f"of size {self.size}"


def test_settings_of_one_executor() -> None:
    flow = Flow(env={"MY_VARIABLE": "of the flow"})
    flow = flow.add(uses=Settings, name="a", device="cpu", uses_with={"value": Sized(3)}, timeout_ready_s=20)
    flow = flow.add(uses=Settings, name="b", env={"MY_VARIABLE": "its own"}, needs="gateway")
    with flow:
        assert flow.post("/first", Document(id="x"), request_size=1)[0].text == "first cpu None its own b"
    with Flow(env={"MY_VARIABLE": "of the flow"}).add(uses=Settings, name="a", uses_with={"value": Sized(3)}) as flow:
        assert flow.post("/first", "x")[0].text == "first cpu of size 3 of the flow a"


def test_uses_requests_binds_anew() -> None:
    with Flow().add(uses=Settings, uses_requests={"/other": "second", "/third": "second"}, timeout_ready_s=20) as flow:
        assert flow.post("/other", "x").texts == flow.post("/third", "x").texts == ["second"]
        assert flow.post("/first", "x")[0].text.startswith("first")
        with pytest.raises(EndpointNotFound, match="no Executor of this Flow answers '/second'"):
            flow.post("/second", "x")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"uses_with": {"devise": "cpu"}}, r"uses_with\.devise: .*Did you mean 'device'"),
        ({"uses_requests": {"/x": "secnd"}}, r"Settings has no method 'secnd'.*Did you mean 'second'"),
        ({"replica": 2}, r"executors\[0\]\.replica: unknown setting 'replica'.*Did you mean 'replicas'"),
        ({"replicas": 0}, r"executors\[0\]\.replicas: .*>= 1"),
        ({"replicas": "2"}, r"executors\[0\]\.replicas: .*Given was '2'"),
        ({"name": "no identifier"}, r"executors\[0\]\.name: must be a Python identifier"),
        ({"name": "gateway"}, r"executors\[0\]\.name"),
        ({"needs": "nobody"}, r"executors\[0\]\.needs: .*'nobody', which is not in this Flow"),
        ({"needs": []}, r"executors\[0\]\.needs: is empty"),
        ({"py_modules": ["nowhere.py"]}, r"there is no file .*nowhere\.py"),
        ({"device": "gpu:x"}, "gpu:x"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_setting_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecError, DeviceNotFound), match=message):
        answer(Settings, "/first", **settings)


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        ("no.such.module.Class", "there is no module 'no'"),
        ("json.NoSuchClass", "has no 'NoSuchClass'"),
        ("json.JSONDecoder", "not a subclass of dure.Executor"),
        ("Nothing", "no class 'Nothing'"),
        ("nowhere.py", "there is no file 'nowhere.py'"),
        ("nowhere.yml", "nowhere.yml: cannot be read"),
        ("ftp://Encoder", "cannot fetch from ftp://"),
        (int, "not a subclass of dure.Executor"),
        (3, "must be a class, name, file or folder"),
    ],
    ids=str,
)
def test_what_is_no_executor_is_told(uses: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        answer(uses)


def test_what_cannot_be_handed_to_another_process_is_told() -> None:
    with pytest.raises(SpecError, match=r"executor0\.uses_with: cannot be handed to another process: TypeError"):
        answer(Settings, uses_with={"value": sys.stdout})


def test_a_gpu_that_is_not_there() -> None:
    if inventory().gpus:
        pytest.skip("this machine has a GPU")
    for settings in ({"device": "cuda"}, {"uses_with": {"device": "cuda:3"}}):
        with pytest.raises(DeviceNotFound, match="GPU"):
            answer(Settings, "/first", **settings)
