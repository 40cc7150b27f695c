"""`dure train`, `predict` and `evaluate`, as a person runs them: real files, real models, a home of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.bib.job import State
from dure.bib.queue import JobQueue

SENTENCES = [
    ("The {} was delicious and the soup was hot", "food"),
    ("We ate {} with rice in the kitchen", "food"),
    ("The train to the {} was late again", "travel"),
    ("Our plane left for the {} at noon", "travel"),
]
WORDS = ["bread", "cake", "apple", "station", "island", "river", "noodle", "harbour", "market", "village"]
NAMES = ["Ada", "Bob", "Carla", "Dinesh", "Emma", "Femi"]
CITIES = ["Paris", "Seoul", "Lagos", "Oslo", "Lima", "Cairo"]

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def dure(home: Path) -> Run:
    def run(*arguments: object, stdin: str = "", succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "dure.cli.main", *map(str, arguments)],
            cwd=home,
            env={**os.environ, "DURE_HOME": str(home / "dure"), "HF_HUB_OFFLINE": "1"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert (done.returncode == 0) is succeeds, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def reviews(home: Path) -> Path:
    rows = [f"{text.format(word)}\t{label}\n" for word in WORDS for text, label in SENTENCES]
    path = home / "reviews.tsv"
    path.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def people(home: Path) -> Path:
    blocks = [
        f"{name}\tB-PER\nlives\tO\nin\tO\n{city}\tB-LOC\n\n{city}\tB-LOC\nis\tO\nfar\tO\nfrom\tO\nhere\tO\n\n"
        f"Yesterday\tO\n{name}\tB-PER\ncame\tO\nhome\tO\n\n"
        for name in NAMES
        for city in CITIES
    ]
    path = home / "people.conll"
    path.write_text("".join(blocks), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def classifier(dure: Run, reviews: Path, home: Path) -> str:
    told = dure("train", "tc", reviews, "--model-name", "reviews", "--result", home / "steps.jsonl").stdout
    assert "label food" in told
    assert "reviews@1: accuracy" in told
    return "reviews"


@pytest.fixture(scope="module")
def tagger(dure: Run, people: Path) -> str:
    # The same sentences again, so that the scores are those of what was learnt by heart.
    told = dure("train", "ner", people, "--validation", people, "--epochs", 12, "--model-name", "people").stdout
    assert "rows to validate on are trained on as well" in told
    assert "people@1: entity_f1" in told
    return "people"


def test_the_result_file_has_steps_with_their_elapsed_time(classifier: str, home: Path) -> None:
    lines = [json.loads(line) for line in (home / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    *steps, last = lines
    assert last["model"] == f"{classifier}@1"
    assert 0 < steps[0]["elapsed_time"] <= steps[-1]["elapsed_time"] <= last["elapsed_time"]
    assert steps[-1]["step"] == steps[-1]["num_steps"]
    assert {"share", "epoch", "loss", "score"} <= steps[0].keys()


def test_texts_are_classified(dure: Run, classifier: str) -> None:
    done = dure("predict", classifier, "We ate soup with rice", "The plane was late again")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["food", "travel"]
    assert "loaded in" in done.stderr
    (line,) = dure("predict", f"{classifier}@1", "--json", stdin="We ate soup with rice\n").stdout.splitlines()
    said = json.loads(line)
    assert said["label"] == "food"
    assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_classifier_is_evaluated(dure: Run, classifier: str, reviews: Path) -> None:
    values = json.loads(dure("evaluate", classifier, reviews, "--json").stdout)
    assert values["accuracy"] > 0.9
    assert values["macro_f1"] > 0.9
    assert values["rows"] == 40
    assert "food" in dure("evaluate", classifier, reviews).stdout


def test_entities_are_found(dure: Run, tagger: str) -> None:
    assert dure("predict", tagger, "Ada lives in Oslo").stdout == "[Ada PER] lives in [Oslo LOC]\n"
    said = json.loads(dure("predict", tagger, "--json", "Ada lives in Oslo").stdout)
    assert [(entity["start"], entity["end"], entity["type"]) for entity in said["entities"]] == [
        (0, 3, "PER"),
        (13, 17, "LOC"),
    ]


def test_a_tagger_is_evaluated_with_pictures(dure: Run, tagger: str, people: Path, home: Path) -> None:
    pytest.importorskip("matplotlib")
    done = dure("evaluate", tagger, people, "--json", "--pictures", home / "pictures")
    assert json.loads(done.stdout)["entity_f1"] > 0.9
    assert "was trained on these rows" in done.stderr
    names = {path.name for path in (home / "pictures").iterdir()}
    assert names == {"evaluation.html", "per_type.png", "reliability.png", "learning_curve.png"}


def test_an_unknown_model_lists_those_there_are(dure: Run, classifier: str, tagger: str) -> None:
    told = dure("predict", "review", "text", succeeds=False).stderr
    assert classifier in told
    assert tagger in told


def test_an_interrupt_cancels_the_job(home: Path, people: Path) -> None:
    result = home / "interrupted.jsonl"
    command = [sys.executable, "-m", "dure.cli.main", "train", "ner", str(people), "--model-name", "never"]
    started = subprocess.Popen(
        [*command, "--epochs", "500", "--result", str(result)],
        env={**os.environ, "DURE_HOME": str(home / "dure")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up_at = time.monotonic() + 120
    while not (result.exists() and result.stat().st_size) and time.monotonic() < give_up_at:
        assert started.poll() is None, started.communicate()[1]
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=30)
    assert started.returncode == 1
    assert "is cancelled; the versions of never are as they were" in told
    (job,) = (job for job in JobQueue(home / "dure" / "jobs").jobs() if job.model_name == "never")
    while not job.state.is_final and time.monotonic() < give_up_at:
        time.sleep(0.1)
        job = JobQueue(home / "dure" / "jobs").job(job.id)
    assert job.state is State.CANCELLED


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("text\tlabel\n", [], "empty"),
        ("text\tlabel\na\tx\nb\tx\n", [], "have the label 'x'"),
        ("text\tlabel\na\tx\nb\t\n", [], "no label in line 3"),
        ("text\tlabel\na\tx\nb\ty\n", ["--epochs", 0], "epochs=0"),
        *(("text\tlabel\na\tx\nb\ty\n", ["--train-rate", rate], "train_rate") for rate in (0, 1, 2, "nan")),
        ("text\tlabel\na\tx\nb\ty\n", [], "leaves nothing to validate"),
        ("text\tlabel\na\tx\nb\ty\n", ["--model-name", "../up"], "../up"),
        ("text\tlabel\na\tx\nb\ty\n", ["--device", "gpu:77"], "gpu(77)"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(
    dure: Run, home: Path, content: str, options: list[object], told: str
) -> None:
    path = home / "bad.tsv"
    path.write_text(content, encoding="utf-8")
    done = dure("train", "tc", path, "--model-name", "bad", *options, succeeds=False)
    assert told in done.stderr
    assert done.stderr.startswith("Error: ")
