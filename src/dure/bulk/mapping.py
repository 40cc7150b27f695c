"""`map_rows`: an Executor over a file or folder of rows, into a folder of Parquet files; a killed run is gone on with.

Puts together what is read, asked and written. Where the Executor runs, the backends know.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from dure.bulk.folder import claimed
from dure.bulk.job import Done, Job, MapSpec
from dure.bulk.local import run_local
from dure.bulk.manifest import manifest_of
from dure.bulk.part import Part, Parts
from dure.bulk.ray_data import check_for_ray, run_on_ray
from dure.bulk.source import scan
from dure.client.exchange import encode_parameters
from dure.client.progress import Progress
from dure.errors import SpecError
from dure.flow.flow import Flow
from dure.log import get_logger
from dure.spec import ExecutorSpec, build, suggest

Backend: TypeAlias = Literal["local", "ray"]
_ALONE = ("needs", "group")
"""Settings of an Executor that speak of others beside it."""


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    """What a map came to; `num_resumed` of its parts were there before, `elapsed_time_s` is that of this run."""

    num_rows: int
    num_parts: int
    num_resumed: int
    elapsed_time_s: float


def map_rows(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    uses: Any,
    on: str,
    backend: Backend = "local",
    **settings: Any,
) -> Mapped:
    """Ask an Executor about every row of a file that may be larger than memory, and write what it answers.

    `target` becomes a folder of Parquet files, `part-00000.parquet` and so on, with one row for each row of the input,
    in its order. A part appears whole or not at all, so the same call goes on after a kill, with what is missing.

    Args:
        source: A `.parquet` or `.jsonl` file, or a folder of either. Columns are fields of Documents by their names,
            others become tags; a row without `id` gets its number.
        target: The folder.
        uses: The Executor, as `Flow.add` takes it.
        on: Endpoint. Its method gives back as many Documents as it gets, in their order.
        backend: "local": workers on this machine; "ray": actors of a Ray cluster, by Ray Data.
        **settings: Those of `MapSpec` (`part_rows`, `request_size`, `text`, `parameters`, `address`,
            `wait_for_resources`, `show_progress`) and of `dure.spec.ExecutorSpec` (`replicas`, `device`, …).

    Raises:
        SpecError: A wrong setting, or `target` holds a map of something else; says what differs.
        ValidationError: Rows that are no Documents, or not one answer for each; says which.
        DureError: What the Executor raised, with part and rows before its message. The parts that are done stay.
    """
    began = time.perf_counter()
    spec, executor = _read(uses, settings)
    _check(on, backend, spec, executor)
    found = scan(source)
    parts = Parts(found.num_rows, spec.part_rows)
    asked: dict[str, Any] = {"on": on, "parameters": spec.parameters, "text": spec.text}
    asked |= {"part_rows": spec.part_rows, "num_parts": parts.num_parts}
    with claimed(Path(target).resolve(), manifest_of(found, executor, asked)) as folder:
        missing = folder.missing()
        num_resumed = parts.num_parts - len(missing)
        if num_resumed:
            get_logger("map").info("%d of %d parts are there already", num_resumed, parts.num_parts)
        if missing:
            run = run_on_ray if backend == "ray" else run_local
            with _counted(missing, shown=spec.show_progress) as done:
                run(Job(source=found, folder=folder, executor=executor, on=on, spec=spec), missing, done)
        folder.verify()
    return Mapped(
        num_rows=found.num_rows,
        num_parts=parts.num_parts,
        num_resumed=num_resumed,
        elapsed_time_s=time.perf_counter() - began,
    )


def _read(uses: Any, settings: dict[str, Any]) -> tuple[MapSpec, ExecutorSpec]:
    own, known = MapSpec.__struct_fields__, [*MapSpec.__struct_fields__, *ExecutorSpec.__struct_fields__]
    for name in settings:
        if name not in known or name in _ALONE:
            raise SpecError(f"map.{name}: unknown setting.{suggest(name, known)} Known are: {', '.join(known)}.")
    spec = build(MapSpec, {name: value for name, value in settings.items() if name in own}, "map")
    rest = {name: value for name, value in settings.items() if name not in own}
    return spec, Flow().add(uses=uses, **rest).spec.executors[0]


def _check(on: str, backend: str, spec: MapSpec, executor: ExecutorSpec) -> None:
    if not on.startswith("/"):
        raise SpecError(f"on: {on!r} is no endpoint; it begins with a slash, such as /encode")
    encode_parameters(spec.parameters)
    if backend not in get_args(Backend):
        raise SpecError(f"backend: {backend!r} is unknown.{suggest(backend, get_args(Backend))} Known are: local, ray")
    if backend == "ray":
        check_for_ray(executor)
        return
    for name in ("address", "wait_for_resources"):
        if value := getattr(spec, name):
            raise SpecError(f"{name}: {value!r} means a Ray cluster; say backend='ray' (--backend ray) as well")


@contextlib.contextmanager
def _counted(missing: list[Part], *, shown: bool) -> Iterator[Done]:
    if not shown:
        yield lambda _part: None
        return
    with Progress(len(missing)) as progress:
        yield lambda part: progress.advance(part.num_rows, final=True)
