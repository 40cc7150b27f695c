"""Measure dure against what it is to reach, everything side by side in one run, and print one table.

    python benchmarks/run.py [--quick | --full] [--only GROUP ...] [--peers | --no-peers] [--write-readme]

A target that is missed is said to be missed; nothing is timed in tests.
"""

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace

import machine
import report
from peers import environment
from peers.environment import Environment
from peers.server import Server
from report import Row, Skipped
from rows import channel, containers, door, encoder, http, load, mixed, start, tutorial
from sizes import QUICK, Sizes

BEGAN = time.perf_counter()
GROUPS = (
    *("encoder", "tutorial", "channel", "http", "ready", "import", "stream", "install"),
    *("mixed", "lengths", "replicas", "overload", "idle"),
    *("guard", "packed", "flood", "sockets"),
    "containers",
)
WITH_PEERS = {"tutorial", "channel", "http", "ready", "mixed"}


def main() -> int:
    options = read_options()
    sizes = QUICK if options.quick else Sizes()
    if options.full:
        sizes = replace(sizes, streamed_documents=5_000_000)
    bystanders = machine.Bystanders()
    groups = tuple(options.only or GROUPS)
    wanted = not options.quick if options.peers is None else options.peers
    peers, why_not = _peers() if wanted and WITH_PEERS.intersection(groups) else (None, "")
    rows = list(measure(sizes, groups, peers))
    if why_not:
        rows.append(Row("other frameworks", f"skipped: {why_not}"))
    what = {
        "date": report.today(),
        **machine.describe(),
        "peers": dict(peers.versions) if peers else {},
        "rounds": sizes.rounds,
        "sizes": vars(sizes),
        "seconds": round(time.perf_counter() - BEGAN),
        "used_by_others": bystanders.share(),
    }
    text = f"{report.about(what)}\n{report.markdown(rows)}"
    print(text)
    name = "bench-quick" if options.quick else "bench"
    tell("report", f"raw numbers: {report.save(name, what, rows).relative_to(machine.ROOT)}, {what['seconds']} s")
    if options.write_readme:
        tell("report", report.write_readme(machine.ROOT / "README.md", text))
    return 1 if any(row.failed for row in rows) else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure dure, side by side with what bounds it and with other frameworks.",
        epilog="On a machine that others use, OMP_NUM_THREADS=1 makes the encoder rows comparable again.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about a minute, rougher numbers")
    size.add_argument("--full", action="store_true", help="stream 5,000,000 documents instead of 1,000,000")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"some of: {', '.join(GROUPS)}")
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        help="measure other frameworks, too (installs them into .venv-peers); without --quick that is the default",
    )
    parser.add_argument("--write-readme", action="store_true", help="put the table into README.md")
    return parser.parse_args()


def tell(group: str, text: str) -> None:
    print(f"[{time.perf_counter() - BEGAN:4.0f} s {group}] {text}", file=sys.stderr, flush=True)


def _peers() -> tuple[Environment | None, str]:
    """Return the peers' environment, or nothing, and why not."""
    tell("peers", f"looks into {environment.VENV.name}, and installs what is missing")
    try:
        return environment.make(), ""
    except RuntimeError as error:
        return None, " ".join(str(error).split())


def measure(sizes: Sizes, groups: tuple[str, ...], peers: Environment | None) -> Iterator[Row]:
    """Measure some groups; one that fails becomes a row that says so, and the others go on."""

    def told(group: str) -> Callable[[str], None]:
        return lambda text: tell(group, text)

    def mosec() -> Server:
        assert peers is not None
        return peers.start("mosec", wire="msgpack")

    has_mosec = peers is not None and peers.has("mosec")

    def on_channel() -> Iterator[Row]:
        with mosec() if has_mosec else contextlib.nullcontext() as peer:
            yield from channel.measure(sizes, told("channel"), peer)

    works: dict[str, Callable[[], Iterator[Row]]] = {
        "encoder": lambda: encoder.measure(sizes, told("encoder")),
        "tutorial": lambda: tutorial.measure(sizes, told("tutorial"), peers),
        "channel": on_channel,
        "http": lambda: http.measure(sizes, told("http"), peers),
        "ready": lambda: start.ready(sizes, told("ready"), mosec if has_mosec else None),
        "import": lambda: start.imports(sizes, told("import")),
        "stream": lambda: start.streaming(sizes, told("stream")),
        "install": lambda: start.install(told("install")),
        "mixed": lambda: mixed.measure(sizes, told("mixed"), peers),
        "lengths": lambda: mixed.by_length(sizes, told("lengths")),
        "replicas": lambda: load.replicas(sizes, told("replicas")),
        "overload": lambda: load.overload(sizes, told("overload")),
        "idle": lambda: load.idle(sizes, told("idle")),
        "guard": lambda: door.guard(sizes, told("guard")),
        "packed": lambda: door.packed(sizes, told("packed")),
        "flood": lambda: door.flood(sizes, told("flood")),
        "sockets": lambda: door.sockets(sizes, told("sockets")),
        "containers": lambda: containers.measure(sizes, told("containers")),
    }
    for group in GROUPS:
        if group not in groups:
            continue
        if group == "install" and not sizes.install:
            yield Row("core install, besides numpy: packages and size", "skipped: --quick", "<= 15 packages, <= 60 MB")
            continue
        tell(group, "begins")
        try:
            yield from works[group]()
        except Skipped as error:
            yield Row(group, f"skipped: {error}")
        except Exception as error:  # noqa: BLE001 - whatever one group meets, the others are measured
            traceback.print_exc()
            said = str(error).strip().splitlines() or [""]
            yield Row(
                group, f"failed: {type(error).__name__}: {' … '.join(dict.fromkeys((said[0], said[-1])))}", failed=True
            )


if __name__ == "__main__":
    sys.exit(main())
