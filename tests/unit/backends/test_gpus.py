"""The words in which GPUs are asked for, what the engine is told of them, and what CUDA is told."""

from typing import Any

import pytest

from dure.backends.gpus import ALL, Gpus, parse_gpus
from dure.errors import DeviceNotFound, SpecError

UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"
OLD_MIG = "MIG-GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c/7/0"
NEW_MIG = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("all", Gpus(count=ALL)),
        ("2", Gpus(count=2)),
        (2, Gpus(count=2)),
        ("count=2", Gpus(count=2)),
        ("count=all", Gpus(count=ALL)),
        ("0,1", Gpus(ids=("0", "1"))),
        (" 0 , 1 ", Gpus(ids=("0", "1"))),
        ("device=0", Gpus(ids=("0",))),
        ("device=0,1", Gpus(ids=("0", "1"))),
        ("device=0,device=1", Gpus(ids=("0", "1"))),
        ('"device=0,2"', Gpus(ids=("0", "2"))),
        ("'\"device=0,2\"'", Gpus(ids=("0", "2"))),
        ([0], Gpus(ids=("0",))),
        ([0, 2], Gpus(ids=("0", "2"))),
        (("1", UUID), Gpus(ids=("1", UUID))),
        (UUID, Gpus(ids=(UUID,))),
        ("GPU-4cf8db2d", Gpus(ids=("GPU-4cf8db2d",))),
        (f"0,{UUID}", Gpus(ids=("0", UUID))),
        (NEW_MIG, Gpus(ids=(NEW_MIG,))),
        (OLD_MIG, Gpus(ids=(OLD_MIG,))),
        (f"device={OLD_MIG},{NEW_MIG}", Gpus(ids=(OLD_MIG, NEW_MIG))),
        ("0:1", Gpus(ids=("0:1",))),
        ("0:0,0:1", Gpus(ids=("0:0", "0:1"))),
        ("driver=nvidia", Gpus(count=1, driver="nvidia")),
        ("driver=nvidia,count=2", Gpus(count=2, driver="nvidia")),
        ("driver=nvidia,all", Gpus(count=ALL, driver="nvidia")),
        ("all,capabilities=compute,utility", Gpus(count=ALL, capabilities=("compute", "utility"))),
        ('all,"capabilities=utility"', Gpus(count=ALL, capabilities=("utility",))),
        ("capabilities=utility,all", Gpus(count=ALL, capabilities=("utility",))),
        ("capabilities=utility,device=0,1", Gpus(ids=("0", "1"), capabilities=("utility",))),
        ("driver=cdi,device=0,capabilities=anything", Gpus(ids=("0",), driver="cdi", capabilities=("anything",))),
    ],
)
def test_what_is_understood(written: Any, meant: Gpus) -> None:
    assert parse_gpus(written, "gpus") == meant


@pytest.mark.parametrize(
    "written", ["all", "count=2", "device=0,1", "count=1,driver=nvidia", "device=0,capabilities=gpu,utility"]
)
def test_it_is_written_as_it_is_read(written: str) -> None:
    assert str(parse_gpus(written, "gpus")) == written


@pytest.mark.parametrize(
    ("written", "word", "why"),
    [
        ("al", "al", "'al' names no GPU. Did you mean 'all'?"),
        ("all,device=0", "0", "how many was said before"),
        ("device=0,all", "all", "which GPUs was said before"),
        ("2,all", "all", "how many was said before: 2"),
        ("device=0,count=1", "1", "which GPUs was said before (0)"),
        ("device=0,2x", "2x", "'2x' names no GPU"),
        ("0,0", "0", "0 stands there twice"),
        ("GPU-xyz", "GPU-xyz", "names no GPU"),
        ("MIG-", "MIG-", "names no GPU"),
        ("drvier=nvidia", "drvier", "Did you mean 'driver'? Keys are: device, count, driver, capabilities."),
        ("runtime=nvidia", "runtime", "'runtime' is no key"),
        ("driver=nvidia,driver=cdi", "driver", "driver stands there twice"),
        ("driver=NVIDIA!", "NVIDIA!", "is no driver's name"),
        ("capabilities=comptue", "comptue", "Did you mean 'compute'?"),
        ("all,capabilities=gpu,gpu", "gpu", "gpu stands there twice"),
        ("0", "0", "The GPU with number 0 is device=0"),
        ("count=x", "x", "'x' is no number of GPUs"),
        ("-1", "-1", "names no GPU"),
        ("device=0=1", "0=1", "names no GPU"),
        ("none", "none", "names no GPU"),
    ],
)
def test_a_wrong_word_has_a_caret_under_it(written: str, word: str, why: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_gpus(written, "executors[1].gpus")
    first, text, carets = str(caught.value).splitlines()
    assert first.startswith("executors[1].gpus: ")
    assert why in first
    assert text == f"  {written}"
    at = carets.index("^")
    assert text[at : at + carets.count("^")] == word
    assert carets.strip("^ ") == ""


@pytest.mark.parametrize(("written", "at"), [("", 0), (",", 0), ("0,,1", 2), ("device=", 7), ("all,", 4), ("0, ,1", 2)])
def test_a_missing_word_has_a_caret_where_it_should_be(written: str, at: int) -> None:
    with pytest.raises(SpecError, match="a word is missing here") as caught:
        parse_gpus(written, "gpus")
    assert str(caught.value).splitlines()[2].index("^") - 2 in (at, at + 1)


@pytest.mark.parametrize("value", [True, 1.5, None, {}, [], [True], [None], [[0]], b"all"])
def test_what_is_no_text_number_or_list(value: Any) -> None:
    with pytest.raises(SpecError, match=r"^gpus: "):
        parse_gpus(value, "gpus")


def test_what_the_engine_is_told() -> None:
    assert Gpus(count=ALL).docker() == {"driver": "", "count": -1, "device_ids": None, "capabilities": [["gpu"]]}
    told = parse_gpus("device=0,1,driver=nvidia", "gpus")
    assert told.docker() == {"driver": "nvidia", "count": 0, "device_ids": ["0", "1"], "capabilities": [["gpu"]]}
    caps = parse_gpus("2,capabilities=gpu,compute", "gpus").docker()
    assert caps == {"driver": "", "count": 2, "device_ids": None, "capabilities": [["gpu", "compute"]]}


@pytest.mark.parametrize(
    ("written", "visible"),
    [("all", "a,b,c"), (2, "a,b"), ("2,0", "c,a"), ([1], "b"), (UUID, UUID), (f"0,{UUID}", f"a,{UUID}")],
)
def test_what_cuda_is_told(written: Any, visible: str) -> None:
    assert parse_gpus(written, "gpus").cuda(["a", "b", "c"], "gpus") == visible


@pytest.mark.parametrize(
    ("written", "present", "why"),
    [
        ("all", [], "and there are none"),
        (2, ["a"], "2 GPUs are asked for, and there is 1"),
        ("device=3", ["a", "b"], "there is no GPU 3 on this machine; there are: 0 to 1"),
        ("device=0", [], "there is no GPU 0 on this machine; there are: none"),
    ],
)
def test_a_gpu_that_is_not_there(written: Any, present: list[str], why: str) -> None:
    with pytest.raises(DeviceNotFound, match=why):
        parse_gpus(written, "gpus").cuda(present, "gpus")


@pytest.mark.parametrize("written", ["all,driver=nvidia", "all,capabilities=compute"])
def test_words_for_containers_alone(written: str) -> None:
    with pytest.raises(SpecError, match="= is for containers"):
        parse_gpus(written, "gpus").cuda(["a"], "gpus")
