"""How much is measured: enough for steady numbers within minutes, or within one minute."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of things; the defaults are those of `make bench`."""

    rounds: int = 5
    encoder_s: float = 3.5
    """Seconds that one pass of the model over the sentences is to take; it decides how many they are."""
    noop_documents: int = 128_000
    grpc_documents: int = 32_000
    posts: int = 400
    starts: int = 7
    imports: int = 20
    streamed_documents: int = 1_000_000
    install: bool = True


QUICK = Sizes(
    rounds=3,
    encoder_s=1.0,
    noop_documents=102_400,
    grpc_documents=12_800,
    posts=150,
    starts=3,
    imports=7,
    streamed_documents=200_000,
    install=False,
)
