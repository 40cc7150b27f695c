"""What goes where in a cluster of Kubernetes, read from the manifests. Which node, its own scheduler says."""

from typing import Any

from dure.export.kubernetes import Manifests

_SHOWN = ("workload", "pods", "image", "each asks for", "reached at")


def table_of(made: Manifests) -> str:
    """Return a table of the workloads, and what else is written."""
    kinds: dict[str, list[Any]] = {}
    for document in made.documents:
        kinds.setdefault(document["kind"], []).append(document)
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in kinds.get("HorizontalPodAutoscaler", ())}
    reached = {one["metadata"]["name"]: one["spec"]["ports"] for one in kinds.get("Service", ())}
    rows = [_SHOWN]
    for deployment in kinds.pop("Deployment"):
        name = deployment["metadata"]["name"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        pods = str(deployment["spec"].get("replicas", 1))
        if name in scaled:
            pods = f"{scaled[name]['minReplicas']} to {scaled[name]['maxReplicas']}"
        asks = container.get("resources", {}).get("limits", {})
        ports = [f"{name}:{port['port']}" for port in reached.get(name, ())]
        rows.append((name, pods, container["image"], _listed(asks), ", ".join(ports) or "nowhere"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_SHOWN))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    others = ", ".join(f"{len(documents)} {kind}" for kind, documents in kinds.items())
    return "\n".join([*lines, f"and {others}"])


def _listed(asks: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in asks.items()) or "nothing"
