"""The wheel of a checkout holds what the checkout holds."""

import zipfile
from pathlib import Path

from dure.hub.release import checkout, make_wheel, requirement


def test_a_wheel_of_this_checkout(tmp_path: Path) -> None:
    root = checkout()
    assert root is not None
    wheel = make_wheel(root, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"dure/cli/container.py", "dure/hub/templates/Dockerfile.in"} <= names
    assert wheel.name.startswith("dure-")
    assert not list(root.glob("build")), "nothing is left in the checkout"
    assert requirement().startswith("dure[serve]==")
