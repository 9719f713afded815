"""Rare outcomes: the weights that make the classes equal in a fit, and the correction of the fit's probabilities.

The source is King and Zeng (2001), Logistic Regression in Rare Events Data, equations 7 and 8. Weighting (or sampling)
the classes multiplies the odds by the ratio of their weights, w1 / w0, and changes nothing else. To take ln(w1 / w0)
off the logit undoes the weighting. This is exact for a linear model without regularisation; for other models the
calibrator corrects what remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal


@dataclass(frozen=True, slots=True)
class Balance:
    """The weights of a positive and of a negative row in a fit, above 0. They multiply the row's own weight."""

    positive: float = 1.0
    negative: float = 1.0

    @property
    def offset(self) -> float:
        """The amount by which the logit of a fitted probability is too high."""
        return log(self.positive / self.negative)


def balance_of(imbalance: Literal["none", "balanced"], positives: float, negatives: float) -> Balance:
    """The balance for the given rows of each class. Both arguments are counts, or sums of weights, above 0.

    Balanced weights add up to the number of rows, so that a penalty keeps its force.
    """
    if imbalance == "none":
        return Balance()
    half = (positives + negatives) / 2
    return Balance(half / positives, half / negatives)
