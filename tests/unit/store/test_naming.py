"""What models may be called: nothing that leaves its folder, hides, or is taken for something else."""

import unicodedata

import pytest

from dure.errors import ValidationError
from dure.store.naming import ModelReference, checked_alias, checked_name, parse_reference


@pytest.mark.parametrize("name", ["m", "tc_train", "뉴스-분류.v2", "3", "a" * 64])
def test_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../m", "a/b", "a\\b", ".m", "-m", "m@1", "a b", "m\n", "m\0", "a" * 65, None, 3]
)
def test_no_names(name: object) -> None:
    with pytest.raises(ValidationError, match=r"model_name: .*a name has"):
        checked_name(name)


def test_one_name_is_one_folder_however_its_letters_are_composed() -> None:
    assert checked_name(unicodedata.normalize("NFD", "감정")) == "감정"


def test_references() -> None:
    assert parse_reference("m") == ModelReference("m")
    assert parse_reference("m@3") == ModelReference("m", number=3)
    assert parse_reference("m@prod") == ModelReference("m", alias="prod")


@pytest.mark.parametrize("text", ["", "@", "m@", "m@0", "m@-1", "m@../x", "m@1@2", "../m@1", None])
def test_no_references(text: object) -> None:
    with pytest.raises(ValidationError):
        parse_reference(text)


def test_an_alias_is_no_number() -> None:
    assert checked_alias("v3") == "v3"
    with pytest.raises(ValidationError, match="number of a version"):
        checked_alias("3")
