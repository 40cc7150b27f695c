"""Which images are fetched; that they are, and what is said of one that is not, tests/e2e/test_containers.py holds."""

import pytest

from dure.backends.pull import registry_of


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("sentence-encoder", ""),
        ("sentence-encoder:gpu", ""),
        ("team/sentence-encoder", ""),
        ("ghcr.io/team/sentence-encoder:gpu", "ghcr.io"),
        ("localhost/encoder", "localhost"),
        ("localhost:5000/team/encoder@sha256:00", "localhost:5000"),
        ("docker.io/library/python", "docker.io"),
    ],
)
def test_a_short_name_says_no_registry(image: str, registry: str) -> None:
    assert registry_of(image) == registry
