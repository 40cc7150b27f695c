"""A classifier and a tagger, trained from nothing on data that is there, evaluated and asked: `python main.py`."""

import ast
import random
import warnings
from collections import defaultdict
from pathlib import Path

from dure.bench.corpus import split as sentences_of
from dure.bench.corpus import standard_library
from dure.dataset.example import LabelledText
from dure.dataset.reading import read_examples
from dure.dataset.report import report
from dure.dataset.rows import check_trainable
from dure.dataset.split import split
from dure.learning.evaluation import evaluate
from dure.learning.highlight import in_brackets
from dure.learning.kinds import Examples
from dure.learning.model import Model
from dure.learning.prediction import Classification
from dure.learning.recipe import Recipe
from dure.learning.training import train

NUM_PACKAGES, MAX_SENTENCES = 6, 250
SENTENCES = Path(__file__).with_name("sentences.jsonl")


def first_sentences() -> list[LabelledText]:
    """Return the first sentence of each docstring of the packages that have the most, labelled by the package."""
    found: dict[str, set[str]] = defaultdict(set)
    library = standard_library()
    for path in sorted(library.glob("*/*.py")):
        package = path.parent.name
        if package in ("site-packages", "dist-packages", "test", "__pycache__"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes, in code that is not ours
            tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[package].update(list(sentences_of(ast.get_docstring(node) or ""))[:1])
    packages = sorted(found, key=lambda package: (-len(found[package]), package))[:NUM_PACKAGES]
    chance = random.Random(0)
    return [
        LabelledText(sentence, package)
        for package in packages
        for sentence in chance.sample(sorted(found[package]), min(MAX_SENTENCES, len(found[package])))
    ]


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
    classifier = trained(Recipe(task="tc"), first_sentences())
    for text in ("Wait until the task is done or the timeout passes.", "Return the value of a header of the message."):
        (said,) = classifier.predict([text])
        assert isinstance(said, Classification)
        print(f"{said.score:.2f}  {said.label:12} {text}")

    print("\nWho, where, when?\n")
    tagger = trained(Recipe(task="ner", train_rate=0.8), read_examples(SENTENCES, "ner").examples)
    texts = ["Maria Lopez flew from Seoul to Berlin on Monday.", "김민수는 지난주 금요일에 부산으로 떠났다."]
    for text, entities in zip(texts, tagger.predict(texts), strict=True):
        assert isinstance(entities, list)
        print(in_brackets(text, entities))


if __name__ == "__main__":
    main()
