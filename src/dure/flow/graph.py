"""The shape of a Flow: names, who needs whom, and an order in which that can be served.

Pure. Knows the settings records, not processes.
"""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from dure.errors import SpecError
from dure.spec import GATEWAY, ExecutorSpec, suggest


def order(executors: Sequence[ExecutorSpec]) -> dict[str, list[str]]:
    """Return executor name -> names it needs, each after all that it needs.

    Raises:
        SpecError: A name that is no identifier, taken, or `gateway`; a need that does not exist; a cycle.
    """
    names = [spec.name for spec in executors]
    for i, name in enumerate(names):
        if not name.isidentifier() or name == GATEWAY:
            raise SpecError(
                f"executors[{i}].name: must be a Python identifier other than {GATEWAY!r}, e.g. 'encoder', not {name!r}"
            )
        if name in names[:i]:
            raise SpecError(f"executors[{i}].name: {name!r} is the name of executors[{names.index(name)}] already")
    needs: dict[str, list[str]] = {}
    for i, spec in enumerate(executors):
        sources = list(dict.fromkeys([GATEWAY] if spec.needs is None else spec.needs))
        if not sources:
            raise SpecError(f"executors[{i}].needs: is empty; leave it out, or name {GATEWAY!r}")
        for source in sources:
            if source != GATEWAY and source not in names:
                raise SpecError(
                    f"executors[{i}].needs: {spec.name!r} needs {source!r}, which is not in this Flow."
                    f"{suggest(source, names)} There are: {', '.join([GATEWAY, *names])}."
                )
        needs[spec.name] = sources
    graph = {name: [s for s in sources if s != GATEWAY] for name, sources in needs.items()}
    try:
        return {name: needs[name] for name in TopologicalSorter(graph).static_order()}
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise SpecError(f"executors: a cycle in needs: {cycle}; documents would go round for ever") from error
