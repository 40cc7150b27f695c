import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.errors import HubError, SpecError
from dure.hub.reference import Reference, is_reference, parse_hub, parse_reference, repository_name

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub://SentenceEncoder", Reference(name="SentenceEncoder")),
        ("hub://SentenceEncoder:1.0", Reference(name="SentenceEncoder", tag="1.0")),
        ("hub://sentence-encoder:1.0", Reference(name="sentence-encoder", tag="1.0")),
        ("hub://a/b/Name", Reference(name="Name", namespace="a/b")),
        ("hub://localhost/Name", Reference(name="Name", registry="localhost")),
        ("hub://localhost:5000/a/Name:x", Reference(name="Name", registry="localhost:5000", namespace="a", tag="x")),
        ("hub://hub.example/Name", Reference(name="Name", registry="hub.example")),
        ("hub://[::1]:5000/Name", Reference(name="Name", registry="[::1]:5000")),
        (f"hub://Name@{DIGEST}", Reference(name="Name", digest=DIGEST)),
        (f"hub://Name:1@{DIGEST}", Reference(name="Name", tag="1", digest=DIGEST)),
        ("hub+docker://Name/gpu", Reference(name="Name", tag="gpu", is_image=True)),
        ("hub+docker://Name:gpu", Reference(name="Name", tag="gpu", is_image=True)),
        ("hub+docker://team/Name/gpu", Reference(name="Name", namespace="team", tag="gpu", is_image=True)),
        ("jinahub://Name/tag", Reference(name="Name", tag="tag")),
        ("jinahub+docker://TransformerTorchEncoder", Reference(name="TransformerTorchEncoder", is_image=True)),
    ],
)
def test_what_people_write(text: str, expected: Reference) -> None:
    assert is_reference(text)
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("docker://Name", "does not begin with hub://"),
        ("SentenceEncoder", "does not begin with hub://"),
        ("hub://", "'' is no Executor's name"),
        ("hub://Name/", "'' is no tag"),
        ("hub:///Name", "'' cannot stand before a name"),
        ("hub://a//Name", "'' cannot stand before a name"),
        ("hub://Team/Name/tag", "'Team' cannot stand before a name"),
        ("hub://My_Name", "'My_Name' is no Executor's name"),
        ("hub://Name\n", "is no Executor's name"),
        ("hub://../Name", "'..' is no HOST"),
        ("hub://Name:", "'' is no tag"),
        ("hub://Name:.x", "'.x' is no tag"),
        ("hub://Name:1/2", "two tags, '1' and '2'"),
        ("hub://Name@1.0", "'1.0' is no digest"),
        ("hub://Name@sha256:ABC", "is no digest"),
        ("hub://localhost:99999/Name", "'localhost:99999' is no HOST"),
        ("hub://user@hub.example/Name", "is no digest"),
        ("jinahub://Name:secret", "NAME:SECRET was for Jina's own hub"),
        ("jinahub+docker://Name:secret/gpu", "NAME:SECRET was for Jina's own hub"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_reference(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", ["docker://x", "Name", "", 3, None, "https://hub.example"])
def test_what_is_none(value: object) -> None:
    assert not is_reference(value)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    for scheme in ("hub", "jinahub+docker"):
        try:
            known = parse_reference(f"{scheme}://{text}")
        except SpecError:
            continue
        assert set(known.repository) <= {*string.ascii_lowercase, *string.digits, *"._-/"}
        assert ".." not in known.repository
        assert "/" not in known.tag
        assert parse_reference(str(known)) == known


PART = st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,5}){0,2}", fullmatch=True)


@given(
    name=st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True),
    registry=st.sampled_from(["", "localhost:5000", "hub.example", "127.0.0.1:1"]),
    # The first part of a path is a host by Docker's rule if it has a dot.
    namespace=st.lists(PART.filter(lambda part: "." not in part and part != "localhost"), max_size=3).map("/".join),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    digest=st.sampled_from(["", DIGEST]),
    is_image=st.booleans(),
)
def test_a_reference_is_read_as_it_is_written(**fields: object) -> None:
    reference = Reference(**fields)  # type: ignore[arg-type]
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SentenceEncoder", "sentence-encoder"),
        ("TransformerTorchEncoder", "transformer-torch-encoder"),
        ("BERTEncoder", "bert-encoder"),
        ("CLIPImage2Text", "clip-image2-text"),
        ("Ner", "ner"),
        ("sentence-encoder", "sentence-encoder"),
    ],
)
def test_what_a_repository_is_called(name: str, expected: str) -> None:
    assert repository_name(name) == expected


def test_the_registry_is_the_reference_s_own_or_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_HUB", "hub.example:5000/team")
    encoder = parse_reference("hub://SentenceEncoder")
    assert encoder.resolved().repository == "team/sentence-encoder/source"
    assert str(parse_reference("hub://other/Name").resolved()) == "hub://hub.example:5000/other/Name:latest"
    assert str(parse_reference("hub://localhost/Name").resolved()) == "hub://localhost/Name:latest"
    monkeypatch.delenv("DURE_HUB")
    with pytest.raises(HubError, match=r"there is no default one.*DURE_HUB"):
        encoder.resolved()


def test_images_have_the_names_that_docker_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = parse_reference("hub+docker://SentenceEncoder/gpu")
    assert gpu.repository == "sentence-encoder"
    assert gpu.image_name() == "sentence-encoder:gpu"
    assert gpu.image_name("localhost:5000/team") == "localhost:5000/team/sentence-encoder:gpu"
    monkeypatch.setenv("DURE_HUB", "hub.example")
    assert gpu.image_name() == "hub.example/sentence-encoder:gpu"
    assert parse_reference(f"hub+docker://Name@{DIGEST}").image_name() == f"hub.example/name@{DIGEST}"


@pytest.mark.parametrize("text", ["team", "https://hub.example", "hub.example/Team", "hub.example//x", "h.x:0", " "])
def test_what_dure_hub_cannot_be(text: str) -> None:
    with pytest.raises(SpecError, match="DURE_HUB"):
        parse_hub(text)


def test_what_dure_hub_can_be() -> None:
    assert parse_hub("") == ("", "")
    assert parse_hub("localhost:5000") == ("localhost:5000", "")
    assert parse_hub("hub.example/a/b/") == ("hub.example", "a/b")


def test_the_notice_of_jina_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    from dure.hub.reference import _notice

    _notice.cache_clear()
    logging.getLogger("dure").addHandler(caplog.handler)
    for _ in range(3):
        parse_reference("jinahub://Name")
    logging.getLogger("dure").removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records].count(caplog.messages[0]) == 1
    assert "jinahub:// is read as hub://" in caplog.messages[0]
