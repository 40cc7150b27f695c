"""The code of the book's chapter on devices, from top to bottom; only the imports are ours."""

import ast
import contextlib
import io
import re
from collections.abc import Iterator

import pytest

from dure.device.simulated import simulated_gpus
from dure.errors import DeviceMismatch

IMPORTS = "from dure import nd, nn, cpu, gpu"

NUMBERS = r"\n\[\[[\d .e+\-\[\]\n]+\]\]\n"
ONES = r"\n\[\[1\. 1\. 1\.\]\n \[1\. 1\. 1\.\]\]\n"

# What a cell of the notebook holds, and a pattern of what it shows.
CELLS = [
    (IMPORTS, r""),
    ("cpu(), gpu(), gpu(1)", r"\(cpu\(0\), gpu\(0\), gpu\(1\)\)\n"),
    ("x = nd.array([1, 2, 3])\nx", r"\n\[1\. 2\. 3\.\]\n<NDArray 3 @cpu\(0\)>\n"),
    ("x.context", r"cpu\(0\)\n"),
    (
        "x = nd.ones((2, 3), ctx=gpu())\nx",
        rf"{ONES}<NDArray 2x3 @gpu\(0\)>\n",
    ),
    (
        "y = nd.random.uniform(shape=(2, 3), ctx=gpu(1))\ny",
        rf"{NUMBERS}<NDArray 2x3 @gpu\(1\)>\n",
    ),
    (
        "z = x.copyto(gpu(1))\nprint(x)\nprint(z)",
        rf"{ONES}<NDArray 2x3 @gpu\(0\)>\n{ONES}<NDArray 2x3 @gpu\(1\)>\n",
    ),
    ("y + z", rf"{NUMBERS}<NDArray 2x3 @gpu\(1\)>\n"),
    ("z = x.as_in_context(gpu(1))\nz", rf"{ONES}<NDArray 2x3 @gpu\(1\)>\n"),
    ("y.as_in_context(gpu(1)) is y", r"True\n"),
    ("y.copyto(gpu()) is y", r"False\n"),
    ("net = nn.Sequential()\nnet.add(nn.Dense(1))\nnet.initialize(ctx=gpu())", r""),
    ("net(x)", rf"{NUMBERS}<NDArray 2x1 @gpu\(0\)>\n"),
    ("net[0].weight.data()", rf"{NUMBERS}<NDArray 1x3 @gpu\(0\)>\n"),
]


@pytest.fixture(params=["torch", "numpy"])
def notebook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    if request.param == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", request.param)
    with simulated_gpus(2):
        yield {}


def shown(cell: str, names: dict[str, object]) -> str:
    """Run a cell as a notebook does, and return what it prints and shows."""
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        for statement in ast.parse(cell).body:
            exec(compile(ast.Interactive([statement]), "<chapter>", "single"), names)
    return screen.getvalue()


def test_the_chapter_from_top_to_bottom(notebook: dict[str, object]) -> None:
    for cell, pattern in CELLS:
        assert re.fullmatch(pattern, shown(cell, notebook)), cell


def test_do_not_simply_add(notebook: dict[str, object]) -> None:
    for cell, _ in CELLS[:6]:
        shown(cell, notebook)
    with pytest.raises(DeviceMismatch) as caught:
        shown("x + y", notebook)
    assert str(caught.value) == (
        "x + y: x is in gpu(0), y is in gpu(1). Nothing moves by itself; bring them together: y.as_in_context(gpu(0))"
    )
