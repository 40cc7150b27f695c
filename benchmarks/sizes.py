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
    http_s: float = 2.0
    """Seconds that a server is asked by wrk, for each number of clients and round."""
    tutorial_documents: int = 960
    mixed_documents: int = 384
    long_documents: int = 192
    slept_documents: int = 1200
    overload_s: float = 60.0
    idle_s: float = 6.0
    light_posts: int = 200
    sockets: int = 10_000


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
    http_s=1.0,
    tutorial_documents=320,
    mixed_documents=192,
    long_documents=128,
    slept_documents=600,
    overload_s=10.0,
    idle_s=3.0,
    light_posts=100,
)
