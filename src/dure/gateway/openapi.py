"""What the HTTP door answers, as an OpenAPI document.

Version 3.0, the one that every tool reads. Made when it is asked for, of what the workers said of themselves.
"""

from importlib.metadata import version
from typing import Any

from dure.executor.endpoints import DEFAULT
from dure.gateway.description import description_of
from dure.gateway.router import Router

_REFERENCE = "#/components/schemas/"


def document_of(router: Router) -> dict[str, Any]:
    """Return the document: a path for each endpoint of the Flow, and those that every Flow has."""
    schemas: dict[str, Any] = dict(_SCHEMAS)
    paths: dict[str, Any] = {}
    for endpoint in router.endpoints():
        if endpoint != DEFAULT:
            paths[endpoint] = {"post": _operation(router, endpoint, schemas)}
    paths["/post"] = {"post": _post()}
    paths["/health/live"] = {"get": _health("Whether the gateway answers.", [200])}
    paths["/health/ready"] = {"get": _health("Whether every Executor has a replica.", [200, 503])}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "A dure Flow",
            "version": version("dure"),
            "description": f"Executors: {', '.join(router.dispatchers) or 'none'}.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(router: Router, endpoint: str, schemas: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {**_SCHEMAS["Request"], "properties": dict(_SCHEMAS["Request"]["properties"])}
    described = description_of(router, endpoint)
    for info in described.infos:
        if info.parameters:
            body["properties"]["parameters"] = as_of_3_0(info.parameters["schema"])
            schemas |= {name: as_of_3_0(part) for name, part in info.parameters["components"].items()}
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": f"{_REFERENCE}Answer"}}}
    if described.streaming:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "operationId": endpoint.strip("/").replace("/", "_") or "root",
        "summary": described.text.partition("\n")[0] or endpoint,
        "description": described.text,
        "parameters": [_TIMEOUT_HEADER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "The documents, as the Flow left them.", "content": content}, **_FAILURES},
    }


def _post() -> dict[str, Any]:
    request = _SCHEMAS["Request"]
    properties = {"endpoint": {"type": "string", "example": "/encode"}, **request["properties"]}
    body = {"type": "object", "required": ["endpoint"], "properties": properties, "additionalProperties": False}
    answer = {"application/json": {"schema": {"$ref": f"{_REFERENCE}Answer"}}}
    return {
        "operationId": "post",
        "summary": "Call any endpoint by name.",
        "parameters": [_TIMEOUT_HEADER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "The documents, as the Flow left them.", "content": answer}, **_FAILURES},
    }


def _health(summary: str, statuses: list[int]) -> dict[str, Any]:
    words = {200: "Yes.", 503: "No."}
    return {"summary": summary, "responses": {str(status): {"description": words[status]} for status in statuses}}


def as_of_3_0(schema: Any) -> Any:
    """Return a JSON Schema with what OpenAPI 3.0 lacks said in its own words: null, and constants."""
    if isinstance(schema, list):
        return [as_of_3_0(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: as_of_3_0(value) for name, value in schema.items()}
    if "const" in out:
        out["enum"] = [out.pop("const")]
    choices = out.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        out.pop("anyOf")
        out["nullable"] = True
        out |= {"allOf": rest} if len(rest) == 1 else {"anyOf": rest}
    return out


_NUMBERS = {
    "description": "Numbers in nested lists of a regular shape, or {dtype, shape, data}; or one number.",
    "oneOf": [
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {}},
        {
            "type": "object",
            "required": ["dtype", "shape", "data"],
            "properties": {
                "dtype": {"type": "string", "example": "float64"},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "data": {"type": "array", "items": {}},
            },
        },
    ],
}

_SCHEMAS: dict[str, Any] = {
    "Document": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string"},
            "text": {"type": "string"},
            "blob": {"type": "string", "format": "byte", "description": "Bytes in base64."},
            "tensor": _NUMBERS,
            "embedding": _NUMBERS,
            "tags": {"type": "object", "additionalProperties": True},
            "scores": {"type": "object", "additionalProperties": {"type": "number"}},
            "uri": {"type": "string", "description": "Where the content comes from. Never fetched."},
            "mime_type": {"type": "string"},
            "chunks": {"type": "array", "items": {"$ref": f"{_REFERENCE}Document"}},
            "matches": {"type": "array", "items": {"$ref": f"{_REFERENCE}Document"}},
        },
    },
    "Request": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "data": {
                "type": "array",
                "items": {"oneOf": [{"$ref": f"{_REFERENCE}Document"}, {"type": "string"}]},
                "example": [{"text": "many hands"}],
            },
            "parameters": {"type": "object", "additionalProperties": True},
            "timeout_s": {"type": "number", "minimum": 0, "description": "How long an answer is of use; 0: for ever."},
            "priority": {"type": "integer", "description": "The higher, the sooner it is served."},
            "explain": {"type": "boolean", "description": "Whether to be told how it was served."},
        },
    },
    "Answer": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": f"{_REFERENCE}Document"}},
            "results": {
                "type": "object",
                "additionalProperties": True,
                "description": "Executor -> what its method returned as a dict.",
            },
            "served": {
                "type": "object",
                "additionalProperties": True,
                "description": "Executor -> how it served the request, where that was asked for.",
            },
        },
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": True,
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            }
        },
    },
}

_TIMEOUT_HEADER = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "required": False,
    "description": "After how many milliseconds the answer is of no use any more.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999},
}

_ERROR = {"application/json": {"schema": {"$ref": f"{_REFERENCE}Error"}}}
_FAILURES = {
    status: {"description": text, "content": _ERROR}
    for status, text in {
        "400": "The body is not what it should be.",
        "404": "No Executor answers this endpoint.",
        "413": "More bytes than the Flow accepts.",
        "422": "Well-formed, but not acceptable.",
        "500": "An Executor failed.",
        "503": "Too much is waiting, or nobody is left to do the work; Retry-After says when to come again.",
        "504": "The deadline passed before an answer was there.",
    }.items()
}
