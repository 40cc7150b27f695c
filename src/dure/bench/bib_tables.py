"""What was measured of training and prediction, as text for people and as Markdown."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from dure.bench.bib import SEED, TITLES, BibReport, PredictPoint, TrainPoint
from dure.bench.table import duration, rate, seconds, table, titled
from dure.bench.timing import Spread
from dure.device.context import cpu

_HOST = str(cpu())
_TRAIN_HEADS = ("task", "data", "device", "rows", "time", "CPU / device", "the post's", "scores on unseen texts")
_PREDICT_HEADS = (
    "task",
    "device",
    "texts",
    "loading",
    "predicting",
    "texts/s",
    "CPU / device",
    "with loading",
    "the post's",
    "through the server",
)
Point = TypeVar("Point", TrainPoint, PredictPoint)


def text_of(report: BibReport) -> str:
    """Return both tables with what is to be known of them."""
    parts = [
        titled("Training and prediction", *_told(report)),
        titled("1. Training", table(_TRAIN_HEADS, _train_rows(report))),
        titled("2. Prediction", table(_PREDICT_HEADS, _predict_rows(report)), "", _NOTE),
        titled("Left out", *report.failures) if report.failures else "",
    ]
    return "\n\n".join(part for part in parts if part)


def markdown_of(report: BibReport) -> str:
    """Return the same as Markdown."""
    parts = [
        "# Training and prediction",
        "\n\n".join(_told(report)),
        "## Training",
        _markdown(_TRAIN_HEADS, _train_rows(report)),
        "## Prediction",
        _markdown(_PREDICT_HEADS, _predict_rows(report)),
        _NOTE,
        *(("## Left out", "\n\n".join(report.failures)) if report.failures else ()),
    ]
    return "\n\n".join(parts) + "\n"


_NOTE = (
    "Predicting: the library's call for all texts at once, medians, with the least and the greatest; loading is told"
    " apart, as in the post.\nWith loading: the ratio of the sums. Through the server: the library's time over that of"
    " the same texts over gRPC, in turn; 1 is no cost."
)


def _told(report: BibReport) -> list[str]:
    about = report.about
    names = ", ".join(f"{told['device']}: {told['name']}" for told in about["devices"])
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    models = f"the encoder {report.encoder}, fine-tuned" if report.encoder else "models trained from nothing"
    return [
        f"{about['date']}, commit {about['commit']}, {about['cores']} cores. {names}. {versions}.",
        f"Models: {models}. The post's ratios are of other models, data and machines.",
    ]


def _train_rows(report: BibReport) -> list[tuple[str, ...]]:
    host = {point.task: point for point in report.trainings if point.device == _HOST}
    return [
        (
            TITLES[point.task],
            point.data,
            point.device,
            f"{point.num_rows:,}",
            seconds(point.elapsed_s),
            _against(host.get(point.task), point, lambda one: one.elapsed_s),
            _seeds("train", point),
            ", ".join(f"{name} {value:.3f}" for name, value in point.scores.items()),
        )
        for point in report.trainings
    ]


def _predict_rows(report: BibReport) -> list[tuple[str, ...]]:
    host = {point.task: point for point in report.predictions if point.device == _HOST}
    return [
        (
            TITLES[point.task],
            point.device,
            f"{point.num_texts:,}",
            duration(point.load_s),
            duration(point.predict_s),
            rate(point.num_texts / point.predict_s.median, "texts/s"),
            _against(host.get(point.task), point, lambda one: one.predict_s.median),
            _against(host.get(point.task), point, lambda one: one.predict_s.median + one.load_s.median),
            _seeds("predict", point),
            _between(point.against_library),
        )
        for point in report.predictions
    ]


def _against(host: Point | None, point: Point, time_of: Callable[[Point], float]) -> str:
    if host is None or point.device == _HOST:
        return ""
    return f"{time_of(host) / time_of(point):.2f} x"


def _between(ratio: Spread) -> str:
    return f"{ratio.median:.2f} x ({ratio.least:.2f} to {ratio.greatest:.2f})"


def _seeds(what: str, point: TrainPoint | PredictPoint) -> str:
    if point.device == _HOST:
        return ""
    on_cpu, on_gpu = SEED[what, point.task]
    return f"{on_cpu / on_gpu:.2f} x"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
