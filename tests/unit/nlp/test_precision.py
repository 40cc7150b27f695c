"""Which backend and precision go together, and what is said of the others."""

from contextlib import suppress

import pytest

from dure import cpu, gpu
from dure.device.context import Context
from dure.errors import SpecError
from dure.nlp.precision import BACKENDS, PRECISIONS, Computing


@pytest.mark.parametrize(
    ("context", "backend", "allowed"),
    [
        (cpu(), "torch", {"fp32", "bf16", "int8"}),
        (gpu(1), "torch", {"fp32", "bf16", "fp16"}),
        (cpu(), "onnx", {"fp32", "int8"}),
        (gpu(0), "onnx", set()),
    ],
)
def test_what_goes_together(context: Context, backend: str, allowed: set[str]) -> None:
    found = set()
    for precision in PRECISIONS:
        with suppress(SpecError):
            Computing(backend, precision).check(context)
            found.add(precision)
    assert found == allowed


@pytest.mark.parametrize(
    ("settings", "context", "message"),
    [
        ({"backend": "onxx"}, cpu(), r"uses_with\.backend: one of torch, onnx, not 'onxx'\. Did you mean 'onnx'\?"),
        ({"backend": None}, cpu(), "one of torch, onnx, not None"),
        ({"precision": "int4"}, cpu(), r"uses_with\.precision: one of fp32, bf16, fp16, int8, not 'int4'"),
        ({"precision": "fp16"}, cpu(), r"one of fp32, bf16, int8, not in 'fp16': .*slower"),
        ({"precision": "int8"}, gpu(1), r"torch on gpu\(1\) computes in one of fp32, bf16, fp16, not in 'int8'"),
        ({"backend": "onnx"}, gpu(0), r"'onnx' runs on the CPU only, not on gpu\(0\)"),
        ({"backend": "onnx", "precision": "bf16"}, cpu(), "one of fp32, int8, not in 'bf16'"),
    ],
)
def test_what_does_not_is_told(settings: dict[str, str], context: Context, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Computing(**settings).check(context)


def test_every_backend_computes_in_fp32() -> None:
    for backend in BACKENDS:
        Computing(backend).check(cpu())
