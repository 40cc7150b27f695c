"""What an image's entry point adds to what was said, and what its help tells."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dure.cli.container import gateway_settings, serve
from dure.spec import GatewaySpec


def test_everything_is_on_one_port_of_all_addresses() -> None:
    spec = GatewaySpec(**gateway_settings({}))
    assert spec.ports == {"http": 8080, "websocket": 8080, "grpc": 8080}
    assert (spec.host, spec.insecure, spec.shares_port) == ("0.0.0.0", True, True)


def test_what_was_said_counts() -> None:
    assert GatewaySpec(**gateway_settings({"protocol": ("grpc",)})).ports == {"grpc": 8080}
    assert gateway_settings({"port": (8080, 8080, 8081)})["port"] == [8080, 8080, 8081]
    assert "insecure" not in gateway_settings({"keys_file": "/keys.json"})


def test_help_begins_with_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from dure import Executor, requests\n\nclass Hand(Executor):\n    @requests(on='/wave')\n"
        "    def wave(self, docs, **kwargs):\n        '''Wave to every document.'''\n"
    )
    (tmp_path / "executor.py").write_text(code, encoding="utf-8")
    about = "jtype: Hand\nmetas: {description: Waves., py_modules: [executor.py]}\n"
    (tmp_path / "config.yml").write_text(about, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(serve, ["--help"], prog_name="x").output
    assert "Hand: Waves." in said
    assert "/wave   Wave to every document." in said
    assert "curl localhost:8080/wave" in said
    assert "--volumes" not in said, "means nothing inside of a container"


def test_a_bundle_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yml").write_text("jtype: Nobody\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(serve, ["--help"]).output
    assert "cannot be read: dure.errors.SpecError: uses: no class 'Nobody'" in said
    assert "Ports:" in said
