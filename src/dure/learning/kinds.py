"""Which kinds of models there are: who learns by a recipe, and who loads what was saved."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from dure.dataset.example import LabelledText, TaggedText
from dure.device.context import Context
from dure.errors import ModelError
from dure.learning.learner import Learner
from dure.learning.model import MODEL_FILE, Model
from dure.learning.recipe import Recipe

Examples = Sequence[LabelledText] | Sequence[TaggedText]


def learner_for(recipe: Recipe, train: Examples, validation: Examples) -> Learner:
    """Return a learner that has learnt nothing yet.

    Raises:
        ValidationError: The data cannot be learnt from; says why.
        DeviceNotFound: The recipe's device is not there.
        ModelNotFound: The recipe's encoder is not there.
        MissingDependency: A library is not installed.
    """
    if recipe.task == "tc":
        texts = cast("Sequence[LabelledText]", train), cast("Sequence[LabelledText]", validation)
        if recipe.encoder is not None:
            from dure.learning.encoder_classifier_learner import EncoderClassifierLearner

            return EncoderClassifierLearner(recipe, *texts)
        from dure.learning.classifier_learner import ClassifierLearner

        return ClassifierLearner(recipe, *texts)
    tagged = cast("Sequence[TaggedText]", train), cast("Sequence[TaggedText]", validation)
    if recipe.encoder is not None:
        from dure.learning.encoder_tagger_learner import EncoderTaggerLearner

        return EncoderTaggerLearner(recipe, *tagged)
    from dure.learning.tagger_learner import TaggerLearner

    return TaggerLearner(recipe, *tagged)


def load_model(folder: Path, context: Context) -> Model:
    """Return the model that was saved in a folder, on a device.

    Raises:
        ModelError: A file is missing, damaged or of a kind that this version of dure does not know; names it.
        DeviceNotFound: The device is not there.
        MissingDependency: A library is not installed.
    """
    kind = _kind(folder / MODEL_FILE)
    if kind == "ngram-classifier":
        from dure.learning.classifier import NgramClassifier

        return NgramClassifier.load(folder, context)
    if kind == "crf-tagger":
        from dure.learning.tagger import CrfTagger

        return CrfTagger.load(folder, context)
    if kind == "encoder-classifier":
        from dure.learning.encoder_classifier import EncoderClassifier

        return EncoderClassifier.load(folder, context)
    if kind == "encoder-tagger":
        from dure.learning.encoder_tagger import EncoderTagger

        return EncoderTagger.load(folder, context)
    raise ModelError(
        f"{folder / MODEL_FILE} says that the model is a {kind!r}, which this version of dure does not know"
    )


def _kind(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not say what the model is: {error!r}") from error
