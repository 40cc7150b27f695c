"""Manifests as a chart of Helm: images, counts and resources are values, which by default give the same manifests."""

import copy
import re
from typing import Any

from dure.export.files import yaml_text
from dure.export.kubernetes import Manifests
from dure.export.pods import Values

_SLOT = re.compile(r"'?@@([\w.]+)@@'?")


def chart_of(manifests: Manifests, version: str) -> dict[str, str]:
    """Return the files of a chart: path -> text.

    Args:
        manifests: What it gives with its own values.
        version: Of dure.
    """
    chart = {
        "apiVersion": "v2",
        "name": manifests.stack.name,
        "description": f"The Flow {manifests.stack.entrance.flow.name}, as dure {version} exported it",
        "type": "application",
        "version": "0.1.0",
        "appVersion": version,
    }
    values: Values = {"gateway": {}, "executors": {}}
    documents = [_slotted(document, values) for document in manifests.documents]
    files = {"Chart.yaml": yaml_text(chart), "values.yaml": yaml_text(values)}
    for document in documents:
        files[f"templates/{file_name(document)}"] = _template(yaml_text(document))
    notes = [*["Before the pods can start:"] * bool(manifests.commands), *manifests.commands, *manifests.notes]
    return {**files, "templates/NOTES.txt": _template("\n".join(notes) + "\n")}


def file_name(document: Values) -> str:
    """Return the file that a manifest stands in."""
    return f"{document['metadata']['name']}-{document['kind'].lower()}.yaml"


def _slotted(document: Values, values: Values) -> Values:
    """Return a manifest with the places of values in it, and keep those that stood there."""
    made = copy.deepcopy(document)
    component = made["metadata"]["labels"]["app.kubernetes.io/component"]
    where = "gateway" if component == "gateway" else f"executors.{component}"
    if made["kind"] == "Deployment":
        kept = values["gateway"] if component == "gateway" else values["executors"].setdefault(component, {})
        (container,) = made["spec"]["template"]["spec"]["containers"]
        _take(container, "image", where, kept)
        _take(made["spec"], "replicas", where, kept)
        _take(container, "resources", where, kept)
    elif made["kind"] == "HorizontalPodAutoscaler":
        kept = values["executors"].setdefault(component, {})
        _take(made["spec"], "minReplicas", where, kept)
        _take(made["spec"], "maxReplicas", where, kept)
    return made


def _take(place: dict[str, Any], key: str, where: str, kept: Values) -> None:
    if key in place:
        kept[key] = place[key]
        place[key] = f"@@{where}.{key}@@"


def _template(text: str) -> str:
    # JSON is YAML in one line, so that nothing depends on how far it is indented.
    return _SLOT.sub(r"{{ toJson .Values.\1 }}", text.replace("{{", '{{ "{{" }}'))
