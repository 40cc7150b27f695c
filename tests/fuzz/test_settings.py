"""What is read before a request is: keys and their file, hosts and origins; and Flows in YAML, written by people."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from dure.errors import SpecError, Unauthenticated
from dure.executor.yaml_file import read_yaml
from dure.flow.yaml_io import flow_of, yaml_of
from dure.gateway import keys
from dure.gateway.guard import _place
from dure.gateway.http_guard import _key_of
from dure.gateway.keys import Key, KeyRing, Scope
from dure.gateway.limits import Limits
from dure.gateway.origins import Origins
from dure.spec import GatewaySpec
from tests.fuzz.mutation import around, as_json, odd, repeated
from tests.fuzz.search import Bounds, Search, value_or_error


def _key(folder: Path) -> tuple[Path, str]:
    path = folder / "keys.json"

    def make(number: str, salt: str, hashed: str) -> Key:
        return Key(
            id=number, name="shop", salt=salt, hash=hashed, scopes=[Scope.INFER], limits=Limits(), max_priority=1
        )

    return path, keys.add(path, make)


def test_keys_that_are_given(search: Search, tmp_path: Path) -> None:
    path, key = _key(tmp_path)
    ring = KeyRing(path)
    good = key.encode()

    def check(headers: tuple[bytes, bytes]) -> None:
        name, value = headers
        given = _key_of({name: value})
        try:
            ring.find(given)
        except Unauthenticated:
            assert given != good
        else:
            assert given == good

    values = [b"Bearer " + good, b"bearer  " + good, b"Basic eDpk", b"Basic *", good, b"Digest a=b"]
    search(st.tuples(st.sampled_from([b"authorization", b"x-api-key"]), around(values)), check)


def test_files_of_keys(search: Search, tmp_path: Path) -> None:
    path, key = _key(tmp_path)
    valid = path.read_bytes()
    values = [json.loads(valid)]
    values[0]["keys"][0]["expires_at"] = "2020-01-01T00:00:00Z"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        path.chmod(0o600)
        try:
            ring = KeyRing(path)
            ring.find(key.encode())
        except (SpecError, Unauthenticated):
            pass

    odd_times = ["2020-01-01T00:00:00", "9999-12-31T23:59:59+00:00", "xyz", "ab"]
    search(around([valid]) | as_json(odd(values, odd_times)), check)


def test_hosts_and_origins(search: Search) -> None:
    origins = Origins(GatewaySpec(allowed_hosts=["a.example", "*.b.example"], cors_origins=["https://c.example"]))

    def check(given: tuple[bytes, bytes | None, str]) -> None:
        host, origin, address = given
        headers = {b"host": host} if origin is None else {b"host": host, b"origin": origin}
        value_or_error(lambda: Bounds().check(len(host), lambda: origins.check(headers)))
        _place(address)

    hosts = [b"localhost:80", b"[::1]:80", b"a.example", b"x.b.example:1", b"127.0.0.1", b"0x7f.1", b"[fe80::1%25a]"]
    pages = [b"https://c.example", b"null", b"http://localhost:80", b"file://"]
    addresses = around([b"127.0.0.1", b"::ffff:1.2.3.4", b"fe80::1%eth0"]).map(lambda a: a.decode("latin-1"))
    search(st.tuples(around(hosts), st.none() | around(pages), addresses), check)


FLOW = """
jtype: Flow
with: {port: 0, protocol: [grpc, http], keys_file: keys.json}
executors:
  - name: a
    uses: A
    uses_with: &shared {x: 1, when: 2001-12-14, n: 0x1F, none: ~}
    batching: {max_batch_size: 4}
  - {name: b, uses: B, uses_with: *shared, needs: [a], replicas: 2}
"""
_TAGS = ("int", "float", "bool", "timestamp", "binary", "null", "set", "omap", "merge", "python/name:os.system")
TAGGED = [f"a: {{b: !!{tag} {value}}}\n" for tag in _TAGS for value in ("", "x", "1", "0x", "[1]", "2001-99-99")]
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
TEXTS = [FLOW, LAUGHS, "jtype: Flow\nexecutors: &a [*a]\n", "x: 2001-01-01 99:99:99\n", *TAGGED]


def test_flows_in_yaml(search: Search) -> None:
    def check(data: bytes) -> None:
        text = data.decode(errors="replace") + "\n"
        value_or_error(lambda: Bounds().check(len(data), lambda: read_yaml(text)))
        flow = value_or_error(lambda: flow_of(text))
        if flow is not None:
            written = value_or_error(lambda: yaml_of(flow))
            assert written is None or flow_of(written) == flow or "nan" in written

    sources = [text.encode() for text in TEXTS]
    search(around(sources) | _odd_flows() | repeated(sources[:3], 16 * 1024), check)


def _odd_flows() -> st.SearchStrategy[bytes]:
    flow: dict[str, Any] = {
        "jtype": "Flow",
        "with": {"port": 0, "protocol": ["grpc"], "name": "x", "env": {"A": "b"}},
        "executors": [{"uses": "A", "needs": "gateway", "batching": {"preferred_batch_sizes": [4]}, "env": {}}],
    }
    return as_json(odd([flow])).map(lambda data: data + b"\n")
