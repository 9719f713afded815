"""Rare outcomes: weights that make the classes equal in a fit, and what corrects the fit's probabilities.

King and Zeng (2001), Logistic Regression in Rare Events Data, equations 7 and 8: weighting (or sampling) the classes
multiplies the odds by the ratio of their weights, w1 / w0, and changes nothing else. Taking ln(w1 / w0) off the logit
undoes it. This is exact for a linear model without regularisation; for others the calibrator corrects what remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal


@dataclass(frozen=True, slots=True)
class Balance:
    """How much a positive and a negative row count in a fit, above 0, times the row's own weight."""

    positive: float = 1.0
    negative: float = 1.0

    @property
    def offset(self) -> float:
        """By how much the logit of a fitted probability is too high."""
        return log(self.positive / self.negative)


def balance_of(imbalance: Literal["none", "balanced"], positives: float, negatives: float) -> Balance:
    """The balance for so many rows of each class; both are counts, or sums of weights, above 0.

    Balanced weights add up to the number of rows, so that a penalty keeps its force.
    """
    if imbalance == "none":
        return Balance()
    half = (positives + negatives) / 2
    return Balance(half / positives, half / negatives)
