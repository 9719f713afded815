"""Rare outcomes: weights that make the classes equal in a fit, and what puts its probabilities right again.

King and Zeng (2001), Logistic Regression in Rare Events Data, equations 7 and 8: weighting (or sampling) the classes
multiplies the odds by the ratio of their weights, w1 / w0, and nothing else; ln(w1 / w0) less on the logit undoes it.
Exact for a linear model without regularisation; for the rest the calibrator takes up what remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal


@dataclass(frozen=True, slots=True)
class Balance:
    """What a positive and a negative row count in a fit, above 0, beside what they stand for."""

    positive: float = 1.0
    negative: float = 1.0

    @property
    def offset(self) -> float:
        """What the logit of a fitted probability is too high by."""
        return log(self.positive / self.negative)


def balance_of(imbalance: Literal["none", "balanced"], positives: float, negatives: float) -> Balance:
    """Both counts (or sums of weights) above 0. Balanced weights add up to the rows: a penalty weighs as before."""
    if imbalance == "none":
        return Balance()
    half = (positives + negatives) / 2
    return Balance(half / positives, half / negatives)
