"""Strategies for documents: anything that a Document may hold, and what makes trouble in practice."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dure.document.document import Document

# How long an example takes says nothing here, and the first one builds the tables of Unicode.
settings.register_profile("untimed", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

KOREAN = "엑스큐터를 GPU에서 구동하기"
# The UTF-8 bytes of a Korean page read as cp1252, as browsers do: C1 controls stay as they are.
MOJIBAKE = "".join(
    bytes([b]).decode("cp1252" if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1") for b in KOREAN.encode()
)
TROUBLE = [
    *("", " ", "\0", "a\0b", "\ufeff", "\ufeffid", "null", "NaN", "NA", "1", "1.0", "true"),
    *("\n", "\r", "\r\n", "a\rb\n", "\u2028\u2029\x85\x0b\x0c", '"', '""', 'a"b', ",", "\t", "'"),
    *("\U0001f469\u200d\U0001f467\U0001f1f0\U0001f1f7", "\U0001d518", "\uac00", "\u1100\u1161"),
    *("\u314b\u314b\u3160", "\ufffd", "\u200b", KOREAN, MOJIBAKE),
]

texts = st.sampled_from(TROUBLE) | st.text(max_size=20)
keys = st.sampled_from(["label", "이름", "", "text", 'a"b']) | st.text(max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
plain_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
tags = st.dictionaries(keys, plain_values, max_size=4)
scores = st.dictionaries(keys, st.floats(allow_nan=False, allow_infinity=False), max_size=2)

REAL_DTYPES = ["bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float32", "float64"]


@st.composite
def arrays(draw: st.DrawFn, dtypes: list[str] = REAL_DTYPES, min_dims: int = 0) -> np.ndarray:
    """Draw an array of any shape: no axis, empty axes, big-endian, not contiguous; finite."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    if draw(st.booleans()):
        dtype = dtype.newbyteorder(">")
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=3, min_side=0, max_side=3))
    elements: dict[str, Any] = {}
    if dtype.kind in "fc":
        elements = {"allow_nan": False, "allow_infinity": False}
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    return array.T if draw(st.booleans()) else array


def fields(inner: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Draw some fields of a Document, with documents of `inner` inside it and matched."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "text": texts,
        "id": st.text(min_size=1, max_size=8),
        "blob": st.binary(max_size=12),
        "tensor": arrays(),
        "embedding": arrays(["float32", "float64", "int8"]),
        "tags": tags,
        "scores": scores,
        "uri": texts,
        "mime_type": texts,
    }
    if inner is not None:
        lists = st.lists(inner, max_size=2)
        optional |= {"chunks": lists, "matches": lists}
    return st.fixed_dictionaries({}, optional=optional)


flat_documents = st.builds(lambda kwargs: Document(**kwargs), fields())
documents = st.builds(lambda kwargs: Document(**kwargs), fields(flat_documents))
lists_of_documents = st.lists(documents, max_size=4)


def content(document: Document) -> dict[str, Any]:
    """Return what is set in a document, so that values of another type differ even where equal."""
    found: dict[str, Any] = {}
    for name, value in sorted(vars(document).items()):
        if name in ("tensor", "embedding"):
            if value is not None:
                array = np.asarray(value)
                little = array.astype(array.dtype.newbyteorder("<"))
                found[name] = (little.dtype.str, little.shape, little.tobytes())
        elif name in ("chunks", "matches"):
            if len(value):
                found[name] = [content(inner) for inner in value]
        elif value:
            found[name] = repr(sorted(value.items())) if isinstance(value, dict) else value
    return found
