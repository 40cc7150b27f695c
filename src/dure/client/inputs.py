"""What may be given to `post`, cut into requests.

Nothing is read ahead: a generator is advanced when its documents can be sent.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.merge import split
from dure.errors import ValidationError

Item: TypeAlias = Document | str | bytes | Mapping[str, Any]
Inputs: TypeAlias = Item | Iterable[Item] | Callable[[], Iterable[Item]] | None
AsyncInputs: TypeAlias = Inputs | AsyncIterable[Item] | Callable[[], AsyncIterable[Item]]


def document(item: Any) -> Document:
    """Return an input as a Document: a str is its text, bytes its blob, a mapping its fields.

    Raises:
        ValidationError: It is none of these.
    """
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return Document(text=item)
    if isinstance(item, bytes):
        return Document(blob=item)
    if isinstance(item, Mapping):
        return Document.from_dict(item)
    raise ValidationError(f"inputs must be Documents (or str, bytes, dict), not {type(item).__name__}: {item!r:.60}")


def num_requests(inputs: Any, request_size: int) -> int | None:
    """Return how many requests the inputs make, or None where they do not say how many they are."""
    if inputs is None or isinstance(inputs, Document | str | bytes | Mapping):
        return 1
    return -(-len(inputs) // request_size) if hasattr(inputs, "__len__") else None


def requests_of(inputs: Any, request_size: int) -> Iterator[DocumentArray]:
    """Cut inputs into arrays of `request_size` documents; no inputs at all make one empty request.

    Raises:
        ValidationError: They are not inputs, or not for a synchronous client.
    """
    if callable(inputs):
        inputs = inputs()
    if isinstance(inputs, AsyncIterable):
        raise ValidationError("inputs that must be awaited need an AsyncClient")
    if inputs is None or isinstance(inputs, Document | str | bytes | Mapping):
        yield DocumentArray(() if inputs is None else document(inputs))
    elif isinstance(inputs, DocumentArray):
        full, rest = divmod(len(inputs), request_size)
        yield from split(inputs, [request_size] * full + ([rest] if rest else [])) if inputs else ()
    elif isinstance(inputs, Iterable):
        iterator = iter(inputs)
        while True:
            part, error = _take(iterator, request_size)
            if part:
                yield DocumentArray(part)
            if error is not None:
                raise error
            if len(part) < request_size:
                return
    else:
        raise ValidationError(f"inputs must be documents or something that yields them, not {inputs!r:.60}")


def _take(iterator: Iterator[Any], count: int) -> tuple[list[Document], Exception | None]:
    # What a generator has yielded before it raises is sent.
    found: list[Document] = []
    try:
        found.extend(item if type(item) is Document else document(item) for item in islice(iterator, count))
    except Exception as error:  # noqa: BLE001 - user code; raised again once the documents before it are sent
        return found, error
    return found, None


async def async_requests_of(inputs: Any, request_size: int) -> AsyncIterator[DocumentArray]:
    """Cut inputs as `requests_of` does; they may also be an async iterable, or a function that returns one."""
    if callable(inputs):
        inputs = inputs()
    if not isinstance(inputs, AsyncIterable):
        for part in requests_of(inputs, request_size):
            yield part
        return
    found: list[Document] = []
    failure: Exception | None = None
    try:
        async for item in inputs:
            found.append(document(item))
            if len(found) == request_size:
                yield DocumentArray(found)
                found = []
    except Exception as error:  # noqa: BLE001 - user code; raised again once the documents before it are sent
        failure = error
    if found:
        yield DocumentArray(found)
    if failure is not None:
        raise failure
