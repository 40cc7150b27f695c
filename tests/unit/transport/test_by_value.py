"""What a main program defines, in a process that cannot import it."""

import pickle
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

PROGRAM = '''
import sys
from typing import Annotated

import msgspec
from dure.transport.by_value import dumps


class Base(msgspec.Struct):
    kind: str


class Times(Base, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How often."""

    many_times: Annotated[int, msgspec.Meta(ge=1)] = 1
    words: list[str] = []
    must: float

    def __post_init__(self) -> None:
        if self.many_times == 13:
            raise ValueError("not thirteen")

    def doubled(self) -> int:
        return 2 * self.many_times


class Uses:
    def method(self, parameters: Times) -> int:
        return parameters.doubled()


def local():
    class Inner(msgspec.Struct, array_like=True, tag="inner"):
        a: int
        b: int = 2

    return Inner


sys.stdout.buffer.write(dumps((Uses, Times, local())))
'''


def test_structs_keep_their_fields_rules_and_methods(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    data = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, check=True).stdout
    uses, times, inner = pickle.loads(data)
    made = msgspec.convert({"kind": "k", "manyTimes": 3, "must": 0.5}, times)
    assert (made.many_times, made.words, made.must, made.doubled()) == (3, [], 0.5, 6)
    assert uses().method(made) == 6
    assert (times.__doc__, times.__name__, [one.__name__ for one in times.__mro__[1:2]]) == (
        "How often.",
        "Times",
        ["Base"],
    )
    for wrong in ({"manyTimes": 0}, {"manyTimes": 13}, {"more": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"kind": "k", "must": 0.5, **wrong}, times)
    with pytest.raises(AttributeError, match="immutable"):
        made.must = 1.0
    assert msgspec.json.encode(inner(1)) == b'["inner",1,2]'
    assert made.words is not msgspec.convert({"kind": "k", "must": 1.0}, times).words
