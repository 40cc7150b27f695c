"""What a data set is like, told before anything is trained: rows, labels, lengths, and what is wrong with them.

Holds numbers and labels, never a text. Knows no files, and decides nothing.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dure.dataset.example import LabelledText, TaggedText
from dure.dataset.problems import Problem
from dure.dataset.split import same_text

_MAX_LABELS, _MAX_PROBLEMS = 30, 20
_IMBALANCED = 10

Examples = Sequence[LabelledText] | Sequence[TaggedText]


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are, in characters."""

    min: int
    median: int
    p95: int
    max: int


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a data set: its rows, how often each label (or type of entity) occurs, and how long its texts are."""

    rows: int
    labels: dict[str, int]
    lengths: Lengths
    without_entities: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to know of a data set before training.

    Args:
        task: `tc` or `ner`.
        train: The part that is trained on.
        validation: The part that is validated on.
        duplicates: Rows whose text occurs before them in the same part.
        contradictions: Texts that occur with several labels, or with several sets of entities.
        leaks: Rows of the validation part whose text is in the other part, too.
        unlearnt: Labels of the validation part that the other part does not have.
        problems: What was found in the rows.
    """

    task: str
    train: Part
    validation: Part
    duplicates: int
    contradictions: int
    leaks: int
    unlearnt: tuple[str, ...]
    problems: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    def text(self) -> str:
        """Return the report as a table for people."""
        return "\n".join([*_table(self), *_remarks(self), *_told(self.problems)])


def report(train: Examples, validation: Examples, problems: Iterable[Problem] = ()) -> Report:
    """Look at the two parts of a data set.

    Args:
        train: The rows to train on.
        validation: The rows to validate on; there may be none.
        problems: What was found while they were read.
    """
    texts = [[same_text(example.text) for example in part] for part in (train, validation)]
    trained = set(texts[0])
    meanings: dict[str, set[object]] = {}
    both: list[LabelledText | TaggedText] = [*train, *validation]
    for example, text in zip(both, (*texts[0], *texts[1]), strict=True):
        meanings.setdefault(text, set()).add(_meaning(example))
    parts = _part(train), _part(validation)
    return Report(
        task="ner" if any(isinstance(example, TaggedText) for example in both[:1]) else "tc",
        train=parts[0],
        validation=parts[1],
        duplicates=sum(len(same) - len(set(same)) for same in texts),
        contradictions=sum(len(found) > 1 for found in meanings.values()),
        leaks=sum(text in trained for text in texts[1]),
        unlearnt=tuple(sorted(parts[1].labels.keys() - parts[0].labels.keys())),
        problems=tuple(problems),
    )


def _meaning(example: LabelledText | TaggedText) -> object:
    return example.label if isinstance(example, LabelledText) else example.entities


def _part(examples: Examples) -> Part:
    labels: Counter[str] = Counter()
    without = 0
    for example in examples:
        if isinstance(example, LabelledText):
            labels[example.label] += 1
        else:
            labels.update(span.type for span in example.entities)
            without += not example.entities
    counts = dict(sorted(labels.items(), key=lambda item: (-item[1], item[0])))
    return Part(len(examples), counts, _lengths([len(example.text) for example in examples]), without)


def _lengths(lengths: list[int]) -> Lengths:
    """Return the lengths at the nearest ranks; zeros if there is no text."""
    lengths = sorted(lengths) or [0]
    ranks = (lengths[max(0, math.ceil(share * len(lengths)) - 1)] for share in (0.0, 0.5, 0.95, 1.0))
    return Lengths(*ranks)


def _table(told: Report) -> list[str]:
    what = "label" if told.task == "tc" else "entity"
    names = list(dict.fromkeys([*told.train.labels, *told.validation.labels]))
    columns = [_column(part, told.task, names[:_MAX_LABELS], what) for part in (told.train, told.validation)]
    width = max(map(_width, columns[0]))
    lines = [f"{' ' * width}  {'train':>10}  {'validation':>10}"]
    for row, count in columns[0].items():
        lines.append(f"{row}{' ' * (width - _width(row))}  {count:>10,}  {columns[1][row]:>10,}")
    if len(names) > _MAX_LABELS:
        lines.append(f"… and {len(names) - _MAX_LABELS} more")
    return lines


def _column(part: Part, task: str, names: Sequence[str], what: str) -> dict[str, int]:
    lengths = {f"characters, {share}": count for share, count in asdict(part.lengths).items()}
    entities = {"without an entity": part.without_entities} if task == "ner" else {}
    return {"rows": part.rows, **lengths, **entities, **{f"{what} {name}": part.labels.get(name, 0) for name in names}}


def _remarks(told: Report) -> list[str]:
    lines = []
    counts = [count for count in told.train.labels.values() if count]
    if told.task == "tc" and counts and max(counts) >= _IMBALANCED * min(counts):
        lines.append(
            f"labels are uneven, {max(counts) / min(counts):.0f} to 1: look at macro F1, and at balanced class weights"
        )
    if told.duplicates:
        lines.append(f"{told.duplicates:,} rows repeat a text of their part")
    if told.contradictions:
        lines.append(f"{told.contradictions:,} texts mean different things in different rows: no model can learn both")
    if told.leaks:
        lines.append(
            f"{told.leaks:,} rows to validate on are trained on as well: scores will look better than they are"
        )
    if told.unlearnt:
        lines.append(f"never trained on: {', '.join(told.unlearnt[:_MAX_LABELS])}")
    return lines


def _told(problems: Sequence[Problem]) -> list[str]:
    lines = [str(problem) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"… and {len(problems) - _MAX_PROBLEMS:,} more problems")
    return lines


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Hangul and the like take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
