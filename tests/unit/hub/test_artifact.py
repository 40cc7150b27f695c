import msgspec
import pytest

from dure.errors import HubError
from dure.hub.artifact import (
    BUNDLE_TYPE,
    MANIFEST_TYPE,
    SOURCE_TYPE,
    BundleConfig,
    Descriptor,
    Manifest,
    check_digest,
    digest_of,
    read_config,
    read_manifest,
    source_of,
    write_record,
)

BLOB = Descriptor(media_type=BUNDLE_TYPE, digest=digest_of(b""), size=0)
LAYER = Descriptor(media_type=SOURCE_TYPE, digest=digest_of(b"x"), size=1)
BUNDLE = Manifest(media_type=MANIFEST_TYPE, artifact_type=BUNDLE_TYPE, config=BLOB, layers=[LAYER])


def test_a_manifest_is_written_in_oci_s_words() -> None:
    data = write_record(BUNDLE)
    plain = msgspec.json.decode(data)
    assert plain["schemaVersion"] == 2
    assert plain["artifactType"] == "application/vnd.dure.bundle.v1+json"
    assert plain["layers"][0]["mediaType"] == "application/vnd.dure.bundle.source.v1.tar+gzip"
    assert read_manifest(data, "x") == BUNDLE
    assert source_of(BUNDLE, "x") == (BLOB, LAYER)


def test_the_bytes_of_the_empty_text_have_the_digest_that_all_know() -> None:
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert check_digest(b"", digest_of(b""), "x") == b""
    with pytest.raises(HubError, match=r"x: its digest is .* was expected"):
        check_digest(b"y", digest_of(b""), "x")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"\xff", b'{"layers": 3}', b"[" * 100_000),
        b'{"config": {"mediaType": "x", "digest": "sha256:../../etc", "size": 1}}',
        b'{"layers": [{"mediaType": "x", "digest": "md5:00", "size": 1}]}',
        write_record(Manifest(config=msgspec.structs.replace(BLOB, size=-1))),
    ],
)
def test_what_is_no_manifest_is_told(data: bytes) -> None:
    with pytest.raises(HubError, match=r"^x"):
        read_manifest(data, "x")


def test_an_index_is_a_manifest_without_parts() -> None:
    index = read_manifest(b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:00"}]}', "x")
    with pytest.raises(HubError, match="x is no bundle of dure"):
        source_of(index, "x")


def test_a_bundle_of_another_kind_is_told() -> None:
    newer = msgspec.structs.replace(BUNDLE, layers=[LAYER, LAYER])
    with pytest.raises(HubError, match="another version of dure"):
        source_of(newer, "x")


def test_a_config_of_a_newer_dure_is_read() -> None:
    config = BundleConfig(name="Shout", dure="9", diff_id="sha256:0", num_files=1, unpacked_bytes=2)
    data = write_record(config)[:-1] + b',"new":[1]}'
    assert read_config(data, "x") == config
    with pytest.raises(HubError, match="is no BundleConfig"):
        read_config(b"{}", "x")
