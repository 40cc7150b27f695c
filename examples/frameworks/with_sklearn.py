"""scikit-learn: a forest of 200 random trees."""

from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from digits import SEED, DigitClassifier, training


class SklearnDigits(DigitClassifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.forest = ExtraTreesClassifier(n_estimators=200, random_state=SEED).fit(*training())

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.forest.predict_proba(images), np.float32)
