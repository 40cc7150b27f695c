"""The fine-tuning of an encoder to a tagger."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch.nn.utils.rnn import pad_sequence

from dure.dataset.example import TaggedText
from dure.errors import ValidationError
from dure.learning.crew import ALONE, Crew
from dure.learning.encoder import Encoder
from dure.learning.encoder_tagger import EncoderTagger, EncoderTaggerNetwork, pieces_of, tags_of
from dure.learning.fine_tuning import FineTuning, hash_of
from dure.learning.recipe import Recipe
from dure.learning.scores import entity_scores


class EncoderTaggerLearner(FineTuning):
    """See `dure.learning.learner.Learner`.

    Args:
        recipe: How; its `encoder` is what is fine-tuned.
        train: What is learnt from.
        validation: What validates.
        crew: With whom.

    Raises:
        ValidationError: There are no entities.
        ModelNotFound: The encoder is not on this machine.
    """

    def __init__(
        self, recipe: Recipe, train: Sequence[TaggedText], validation: Sequence[TaggedText], crew: Crew = ALONE
    ) -> None:
        self.labels = tuple(sorted({span.type for example in train for span in example.entities}))
        if not self.labels:
            raise ValidationError(f"a tagger learns from entities: there are none in the {len(train)} texts")
        if recipe.encoder is None:
            raise ValidationError("encoder: name the encoder to fine-tune")
        self._encoder = Encoder.from_snapshot(recipe.encoder)
        self._windows = pieces_of(self._encoder, [example.text for example in train])
        self._tags = [
            torch.tensor(tags_of(window, train[window.row].entities, self.labels)) for window in self._windows
        ]
        self._validation = validation
        with torch.random.fork_rng([]):
            torch.manual_seed(hash_of(recipe.seed, 0))  # the new layer
            network = EncoderTaggerNetwork(self._encoder.network, self._encoder.hidden_size, len(self.labels))
        super().__init__(recipe, network, [len(window.ids) for window in self._windows], crew)

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the mean over the rows of the negative log-likelihood of a word piece's tag."""
        assert isinstance(self.network, EncoderTaggerNetwork)
        windows = [self._windows[row] for row in rows]
        ids, mask = self._encoder.padded([window.ids for window in windows], self.device)
        emissions = self.network(ids, mask, windows).float()
        tags = pad_sequence([self._tags[row] for row in rows]).to(self.device)
        lengths = torch.tensor([len(window.offsets) for window in windows], device=self.device)
        return -(self.network.field.log_likelihood(emissions, tags, lengths) / lengths).mean()

    def validate(self) -> float:
        """Return the strict micro F1 of entities on the validation part."""
        found = self.in_shares([example.text for example in self._validation], self.finish().predict)
        return entity_scores([example.entities for example in self._validation], [*chain(*found)]).entity_f1

    def calibrate(self) -> dict[str, float]:
        """Return no settings: there are none."""
        return {}

    def finish(self, calibration: dict[str, float] | None = None) -> EncoderTagger:
        """Return the model. The scores of its entities are probabilities under its field."""
        assert isinstance(self.network, EncoderTaggerNetwork)
        return EncoderTagger(self._encoder, self.network, self.labels)
