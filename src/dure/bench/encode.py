"""The encoding of sentences, measured: seed and settings, on each of some devices.

Knows the order of measurements and their sizes; each is a file of its own, tables and plots are others'.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dure.bench import batches
from dure.bench.batches import BatchPoint, full_at
from dure.bench.clock import device_clock
from dure.bench.devices import dtypes
from dure.bench.encoding import Clocks, Encoding
from dure.bench.flow_job import REQUEST_SIZE, Job, bare_jobs, flow_jobs
from dure.bench.machine import described
from dure.bench.plain_model import PlainModel, Setting
from dure.bench.products import peak
from dure.bench.session import Session
from dure.bench.settings import SettingPoint, settings
from dure.bench.timing import FULL, QUICK, Effort
from dure.bench.tutorial import BATCH_SIZE
from dure.dataset.corpus import distinct, standard_library
from dure.device.library import torch_device
from dure.errors import DureError
from dure.nlp.snapshot import SENTENCE_FILES, resolve


@dataclass(frozen=True, slots=True)
class EncodeEffort:
    """How much is measured.

    Args:
        num_texts: Different texts, at most; fewer where the standard library holds fewer.
        batch_sizes: Those that are tried, growing.
        pass_s: Seconds that a pass of the loop is to take.
        job_s: Seconds that a pass through a Flow is to take.
        passes: How often; a sample is one pass.
        products: Of the product that the model's operations are held against.
    """

    num_texts: int = 10_000
    batch_sizes: tuple[int, ...] = tuple(2**power for power in range(14))
    pass_s: float = 0.4
    job_s: float = 3.0
    passes: Effort = field(default_factory=lambda: Effort(0.0, 1.0, min_samples=3, max_samples=5, sweep_s=40.0))
    products: Effort = FULL


FULL_EFFORT = EncodeEffort()
QUICK_EFFORT = EncodeEffort(
    num_texts=48,
    batch_sizes=(8, BATCH_SIZE),
    pass_s=0.1,
    job_s=0.1,
    passes=Effort(0.0, 0.1, min_samples=2, max_samples=2, sweep_s=10.0),
    products=replace(QUICK, max_bytes=2**20),
)


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """Everything that was measured.

    Args:
        about: The machine, see `dure.bench.machine.described`.
        model: Its name, where it came from and its sizes.
        texts: How many there are, and how long they are in tokens.
        peaks: Best product on each device, in operations per second, by device and type of numbers.
        points: The loop over batch sizes.
        ended: Why the loop over batch sizes ended, by device and type of numbers.
        settings: The loop with settings.
        bare: SentenceEncoder without a Flow beside the loop.
        jobs: The tutorial's job.
        failures: What could not be measured, and why.
    """

    about: dict[str, Any]
    model: dict[str, Any]
    texts: dict[str, Any] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    points: list[BatchPoint] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    settings: list[SettingPoint] = field(default_factory=list)
    bare: list[Job] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        """The devices, in the order in which they were asked for."""
        return [told["device"] for told in self.about["devices"]]


def measure(session: Session, model: str, effort: EncodeEffort) -> EncodeReport:
    """Measure everything; what fails is told in the report, and the rest is measured all the same.

    Args:
        session: On what.
        model: A folder, or the name of a model.
        effort: How much.

    Raises:
        DeviceNotFound: A device is not on this machine, or PyTorch cannot use it.
        MissingDependency: The extra `models` is not installed.
        ModelNotFound: The model is in none of the places looked at.
    """
    snapshot = resolve(model, files=SENTENCE_FILES)
    torch_names = [torch_device(context) for context in session.contexts]
    about = described(session.contexts, session.commit)
    report = EncodeReport(about, {"name": Path(snapshot.name).name, "origin": snapshot.origin})
    texts = shuffled(effort.num_texts)
    for context, name in zip(session.contexts, torch_names, strict=True):
        session.tell(f"{context}: loading the model")
        encoding = Encoding(context, PlainModel(snapshot.folder, name), texts, Clocks.of(context), effort.pass_s)
        _describe(encoding, report)
        session.run(str(context), _Parts(encoding, report, effort, snapshot.folder).by_name(), report.failures)
    return report


def shuffled(count: int) -> list[str]:
    """Return different sentences, in no order of length or topic; fewer where there are no more."""
    found = list(islice(distinct(standard_library()), count))
    return [found[row] for row in np.random.default_rng(0).permutation(len(found))]


class _Parts:
    """The parts of what is measured on one device."""

    def __init__(self, encoding: Encoding, report: EncodeReport, effort: EncodeEffort, folder: Path) -> None:
        self._encoding = encoding
        self._report = report
        self._effort = effort
        self._folder = folder
        self._context = encoding.context
        self._dtypes = dtypes(encoding.context)

    def by_name(self) -> dict[str, Callable[[], None]]:
        """Return them in the order in which they are measured: the later ones go by what the first ones find."""
        return {
            "the best product": self._peaks,
            "batch sizes": self._sweeps,
            "the tutorial's job in a Flow": self._jobs,
            "SentenceEncoder beside the loop": self._bare,
            "settings": self._settings,
        }

    def _peaks(self) -> None:
        for dtype in self._dtypes:
            clock = device_clock(self._context)
            self._report.peaks[f"{self._context} {dtype}"] = peak(self._context, dtype, clock, self._effort.products)

    def _sweeps(self) -> None:
        for dtype in self._dtypes[:2]:  # one half type is enough to see where it is full, and it is not at less than 32
            sizes = [size for size in self._effort.batch_sizes if dtype == "float32" or size >= BATCH_SIZE]
            found = batches.sweep(self._encoding, Setting(BATCH_SIZE, dtype), sizes, self._effort.passes)
            self._report.points.extend(found.points)
            self._report.ended[f"{self._context} {dtype}"] = found.ended

    def _settings(self) -> None:
        full = self._full()
        rate = full.passes.docs_per_s.median
        effort = self._effort.passes
        self._report.settings.extend(settings(self._encoding, full.batch_size, self._dtypes, rate, effort))

    def _bare(self) -> None:
        full = self._full()
        sizes = sorted({BATCH_SIZE, full.batch_size})
        rate, effort = full.passes.docs_per_s.median, self._effort.passes
        self._report.bare.extend(bare_jobs(self._encoding, self._folder, sizes, rate, effort))

    def _jobs(self) -> None:
        rate = self._full().passes.docs_per_s.median
        count = self._encoding.count(rate, REQUEST_SIZE, self._effort.job_s)
        self._report.jobs.extend(flow_jobs(self._encoding, self._folder, count, self._effort.passes))

    def _full(self) -> BatchPoint:
        own = [p for p in self._report.points if p.device == str(self._context) and p.dtype == "float32"]
        if not own:
            raise DureError("the batch size that fills the device is not known, since no batches were measured")
        return full_at(own)


def _describe(encoding: Encoding, report: EncodeReport) -> None:
    shape, lengths = encoding.model.shape, encoding.lengths
    report.model.update(layers=shape.num_layers, hidden_size=shape.hidden_size, max_length=encoding.model.max_length)
    report.texts.update(count=len(lengths), mean_tokens=float(lengths.mean()), most_tokens=int(lengths.max()))
