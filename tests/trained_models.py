"""Small models, trained for real in seconds, and published in a store."""

import random
from pathlib import Path
from typing import Any

import torch

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.learning.recipe import Recipe
from dure.learning.training import train
from dure.store.store import ModelStore
from dure.store.version import Version

NAMES = ("anna", "bob", "chloe", "dmitri", "eva", "farid")
PLACES = ("oslo", "rome", "lima", "cairo")
FORMS = ("{name} went to {place}", "in {place}, {name} sang", "nobody saw {name} again", "{place} is cold today")
FOOD, RAIN = ("bread", "soup", "rice"), ("cloud", "storm", "wet")


def tagged(count: int) -> list[TaggedText]:
    """Return sentences with persons and places."""
    chance = random.Random(0)
    texts = []
    for _ in range(count):
        words = {"PER": chance.choice(NAMES), "LOC": chance.choice(PLACES)}
        text = chance.choice(FORMS).format(name=words["PER"], place=words["LOC"])
        spans = [Span(text.find(word), text.find(word) + len(word), kind) for kind, word in words.items()]
        texts.append(TaggedText(text, tuple(sorted((s for s in spans if s.start >= 0), key=lambda s: s.start))))
    return texts


def labelled(count: int) -> list[LabelledText]:
    """Return sentences about food and about rain."""
    chance = random.Random(0)
    kinds = {"food": FOOD, "rain": RAIN}
    labels = [chance.choice(("food", "rain")) for _ in range(count)]
    return [
        LabelledText(f"the {chance.choice(kinds[label])} and the {chance.choice(kinds[label])}", label)
        for label in labels
    ]


def train_tagger(home: Path, name: str) -> Version:
    """Train a tagger and publish it below a home folder."""
    return _published(home, name, Recipe(task="ner"), tagged(240))


def train_classifier(home: Path, name: str) -> Version:
    """Train a classifier and publish it below a home folder."""
    return _published(home, name, Recipe(task="tc"), labelled(240))


def _published(home: Path, name: str, recipe: Recipe, examples: Any) -> Version:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = train(recipe, (examples[:200], examples[200:])).model
    finally:
        torch.set_num_threads(threads)
    return ModelStore(home / "models").publish(name, model.save, {"task": model.task, "kind": model.kind})
