"""A tagger trained from nothing: hashed features of units, two recurrent nets and a conditional random field.

Knows how texts become tagged windows and entities with offsets in code points, and its own two files. A text's answer
does not depend on the texts beside it. Does not know how it is trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from dure.dataset.dataset import Task
from dure.device.context import Context
from dure.device.library import torch_device
from dure.errors import ModelError
from dure.learning.model_file import read_model, read_weights, write_model
from dure.learning.prediction import Entity
from dure.learning.tagger_decoding import Decoding
from dure.learning.tagger_network import KnownFeatures, Layout, Sizes, TaggerNetwork
from dure.learning.unit_features import unit_features
from dure.learning.units import Ints, units_of
from dure.learning.windows import Window, in_runs, windows_of, without_overlaps

_MAX_CHARACTERS = 65_536  # whose features are held at once
_BATCH_SIZE = 256
_MARKS, _TABLE = "known_features", "table"


class CrfTagger:
    """Finds entities in texts.

    The score of an entity is a probability: that exactly its characters are an entity of its type, summed over all
    taggings of the text (the forward and backward sums of the conditional random field), at a temperature under which
    the true taggings of the validation texts were most probable.

    Args:
        labels: Types of entities, sorted.
        known: Which features have a row.
        network: The weights, on the device where the tagger works. Its table is saved in half precision.
        decoding: How weights become entities.
    """

    kind: ClassVar[str] = "crf-tagger"
    task: ClassVar[Task] = "ner"

    def __init__(
        self, labels: Sequence[str], known: KnownFeatures, network: TaggerNetwork, decoding: Decoding | None = None
    ) -> None:
        self.labels = tuple(labels)
        self._known = known
        self._network = network.eval()
        self.decoding = decoding or Decoding()

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[list[Entity]]:
        """Find the entities of each text, in order of place; an empty or blank text has none.

        Long texts are read in windows that overlap (`dure.learning.windows`), so memory does not grow with them.

        Args:
            texts: Any strings.
            batch_size: Windows computed at once; None is 256.
        """
        found: list[list[Entity]] = [[] for _ in texts]
        shared: set[int] = set()
        for windows in in_runs(windows_of(texts), _MAX_CHARACTERS):
            for window, entity in self._in_windows(texts, windows, batch_size or _BATCH_SIZE):
                if window.owns(entity):
                    found[window.row].append(entity)
            shared.update(window.row for window in windows if window.start > 0)
        for row in shared:
            found[row] = without_overlaps(found[row])
        return found

    @torch.inference_mode()
    def _in_windows(
        self, texts: Sequence[str], windows: Sequence[Window], batch_size: int
    ) -> Iterator[tuple[Window, Entity]]:
        units = units_of([texts[window.row][window.start : window.end] for window in windows])
        rows = torch.from_numpy(self._known.rows(unit_features(units)))
        starts, ends = units.offsets
        bounds = units.bounds
        for batch in batches_by_length(np.diff(bounds), batch_size):
            where = _units_in(bounds, batch)
            emissions, lengths = self._emissions(rows[where], np.diff(bounds)[batch])
            decoding = self.decoding
            entities = self._network.crf.entities(emissions, lengths, decoding.boldness, decoding.temperature)
            for row, first, last, kind, score in zip(*(part.tolist() for part in entities), strict=True):
                window = windows[batch[row]]
                begin = int(bounds[batch[row]])
                start, end = window.start + int(starts[begin + first]), window.start + int(ends[begin + last])
                yield window, Entity(texts[window.row][start:end], self.labels[kind], start, end, score)

    def _emissions(self, rows: Tensor, lengths: Ints) -> tuple[Tensor, Tensor]:
        device = self._network.table.device
        layout = Layout.of(torch.from_numpy(lengths).to(device))
        return self._network(rows.to(device), self._network.table, layout).double(), layout.lengths

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        description = {"labels": self.labels, "sizes": asdict(self._network.sizes), "decoding": asdict(self.decoding)}
        weights = {**self._network.state_dict(), _MARKS: torch.from_numpy(self._known.marks)}
        weights[_TABLE] = weights[_TABLE].half()
        write_model(folder, self.kind, description, weights)

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        """Read what `save` wrote."""
        description, weights = read_model(folder), read_weights(folder)
        try:
            known = KnownFeatures(weights.pop(_MARKS).numpy())
            sizes, labels = Sizes(**description["sizes"]), description["labels"]
            if len(labels) != sizes.num_types:
                raise ValueError(f"{len(labels)} labels for {sizes.num_types} types")
            network = TaggerNetwork(sizes)
            network.load_state_dict(weights)
            decoding = Decoding(**description["decoding"])
            return cls(labels, known, network.to(torch_device(context)), decoding)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder}: the parts of the model do not fit each other: {error}") from error


def batches_by_length(lengths: Ints, batch_size: int) -> Iterator[Ints]:
    """Return rows in batches of about one length, without those of length 0."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _units_in(bounds: Ints, rows: Ints) -> Ints:
    return np.concatenate([np.arange(bounds[row], bounds[row + 1]) for row in rows])
