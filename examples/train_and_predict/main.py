"""A classifier and a tagger, trained from nothing on data that is there, evaluated and asked: `python main.py`."""

import random
from collections import defaultdict

from dure.dataset.example import LabelledText
from dure.dataset.report import report
from dure.dataset.rows import check_trainable
from dure.dataset.samples import docstrings, sentences
from dure.dataset.split import split
from dure.learning.evaluation import evaluate
from dure.learning.highlight import in_brackets
from dure.learning.kinds import Examples
from dure.learning.model import Model
from dure.learning.prediction import Classification
from dure.learning.recipe import Recipe
from dure.learning.training import train

NUM_PACKAGES, MAX_SENTENCES = 6, 250


def sentences_by_package() -> list[LabelledText]:
    """Return sentences of the packages that have the most of them, as many of each."""
    found: dict[str, list[LabelledText]] = defaultdict(list)
    for row in docstrings().examples:
        assert isinstance(row, LabelledText)
        found[row.label].append(row)
    packages = sorted(found, key=lambda package: (-len(found[package]), package))[:NUM_PACKAGES]
    chance = random.Random(0)
    return [row for package in packages for row in chance.sample(found[package], MAX_SENTENCES)]


def trained(recipe: Recipe, examples: Examples) -> Model:
    """Train on nine tenths of the examples, and say how good the model is on the last tenth."""
    check_trainable(examples)
    parts = split(examples, recipe.train_rate, recipe.seed)
    print(report(*parts).text())
    result = train(recipe, parts)
    found = evaluate(result.model, parts[1])
    numbers = {name: value for name, value in found.scores.as_dict().items() if isinstance(value, float)}
    print(f"\n{result.model.kind}: {len(parts[0])} rows learnt from in {result.elapsed_time_s:.1f} s")
    print(", ".join(f"{name} {value:.3f}" for name, value in numbers.items()), "\n")
    return result.model


def main() -> None:
    print("Which package of the standard library is a sentence about?\n")
    classifier = trained(Recipe(task="tc"), sentences_by_package())
    for text in ("Wait until the task is done or the timeout passes.", "Return the value of a header of the message."):
        (said,) = classifier.predict([text])
        assert isinstance(said, Classification)
        print(f"{said.score:.2f}  {said.label:12} {text}")

    print("\nWho, where, when?\n")
    tagger = trained(Recipe(task="ner", train_rate=0.8, epochs=15), sentences().examples)
    texts = ["Maria Lopez flew from Seoul to Berlin on Monday.", "김민수는 지난주 금요일에 부산으로 떠났다."]
    for text, entities in zip(texts, tagger.predict(texts), strict=True):
        assert isinstance(entities, list)
        print(in_brackets(text, entities))


if __name__ == "__main__":
    main()
