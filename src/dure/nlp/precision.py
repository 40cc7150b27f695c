"""By which library a model runs, and in which numbers: the one list of them, and where each makes sense.

Names only; knows no library.
"""

from dataclasses import dataclass

from dure.device.context import Context
from dure.errors import SpecError
from dure.spec import suggest

BACKENDS = ("torch", "onnx")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")

_ALLOWED = {
    ("torch", "cpu"): ("fp32", "bf16", "int8"),
    ("torch", "gpu"): ("fp32", "bf16", "fp16"),
    ("onnx", "cpu"): ("fp32", "int8"),
}
_REASONS = {
    ("torch", "cpu", "fp16"): "a CPU converts every number back and forth, which is many times slower than fp32",
    ("torch", "gpu", "int8"): "PyTorch quantises while it runs for CPUs only",
    ("onnx", "cpu", "bf16"): "ONNX Runtime has no kernels for it on a CPU",
    ("onnx", "cpu", "fp16"): "ONNX Runtime has no kernels for it on a CPU",
}


@dataclass(frozen=True, slots=True)
class Computing:
    """How a transformer is computed.

    Args:
        backend: `torch` or `onnx`.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        cache_folder: Where files made for a backend are kept; the user's cache, if not given.
    """

    backend: str = "torch"
    precision: str = "fp32"
    cache_folder: str | None = None

    def check(self, context: Context) -> None:
        """Say what cannot be, before anything is loaded.

        Raises:
            SpecError: An unknown name, or a combination that makes no sense on this device.
        """
        _require_known("backend", self.backend, BACKENDS)
        _require_known("precision", self.precision, PRECISIONS)
        allowed = _ALLOWED.get((self.backend, context.kind))
        if allowed is None:
            raise SpecError(f"backend: {self.backend!r} runs on the CPU only, not on {context}. Use 'torch' there.")
        if self.precision not in allowed:
            reason = _REASONS[self.backend, context.kind, self.precision]
            raise SpecError(
                f"precision: {self.backend} on {context} computes in one of {', '.join(allowed)},"
                f" not in {self.precision!r}: {reason}."
            )


def _require_known(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SpecError(f"uses_with.{name}: one of {', '.join(known)}, not {value!r}.{suggest(str(value), known)}")
