"""How deep JSON is nested: bounded before anything is made of it.

Knows brackets and strings, and leaves it to the parser whether the rest is JSON.
"""

from itertools import accumulate

from dure.document.bounds import MAX_JSON_DEPTH
from dure.errors import DecodeError

_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def check_depth(text: bytes | str) -> None:
    """Refuse arrays and objects within more than `MAX_JSON_DEPTH` others.

    Raises:
        DecodeError: It is nested deeper.
    """
    data = text.encode(errors="replace") if isinstance(text, str) else bytes(text)
    if data.count(b"[") + data.count(b"{") <= MAX_JSON_DEPTH:
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(data.translate(None, _OTHERS).split(b'"')[::2])
    if max(accumulate(map(_STEP.__getitem__, outside)), default=0) > MAX_JSON_DEPTH:
        raise DecodeError(f"arrays and objects stand in each other more than {MAX_JSON_DEPTH} deep")
