"""A tagger on top of a Hugging Face encoder: one layer from hidden states to tags, and a conditional random field.

A long text is read in windows that overlap. Entities begin and end where word pieces do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch.nn.utils.rnn import pad_sequence

from dure.dataset.dataset import Task
from dure.dataset.example import Span
from dure.device.context import Context
from dure.device.library import torch_device
from dure.errors import ModelError
from dure.learning.crf import Crf
from dure.learning.encoder import Encoder, Tokens
from dure.learning.model_file import read_model, read_weights, write_model
from dure.learning.prediction import Entity
from dure.learning.windows import without_overlaps

_DROPOUT = 0.1


@dataclass(frozen=True, slots=True)
class Pieces:
    """A window of a text's word pieces, as the encoder reads it.

    Args:
        row: Which text.
        ids: Token numbers, special ones among them.
        first: The place in `ids` of the first word piece; the others follow it.
        offsets: First character and the one behind the last, of each word piece.
        core: Entities that begin at these characters are this window's to tell.
    """

    row: int
    ids: list[int]
    first: int
    offsets: list[tuple[int, int]]
    core: tuple[int, int]


class EncoderTaggerNetwork(torch.nn.Module):
    """Token numbers to one number for each tag, and the field that says which tags follow each other.

    Args:
        transformer: The encoder's network.
        hidden_size: Numbers of its hidden states.
        num_types: Types of entities.
    """

    def __init__(self, transformer: torch.nn.Module, hidden_size: int, num_types: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.dropout = torch.nn.Dropout(_DROPOUT)
        self.head = torch.nn.ModuleDict(
            {"emissions": torch.nn.Linear(hidden_size, 1 + 2 * num_types), "field": Crf(num_types)}
        )

    @property
    def field(self) -> Crf:
        """The conditional random field."""
        field = self.head["field"]
        assert isinstance(field, Crf)
        return field

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, pieces: Sequence[Pieces]) -> torch.Tensor:
        """Return the emissions of word pieces, `(pieces, rows, tags) float32`, 0 beyond a row's length."""
        hidden = self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        emissions = self.head["emissions"](self.dropout(hidden))
        rows = [emissions[at, row.first : row.first + len(row.offsets)] for at, row in enumerate(pieces)]
        return pad_sequence(rows)


class EncoderTagger:
    """See `dure.learning.model.Model`.

    Args:
        encoder: The encoder.
        network: It, with the layer and the field on top, on its device.
        labels: The types of entities, sorted.
    """

    kind: ClassVar[str] = "encoder-tagger"
    task: ClassVar[Task] = "ner"

    def __init__(self, encoder: Encoder, network: EncoderTaggerNetwork, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._encoder = encoder
        self._network = network.eval()

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[list[Entity]]:
        """Return the entities of every text, in order."""
        windows = pieces_of(self._encoder, texts)
        device = self._network.head["emissions"].weight.device
        assert isinstance(device, torch.device)
        found: list[list[Entity]] = [[] for _ in texts]
        with torch.inference_mode():
            for rows in self._encoder.groups([window.ids for window in windows], batch_size, device):
                group = [windows[row] for row in rows]
                batch = self._encoder.padded([window.ids for window in group], device)
                emissions = self._network(*batch, group)
                lengths = torch.tensor([len(window.offsets) for window in group], device=device)
                places = self._network.field.entities(emissions, lengths)
                columns = (places.row, places.first, places.last, places.type, places.score)
                for at, first, last, kind, score in zip(*(column.tolist() for column in columns), strict=True):
                    window = group[at]
                    start, end = window.offsets[first][0], window.offsets[last][1]
                    if window.core[0] <= start < window.core[1]:
                        text = texts[window.row][start:end]
                        found[window.row].append(Entity(text, self.labels[kind], start, end, score))
        return [without_overlaps(entities) for entities in found]

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        description = {"labels": self.labels, "encoder": self._encoder.config}
        write_model(folder, self.kind, description, self._network.state_dict())
        self._encoder.save(folder)

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        """Read what `save` wrote."""
        description, weights = read_model(folder), read_weights(folder)
        try:
            labels = tuple(description["labels"])
            encoder = Encoder.from_folder(folder, description["encoder"])
            network = EncoderTaggerNetwork(encoder.network, encoder.hidden_size, len(labels))
            network.load_state_dict(weights)
            return cls(encoder, network.to(torch_device(context)), labels)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder}: the parts of the model do not fit each other: {error}") from error


def pieces_of(encoder: Encoder, texts: Sequence[str]) -> list[Pieces]:
    """Return the windows of texts; a text without word pieces has none."""
    windows = []
    for row, tokens in enumerate(encoder.tokens(texts, whole=True)):
        windows += _windows(row, len(texts[row]), tokens, encoder.max_tokens)
    return windows


def tags_of(pieces: Pieces, entities: Iterable[Span], types: Sequence[str]) -> list[int]:
    """Return the tag of each word piece: 0 outside, 1 + 2 k where an entity of type k begins, 2 + 2 k where it goes on.

    A piece is an entity's if its first character is; an entity that begins within a piece begins with the next one.
    """
    tags = [0] * len(pieces.offsets)
    for span in entities:
        if span.type not in types:
            continue
        kind = types.index(span.type)
        inside = [at for at, (start, _) in enumerate(pieces.offsets) if span.start <= start < span.end]
        for at in inside:
            tags[at] = 1 + 2 * kind if at == inside[0] else 2 + 2 * kind
    return tags


def _windows(row: int, num_characters: int, tokens: Tokens, max_tokens: int) -> list[Pieces]:
    real = [at for at, (start, end) in enumerate(tokens.offsets) if end > start]
    if not real:
        return []
    head, tail = tokens.ids[: real[0]], tokens.ids[real[-1] + 1 :]
    ids, offsets = tokens.ids[real[0] : real[-1] + 1], tokens.offsets[real[0] : real[-1] + 1]
    size = max_tokens - len(head) - len(tail)
    overlap = size // 4
    starts = [0, *range(size - overlap, len(ids) - overlap, size - overlap)]
    windows = []
    for start in starts:
        # Each of two that overlap tells of its own half of what they share.
        begin = 0 if start == 0 else offsets[start + overlap // 2][0]
        is_last = start + size >= len(ids)
        end = num_characters if is_last else offsets[start + size - overlap + overlap // 2][0]
        part = slice(start, start + size)
        windows.append(Pieces(row, [*head, *ids[part], *tail], len(head), offsets[part], (begin, end)))
    return windows
