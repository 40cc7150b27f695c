"""How far a model's embeddings are from those of the same model in fp32, over a fixed set of sentences.

Knows vectors and the sentences; does not know why there is a difference.
"""

from dataclasses import dataclass

import numpy as np

SENTENCES = (
    "Yes.",
    "Where is the nearest railway station?",
    "A man is eating food.",
    "The sky was clear, and the first stars came out over the harbour.",
    "She closed the account last Tuesday and asked for the rest of the money in cash.",
    "Return the number of elements in the list, or zero if it is empty.",
    "Heat the oil, add the onions, and stir them until they are soft but not brown.",
    "The contract ends on 31 December 2027 unless either side renews it in writing three months before.",
    "Our village shares its work: many hands plant the rice of one family today, and that of another tomorrow.",
    "Error 503: the service cannot take this request now, try again later.",
    "Vaccination lowers the risk of severe disease in adults over 65.",
    "I loved the first half of the film. The second half felt as though somebody else had written it in a hurry.",
    "How do I undo the last commit without losing my changes?",
    "The price of copper fell by 4.2 % on Monday, its largest drop in a day since March.",
    "He was tired.",
    "Light from the galaxy has travelled for eleven billion years before it reaches the mirror of the telescope.",
    "Please send two boxes of size M, one in blue and one in grey, to the address in the attachment.",
    "A transformer computes, for every token of a sentence, a weighted sum of what it knows about all the others.",
    "The court held that the evidence had been obtained unlawfully and could not be used against the defendant.",
    "Dogs bark; cats do not.",
    "To open the cover, turn the screw a quarter to the left, press both sides, and lift it carefully upwards.",
    "Seoul is the capital of South Korea and lies on the river Han.",
    "두레는 마을 사람들이 함께 일하는 공동 노동 조직이다.",
    "It rained for nine days without a break, the cellar filled, and on the tenth my grandfather built a boat.",
    "What is the difference between a list and a tuple?",
    "The patient reports mild pain in the left knee, worse in the morning, without swelling or fever.",
    "Two trains leave at the same time from cities that are 300 km apart; when do they meet?",
    "Never mix bleach and vinegar.",
    (
        "The orchestra tuned, the lights went down, somebody coughed, and for a moment nobody in the hall knew whether"
        " it had begun; then, so quietly that it could have been the wind in the street, the cellos came in."
    ),
    (
        "Unlike its predecessor, the new engine needs no cooling water, weighs a third less, starts at minus thirty"
        " degrees, and can be taken apart with a single tool, which matters more to the people who have to repair it in"
        " a field than the two per cent of power that were given up for it."
    ),
    "GPUs are fast at matrix products and slow at being told what to do.",
    "Thank you for your patience; your refund of 49.90 euros has been approved.",
)
"""What is compared: of a word to some fifty, of many kinds, our own."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Cosines between embeddings and those in fp32.

    Args:
        least: That of the sentence that fares worst.
        mean: Over all of them.
    """

    least: float
    mean: float


def compare(found: np.ndarray, expected: np.ndarray) -> Fidelity:
    """Return how alike embeddings are, row by row; both are `(rows, dimension) float32`."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = (found * expected).sum(1) / lengths
    return Fidelity(float(cosines.min()), float(cosines.mean()))
