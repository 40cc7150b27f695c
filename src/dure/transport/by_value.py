"""Pickles what a user's main program defines, for a process that cannot import it.

cloudpickle does that; here it learns of msgspec's Structs, which it would make again without their fields. Knows
nothing of who sends what to whom.
"""

import inspect
import io
from typing import Any

import cloudpickle
import msgspec

_STRUCTS = type(msgspec.Struct)
_OPTIONS = (
    *("frozen", "eq", "order", "array_like", "omit_defaults", "repr_omit_defaults", "forbid_unknown_fields"),
    *("weakref", "dict", "gc", "cache_hash", "tag", "tag_field"),
)
_RULES = (
    *("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz", "title", "description"),
    *("examples", "extra_json_schema", "extra"),
)
_MADE = {"__annotations__", "__dict__", "__match_args__", "__slots__", "__weakref__"}


def dumps(value: Any) -> bytes:
    """Return a value pickled; what its module cannot be imported for goes with it. `pickle.loads` reads it.

    Raises:
        Exception: Whatever pickling it raises.
    """
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    def reducer_override(self, obj: Any) -> Any:
        """Make a Struct of a main program, or of a function, again from what it was declared with."""
        if isinstance(obj, _STRUCTS) and (obj.__module__ == "__main__" or "<locals>" in obj.__qualname__):
            return _again, (_declaration(obj),)
        if isinstance(obj, msgspec.Meta):  # it has no way of its own to be pickled
            return _meta, ({name: getattr(obj, name) for name in _RULES},)
        return super().reducer_override(obj)


def _declaration(kind: Any) -> dict[str, Any]:
    own = inspect.get_annotations(kind)
    fields = [field for field in msgspec.structs.fields(kind) if field.name in own]
    by_name = {name for name, told in inspect.signature(kind).parameters.items() if told.kind is told.KEYWORD_ONLY}
    kept = {name: value for name, value in vars(kind).items() if name not in _MADE and name not in own}
    return {
        "name": kind.__name__,
        "fields": [_field(field) for field in fields],
        "bases": kind.__bases__,
        "module": kind.__module__,
        "namespace": {name: value for name, value in kept.items() if not name.startswith("__struct_")},
        "rename": {field.name: field.encode_name for field in fields if field.encode_name != field.name},
        "kw_only": any(field.name in by_name for field in fields),
        **{name: getattr(kind.__struct_config__, name) for name in _OPTIONS},
    }


def _field(field: Any) -> tuple[str, Any, dict[str, Any]]:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, field.type, {"default_factory": field.default_factory}
    return field.name, field.type, {} if field.required else {"default": field.default}


def _meta(rules: dict[str, Any]) -> msgspec.Meta:
    return msgspec.Meta(**rules)


def _again(declaration: dict[str, Any]) -> type:
    options = dict(declaration)
    fields = [(name, kind, msgspec.field(**default)) for name, kind, default in options.pop("fields")]
    return msgspec.defstruct(options.pop("name"), fields, **options)
