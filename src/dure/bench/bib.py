"""Training and prediction of both tasks on each of some devices: the two tables of the post that BIB comes from.

Trains through jobs, as a server does, and predicts three ways: by the library, with the model loaded first, and through
a server over gRPC. Accuracy stands beside every time. Knows nothing of tables or plots.

Source: J. Kim, "GPU vs CPU test with Docker" (Baikal AI, 2021), whose numbers are `SEED`.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dure.bench.bib_service import Service
from dure.bench.clock import device_clock
from dure.bench.machine import described
from dure.bench.session import Session
from dure.bench.timing import Effort, Spread, compared, ratio, timed
from dure.bib.trainings import Trainings
from dure.dataset.dataset import Dataset, Task
from dure.device.context import Context
from dure.errors import TrainingFailed
from dure.learning.evaluation import evaluate
from dure.learning.kinds import load_model
from dure.learning.recipe import Recipe
from dure.store.store import ModelStore

if TYPE_CHECKING:
    from dure.store.version import Version

SEED = {
    ("train", "ner"): (2548.3, 786.5),
    ("train", "tc"): (2173.3, 170.1),
    ("predict", "ner"): (99.5, 58.2),
    ("predict", "tc"): (72.2, 7.5),
}
"""What, of which task -> seconds on the post's CPU and on its GPU. Its models and data are other ones than ours."""

TITLES: dict[Task, str] = {"tc": "text classification", "ner": "named entities"}

_EFFORT = Effort(sample_s=0.0, point_s=20.0, min_samples=5, max_samples=9)


@dataclass(frozen=True, kw_only=True)
class BibSet:
    """A task with what it is learnt from and judged by.

    Args:
        name: What the data is called.
        train: What is trained on.
        test: What the model is judged by, and predicts for the clock.
    """

    name: str
    train: Dataset
    test: Dataset

    @property
    def task(self) -> Task:
        """What is done."""
        return self.train.task


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        epochs: Of training; None: as many as are good for the model.
        num_texts: Texts that are predicted at once.
        encoder: What is fine-tuned, instead of models trained from nothing.
        effort: How often predictions are repeated.
    """

    epochs: int | None = None
    num_texts: int = 5000
    encoder: str | None = None
    effort: Effort = _EFFORT


QUICK = Plan(epochs=1, num_texts=200, effort=Effort(sample_s=0.0, point_s=0.5, min_samples=3, max_samples=3))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPoint:
    """One training on one device.

    Args:
        device: Where.
        task: What was learnt.
        data: From what.
        num_rows: Rows of it.
        elapsed_s: Seconds of training, by the worker's clock.
        scores: What `dure evaluate` tells of the model, on texts that it has not seen.
    """

    device: str
    task: Task
    data: str
    num_rows: int
    elapsed_s: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictPoint:
    """Predictions by one model on one device.

    Args:
        device: Where.
        task: What is predicted.
        data: Of what.
        num_texts: Texts of a call.
        load_s: Seconds until the model is loaded.
        predict_s: Seconds of a call of the library, with the model loaded.
        service_s: Seconds of the same texts through the server over gRPC.
        against_library: The library's seconds over the server's, pair by pair: 1 is no cost at all.
    """

    device: str
    task: Task
    data: str
    num_texts: int
    load_s: Spread
    predict_s: Spread
    service_s: Spread
    against_library: Spread


@dataclass
class BibReport:
    """All that was measured.

    Args:
        about: What it was measured on.
        encoder: What was fine-tuned; empty: models were trained from nothing.
        trainings: In the order in which they were done.
        predictions: Likewise.
        failures: What could not be measured, and why.
    """

    about: dict[str, Any]
    encoder: str = ""
    trainings: list[TrainPoint] = field(default_factory=list)
    predictions: list[PredictPoint] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def measure(session: Session, sets: Sequence[BibSet], plan: Plan) -> BibReport:
    """Train and predict each set on each device of the session.

    Args:
        session: The devices, and who is told.
        sets: One for each task.
        plan: How much is measured.
    """
    report = BibReport(described(session.contexts), plan.encoder or "")
    for context in session.contexts:
        with tempfile.TemporaryDirectory(prefix="dure-bib-") as folder:
            works = [_Work(context, one, plan, Path(folder)) for one in sets]
            for work in works:
                parts = {f"train, {work.told}": lambda work=work: report.trainings.append(work.train())}
                session.run(str(context), parts, report.failures)
            for work in works:
                if work.version is not None:
                    parts = {f"predict, {work.told}": lambda work=work: report.predictions.append(work.predict())}
                    session.run(str(context), parts, report.failures)
    return report


class _Work:
    """One set on one device."""

    def __init__(self, context: Context, data: BibSet, plan: Plan, home: Path) -> None:
        self.version: Version | None = None
        self.told = f"{TITLES[data.task]} ({data.name})"
        self._context = context
        self._data = data
        self._plan = plan
        self._home = home

    def train(self) -> TrainPoint:
        recipe = Recipe(task=self._data.task, epochs=self._plan.epochs, encoder=self._plan.encoder)
        with Trainings(self._context.torch_name, self._home) as trainings:
            job = trainings.submit(self._data.task, recipe, self._data.train.examples)
            for event in trainings.watch(job.id):
                last = event
        if not last.version:
            raise TrainingFailed(f"the job ended as {last.state}: {last.note}")
        self.version = ModelStore(self._home / "models").resolve(f"{self._data.task}@{last.version}")
        evaluation = evaluate(load_model(self.version.folder, self._context), self._data.test.examples)
        return TrainPoint(
            device=str(self._context),
            task=self._data.task,
            data=self._data.name,
            num_rows=len(self._data.train.examples),
            elapsed_s=last.elapsed_time_s,
            scores=evaluation.scores.headline(),
        )

    def predict(self) -> PredictPoint:
        assert self.version is not None
        clock, folder = device_clock(self._context), self.version.folder
        loads = [timed(lambda: load_model(folder, self._context), clock) for _ in range(5)]
        model = load_model(folder, self._context)
        texts = [example.text for example in self._data.test.examples]
        texts = (texts * -(-self._plan.num_texts // len(texts)))[: self._plan.num_texts]
        with Service(self._home, str(self._context), self.version) as service:
            works = {"library": lambda: model.predict(texts), "service": lambda: service.predict(texts)}
            rounds = compared(works, clock, self._plan.effort)
        return PredictPoint(
            device=str(self._context),
            task=self._data.task,
            data=self._data.name,
            num_texts=len(texts),
            load_s=Spread.of(loads),
            predict_s=Spread.of(rounds["library"]),
            service_s=Spread.of(rounds["service"]),
            against_library=ratio(rounds["library"], rounds["service"]),
        )
