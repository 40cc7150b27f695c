"""Which kinds of models there are: who learns by a recipe, and who loads what was saved."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from dure.dataset.example import LabelledText, TaggedText
from dure.deps import require
from dure.device.context import Context
from dure.errors import ModelError
from dure.learning.crew import ALONE, Crew
from dure.learning.learner import Learner
from dure.learning.model import MODEL_FILE, Model
from dure.learning.model_file import read_model
from dure.learning.recipe import Recipe

Examples = Sequence[LabelledText] | Sequence[TaggedText]


def learner_for(recipe: Recipe, train: Examples, validation: Examples, crew: Crew = ALONE) -> Learner:
    """Return a learner that has learnt nothing yet. Only encoders are trained by a crew of several.

    Raises:
        ValidationError: The data cannot be learnt from; says why.
        DeviceNotFound: The recipe's device is not there.
        ModelNotFound: The recipe's encoder is not there.
        MissingDependency: A library is not installed.
    """
    require("torch", "models")
    if recipe.task == "tc":
        texts = cast("Sequence[LabelledText]", train), cast("Sequence[LabelledText]", validation)
        if recipe.encoder is not None:
            from dure.learning.encoder_classifier_learner import EncoderClassifierLearner

            return EncoderClassifierLearner(recipe, *texts, crew)
        from dure.learning.classifier_learner import ClassifierLearner

        return ClassifierLearner(recipe, *texts)
    tagged = cast("Sequence[TaggedText]", train), cast("Sequence[TaggedText]", validation)
    if recipe.encoder is not None:
        from dure.learning.encoder_tagger_learner import EncoderTaggerLearner

        return EncoderTaggerLearner(recipe, *tagged, crew)
    from dure.learning.tagger_learner import TaggerLearner

    return TaggerLearner(recipe, *tagged)


def load_model(folder: Path, context: Context) -> Model:
    """Return the model that was saved in a folder, on a device.

    Raises:
        ModelError: A file is missing, damaged or of a kind that this version of dure does not know; names it.
        DeviceNotFound: The device is not there.
        MissingDependency: A library is not installed.
    """
    kind = read_model(folder)["kind"]
    require("torch", "models")
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
