"""What a container is made of, as values."""

import pytest

from dure.backends.image import ContainerSettings, check_docker_kwargs, image_name, is_root, user_of
from dure.errors import SpecError


def test_which_uses_name_an_image() -> None:
    assert image_name("docker://sentence-encoder") == "sentence-encoder"
    assert image_name("docker://localhost:5000/team/encoder:1.0") == "localhost:5000/team/encoder:1.0"
    assert image_name("docker://") == ""
    assert image_name("executor.py") is None
    assert image_name(ContainerSettings) is None


@pytest.mark.parametrize(
    ("said", "of_image", "user"),
    [
        (None, "", "10001:10001"),
        (None, "root", "10001:10001"),
        (None, "0:0", "10001:10001"),
        (None, "1000", "1000"),
        (None, "dure:dure", "dure:dure"),
        ("1234:5", "", "1234:5"),
        ("root", "1000", "root"),
    ],
)
def test_nobody_is_root_unless_that_was_said(said: str | None, of_image: str, user: str) -> None:
    assert user_of(ContainerSettings(path="e", image="i", user=said), of_image) == user
    assert is_root(user) == (user == "root")


def test_dures_own_words_are_not_taken_from_docker() -> None:
    check_docker_kwargs({"shm_size": "1g", "cap_add": ["SYS_PTRACE"]}, "encoder")
    with pytest.raises(SpecError, match=r"encoder.docker_kwargs.mem_limit: cannot be given here: say max_memory="):
        check_docker_kwargs({"mem_limit": "1g"}, "encoder")
    with pytest.raises(SpecError, match=r"network_mode: .* say network="):
        check_docker_kwargs({"network_mode": "host"}, "encoder")
