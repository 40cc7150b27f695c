"""What a model says of a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Classification:
    """The class of a text.

    Args:
        label: The most probable class.
        score: Its probability, calibrated on the validation part of the training data.
        probabilities: Probability of every class, in the order of the model's labels; their sum is 1.
    """

    label: str
    score: float
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class Entity:
    """A named entity in a text.

    Args:
        text: The characters from `start` to `end`.
        type: Its type: `PS`, `location`.
        start: Its first character, counted in code points from 0.
        end: One past its last character.
        score: Probability that an entity of this type stands exactly here.
    """

    text: str
    type: str
    start: int
    end: int
    score: float
