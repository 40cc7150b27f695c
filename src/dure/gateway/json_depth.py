"""How deep JSON is nested: bounded before anything is made of it.

Knows brackets and strings, and leaves it to the parser whether the rest is JSON.
"""

from itertools import accumulate

from dure.errors import DecodeError

MAX_DEPTH = 100

_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def check_depth(text: bytes | str) -> None:
    """Refuse arrays and objects within more than 100 others.

    Raises:
        DecodeError: It is nested deeper.
    """
    data = text.encode(errors="replace") if isinstance(text, str) else bytes(text)
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(data.translate(None, _OTHERS).split(b'"')[::2])
    if max(accumulate(map(_STEP.__getitem__, outside)), default=0) > MAX_DEPTH:
        raise DecodeError(f"arrays and objects stand in each other more than {MAX_DEPTH} deep")
