"""Which candidate wins: the best log loss, or the simplest within one standard error of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from propensity.domain.errors import EvidenceError

SIMPLEST_FIRST = ("logistic_regression", "hist_gradient_boosting", "random_forest")


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate's log loss per validation fold; every entrant has the same folds."""

    family: str
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        return fmean(self.losses)


def select(entrants: Sequence[Entrant], rule: Literal["one_standard_error", "best"]) -> Entrant:
    """The winner. The standard error is that of the paired differences to the best, over the folds.

    Hastie, Tibshirani and Friedman (2009), 7.10, with paired instead of raw losses: folds of different months
    differ by more than the candidates do, and that spread says nothing about which is better. With one fold
    there is no standard error, and the best wins. Raises EvidenceError without entrants.
    """
    if not entrants:
        raise EvidenceError("no candidate is left to choose from; see the evaluation for why each was refused")
    best = min(entrants, key=lambda one: (one.loss, SIMPLEST_FIRST.index(one.family)))
    if rule == "best":
        return best
    for family in SIMPLEST_FIRST:
        for one in entrants:
            if one.family == family and one.loss - best.loss <= _paired_error(one, best):
                return one
    return best


def _paired_error(one: Entrant, best: Entrant) -> float:
    gaps = [mine - its for mine, its in zip(one.losses, best.losses, strict=True)]
    return stdev(gaps) / sqrt(len(gaps)) if len(gaps) > 1 else 0.0
