"""The fine-tuning of an encoder to a classifier."""

from collections.abc import Sequence

import torch

from dure.dataset.example import LabelledText
from dure.errors import ValidationError
from dure.learning.calibration import fit_temperature
from dure.learning.crew import ALONE, Crew
from dure.learning.encoder import Encoder
from dure.learning.encoder_classifier import ClassifierNetwork, EncoderClassifier
from dure.learning.fine_tuning import FineTuning, hash_of
from dure.learning.recipe import Recipe


class EncoderClassifierLearner(FineTuning):
    """See `dure.learning.learner.Learner`.

    Args:
        recipe: How; its `encoder` is what is fine-tuned.
        train: What is learnt from.
        validation: What validates.
        crew: With whom.

    Raises:
        ValidationError: One class only, or none.
        ModelNotFound: The encoder is not on this machine.
    """

    def __init__(
        self, recipe: Recipe, train: Sequence[LabelledText], validation: Sequence[LabelledText], crew: Crew = ALONE
    ) -> None:
        self.labels = tuple(sorted({example.label for example in train}))
        if len(self.labels) < 2:
            raise ValidationError(f"a classifier tells classes apart: {len(self.labels)} in the {len(train)} texts")
        if recipe.encoder is None:
            raise ValidationError("encoder: name the encoder to fine-tune")
        self._encoder = Encoder.from_snapshot(recipe.encoder)
        self._tokens = [found.ids for found in self._encoder.tokens([example.text for example in train])]
        self._gold = torch.tensor([self.labels.index(example.label) for example in train])
        self._validation = [example for example in validation if example.label in self.labels]
        with torch.random.fork_rng([]):
            torch.manual_seed(hash_of(recipe.seed, 0))  # the new layer
            network = ClassifierNetwork(self._encoder.network, self._encoder.hidden_size, len(self.labels))
        super().__init__(recipe, network, [len(ids) for ids in self._tokens], crew)
        counts = torch.bincount(self._gold, minlength=len(self.labels)).float()
        weights = len(train) / (len(self.labels) * counts) if recipe.class_weights == "balanced" else None
        self._criterion = torch.nn.CrossEntropyLoss(weights).to(self.device)

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the mean cross-entropy of rows."""
        ids, mask = self._encoder.padded([self._tokens[row] for row in rows], self.device)
        loss: torch.Tensor = self._criterion(self.network(ids, mask), self._gold[list(rows)].to(self.device))
        return loss

    def validate(self) -> float:
        """Return the accuracy on the validation part."""
        logits, gold = self._judged()
        return float((logits.argmax(1) == gold).float().mean())

    def calibrate(self) -> dict[str, float]:
        """Return the temperature that fits the validation part best."""
        return {"temperature": fit_temperature(*self._judged())}

    def finish(self, calibration: dict[str, float] | None = None) -> EncoderClassifier:
        """Return the model, calibrated."""
        return self._model(**(calibration or self.calibrate()))

    def _judged(self) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.in_shares([example.text for example in self._validation], self._model(1.0).logits)
        return torch.cat(logits), torch.tensor([self.labels.index(example.label) for example in self._validation])

    def _model(self, temperature: float) -> EncoderClassifier:
        assert isinstance(self.network, ClassifierNetwork)
        return EncoderClassifier(self._encoder, self.network, self.labels, temperature)
