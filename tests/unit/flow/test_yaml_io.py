"""A Flow as YAML and back, and where a file is wrong."""

from pathlib import Path

import pytest

from dure.errors import SpecError
from dure.executor.base import Executor
from dure.flow.flow import Flow


class Named(Executor):
    """Found by its name."""


def full() -> Flow:
    flow = Flow(port=12345, host="0.0.0.0", name="all", env={"A": "1"}, max_request_bytes=1000)
    flow = flow.add(
        uses=f"{__name__}.Named", name="first", uses_with={"size": 3, "rate": 1.0, "이름": ["가", {"b": None}]}
    )
    flow = flow.add(uses="executor.py", replicas=2, needs="gateway", batching={"max_batch_size": 8}, env={"B": "2"})
    flow = flow.add(uses="a.b.C", uses_requests={"/x": "y"}, py_modules=["m.py"], timeout_ready_s=5)
    return flow.needs_all(uses="a.Joiner")


def test_round_trip(tmp_path: Path) -> None:
    flow = full()
    text = flow.save_config()
    assert Flow.load_config(text) == flow
    assert Flow.load_config(text).save_config() == text
    path = tmp_path / "flow.yml"
    assert flow.save_config(path) == text
    assert path.read_text(encoding="utf-8") == text
    assert "이름" in text


def test_only_what_differs_is_written() -> None:
    assert Flow().save_config() == "jtype: Flow\nexecutors: []\n"
    text = Flow().add(uses="a.B", name="x").save_config()
    assert text == "jtype: Flow\nexecutors:\n- uses: a.B\n  name: x\n  needs:\n  - gateway\n"


def test_the_same_words_as_in_python() -> None:
    text = """
jtype: Flow
version: '1'
with:
  port: 12345
  host: 0.0.0.0
  name: all
  env: {A: '1'}
  protocol: GRPC
executors:
  - {uses: a.B, name: first, replicas: 2}
  - {uses: a.C, needs: gateway, uses_with: {device: cpu}}
  - {uses: a.D, needs: [first, executor1]}
  - {uses: a.E}
"""
    flow = Flow(port=12345, host="0.0.0.0", name="all", env={"A": "1"}).add(uses="a.B", name="first", replicas=2)
    flow = flow.add(uses="a.C", needs="gateway", uses_with={"device": "cpu"})
    assert Flow.load_config(text) == flow.add(uses="a.D", needs=["first", "executor1"]).add(uses="a.E")


def test_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "executor.py").touch()
    (tmp_path / "bundle").mkdir()
    path = tmp_path / "flow.yml"
    path.write_text(
        "executors:\n"
        "  - {uses: executor.py, py_modules: a.py}\n"
        "  - {uses: 'executor.py:Class'}\n"
        "  - {uses: bundle}\n"
        "  - {uses: package.module.Class}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.chdir("/")
    specs = Flow.load_config(path).spec.executors
    assert [spec.uses for spec in specs] == [
        f"{tmp_path}/executor.py",
        f"{tmp_path}/executor.py:Class",
        f"{tmp_path}/bundle",
        "package.module.Class",
    ]
    assert specs[0].py_modules == [f"{tmp_path}/a.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jtype: Flow\nexecutors: [\n", r":3:1: broken YAML"),
        ("jtype: Executor\n", r": jtype: must be Flow, not 'Executor'"),
        ("executor:\n  - {uses: a.B}\n", r": executor: unknown setting\. Did you mean 'executors'"),
        ("with: [1]\n", r": with: must be a mapping, not \[1\]"),
        ("with: {prot: 3}\n", r"\.prot: unknown setting 'prot'\. Did you mean 'port'"),
        ("with: {port: none}\n", r"\.port: Expected `int \| array`, got `str`"),
        ("with: {protocol: [grpc, soap]}\n", r"protocol 'soap' is unknown"),
        ("executors: {a: b}\n", r": executors: must be a list"),
        ("executors: [text]\n", r": executors\[0\]: must be a mapping with `uses`, not 'text'"),
        ("executors: [{name: a}]\n", r": executors\[0\]: .*missing required field `uses`"),
        ("executors: [{uses: a.B, replica: 2}]\n", r": executors\[0\]\.replica: .*Did you mean 'replicas'"),
        ("executors: [{uses: a.B}, {uses: a.C, replicas: many}]\n", r": executors\[1\]\.replicas: .*Given was 'many'"),
        ("executors: [{uses: a.B, py_modules: 3}]\n", r": executors\[0\]\.py_modules: Expected `array`"),
        ("executors: [{uses: a.B, py_modules: null}]\n", r": executors\[0\]\.py_modules: "),
        ("executors: [{uses: a.B, needs: nobody}]\n", r"executors\[0\]\.needs: .*'nobody', which is not in this Flow"),
        ("executors: [{uses: a.B, needs: []}]\n", r"executors\[0\]\.needs: is empty"),
        ("executors: [{uses: a.B, name: a, needs: b}, {uses: a.B, name: b, needs: a}]\n", "a cycle in needs"),
        ("executors: [{uses: '${{ ENV.NO_SUCH_VARIABLE }}'}]\n", "no variable 'NO_SUCH_VARIABLE'"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "flow.yml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        Flow.load_config(path)
    if "needs" not in text:  # which is seen only when all is read
        assert str(caught.value).startswith(str(path))


def test_a_class_is_written_by_its_name() -> None:
    text = Flow().add(uses=Named).save_config()
    assert Flow.load_config(text).spec.executors[0].uses == f"{__name__}.Named"


def test_what_yaml_has_no_word_for() -> None:
    with pytest.raises(SpecError, match="cannot be written as YAML"):
        Flow().add(uses="a.B", uses_with={"model": object()}).save_config()


def test_a_class_nobody_finds_by_name() -> None:
    class Local(Executor): ...

    with pytest.raises(SpecError, match=r"executors\[0\]\.uses: .*Local is defined in .*where no other process"):
        Flow().add(uses=Local).save_config()


def test_files_of_the_gateway_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flow.yml"
    path.write_text("jtype: Flow\nwith: {keys_file: keys.json, tls_cert: a.pem, tls_key: /b.key, cors_origins: '*'}\n")
    spec = Flow.load_config(path).spec.gateway
    assert (spec.keys_file, spec.tls_cert, spec.tls_key) == (f"{tmp_path}/keys.json", f"{tmp_path}/a.pem", "/b.key")
    assert spec.cors_origins == ["*"]
