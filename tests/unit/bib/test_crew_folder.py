"""What a crew and who leads it tell each other through a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dure.bib.crew_folder import CrewFolder, CrewTask
from dure.bib.job import Event
from dure.dataset.example import LabelledText
from dure.errors import Cancelled, ValidationError
from dure.learning.recipe import Recipe

RECIPE = Recipe(task="tc", encoder="/models/e", shares=2).as_dict()
TASK = CrewTask(recipe=RECIPE, digest="d", threads=1)
PARTS = ([LabelledText("a\nb", "x")], [LabelledText("c", "y")])


def test_workers_read_what_who_leads_has_written(tmp_path: Path) -> None:
    with CrewFolder(tmp_path / "crew").taken(TASK, PARTS):
        worker = CrewFolder(tmp_path / "crew")
        assert worker.task() == TASK
        assert worker.parts("tc") == PARTS
    with pytest.raises(ValidationError, match="does not see"):
        CrewFolder(tmp_path / "elsewhere").task()


def test_a_worker_of_another_version_says_so(tmp_path: Path) -> None:
    folder = CrewFolder(tmp_path / "crew")
    with folder.taken(CrewTask(recipe=RECIPE, digest="d", threads=1, dure="99.0"), PARTS):
        pass
    with pytest.raises(ValidationError, match=r"has dure .*, and who leads the training has 99\.0"):
        folder.task()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (CrewTask(recipe={**RECIPE, "seed": 1}, digest="d", threads=1), "its seed is 0, not 1"),
        (CrewTask(recipe=RECIPE, digest="e", threads=1), "its data are others"),
    ],
)
def test_another_trainings_folder_is_refused(tmp_path: Path, other: CrewTask, told: str) -> None:
    with CrewFolder(tmp_path / "crew").taken(TASK, PARTS):
        pass
    folder = CrewFolder(tmp_path / "crew")
    with pytest.raises(ValidationError, match=f"holds another training: {told}"), folder.taken(other, PARTS):
        pass


def test_folders_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValidationError, match="holds other files"), CrewFolder(tmp_path).taken(TASK, PARTS):
        pass
    folder = CrewFolder(tmp_path / "thesis.txt" / "crew")
    with pytest.raises(ValidationError, match="cannot be used"), folder.taken(TASK, PARTS):
        pass
    with CrewFolder(tmp_path / "crew").taken(TASK, PARTS):
        again = CrewFolder(tmp_path / "crew")
        with pytest.raises(ValidationError, match="in use by a training that runs"), again.taken(TASK, PARTS):
            pass


def test_a_worker_knows_whether_who_leads_it_is_there(tmp_path: Path) -> None:
    leader = CrewFolder(tmp_path / "crew")
    with leader.taken(TASK, PARTS):
        program = (
            "import sys; from pathlib import Path; from dure.bib.crew_folder import CrewFolder;"
            "print([CrewFolder(Path(sys.argv[1]), name).is_led() for name in sys.argv[2:]])"
        )
        words = [sys.executable, "-c", program, str(leader.path), leader.leader, "another"]
        told = subprocess.run(words, capture_output=True, text=True, timeout=50, check=True).stdout
        assert told.strip() == "[True, False]"
    assert not CrewFolder(leader.path, leader.leader).is_led()


def test_what_is_told_comes_in_order_and_once(tmp_path: Path) -> None:
    leader = CrewFolder(tmp_path / "crew")
    assert leader.events() == []
    with leader.taken(TASK, PARTS):
        worker = CrewFolder(leader.path)
        worker.form(2)
        worker.tell(Event(job_id="", step=1))
        assert [(event.note, event.step) for event in leader.events()] == [("a crew of 2 workers", 0), ("", 1)]
        with (leader.path / "progress.jsonl").open("ab") as file:
            file.write(b'{"job_id": "", "st')  # killed while it wrote
        assert leader.events() == []
        for size in (1, 3):
            worker.form(size)
        assert [event.note for event in leader.events()] == [
            "a worker was lost; a crew of 1 worker begins from the last checkpoint",
            "there is more room; a crew of 3 workers begins from the last checkpoint",
        ]


def test_what_is_not_a_crews_stays(tmp_path: Path) -> None:
    folder = CrewFolder(tmp_path / "crew")
    with folder.taken(TASK, PARTS):
        folder.form(2)
        (folder.path / "logs").mkdir()
        (folder.path / "thesis.txt").write_text("mine", encoding="utf-8")
    folder.remove()
    assert [path.name for path in folder.path.iterdir()] == ["thesis.txt"]
    (folder.path / "thesis.txt").unlink()
    with folder.taken(TASK, PARTS):
        pass
    folder.remove()
    assert not folder.path.exists()


def test_a_folder_whose_leader_died_at_once_can_be_had(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with CrewFolder(tmp_path).taken(TASK, PARTS):
        pass


def test_stop_and_errors(tmp_path: Path) -> None:
    leader = CrewFolder(tmp_path / "crew")
    with leader.taken(TASK, PARTS):
        worker = CrewFolder(leader.path)
        assert not worker.is_to_stop()
        leader.ask_to_stop()
        assert worker.is_to_stop()
        assert leader.error() is None
        worker.fail(Cancelled("stopped after 3 steps"))
        assert isinstance(leader.error(), Cancelled)
    with CrewFolder(tmp_path / "crew").taken(TASK, PARTS):  # the next one begins without them
        assert not worker.is_to_stop()
        assert leader.error() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "crew").mkdir(mode=0o500)
    with pytest.raises(ValidationError, match="cannot be used"), CrewFolder(tmp_path / "crew").taken(TASK, PARTS):
        pass
