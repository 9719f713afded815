"""Which candidate wins: the best log loss, or the simplest within one standard error of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from propensity.kernel.errors import EvidenceError

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


@dataclass(frozen=True, slots=True)
class Standing:
    """How an entrant came out: standard error of its own loss, distance to the best and that one's, and in words."""

    family: str
    error: float
    gap: float
    gap_error: float
    why: str


def standing(entrants: Sequence[Entrant], chosen: str, rule: Literal["one_standard_error", "best"]) -> list[Standing]:
    """Every entrant against the best, and why it was chosen or was not. One fold has standard errors of 0."""
    best = min(entrants, key=lambda one: (one.loss, SIMPLEST_FIRST.index(one.family)))
    found = []
    for one in entrants:
        error = stdev(one.losses) / sqrt(len(one.losses)) if len(one.losses) > 1 else 0.0
        gap, gap_error = one.loss - best.loss, _paired_error(one, best)
        if one.family == chosen:
            why = (
                "chosen: the best"
                if one is best
                else f"chosen: within one standard error of {best.family}, and simpler"
            )
        elif one is best:
            why = f"not chosen: the best, but {chosen} is simpler and within one standard error of it"
        elif rule == "one_standard_error" and gap <= gap_error:
            why = f"not chosen: within one standard error of the best, but {chosen} is simpler"
        else:
            why = f"not chosen: log loss {gap:.5f} above {best.family}, paired standard error {gap_error:.5f}"
        found.append(Standing(one.family, error, gap, gap_error, why))
    return found


def _paired_error(one: Entrant, best: Entrant) -> float:
    gaps = [mine - its for mine, its in zip(one.losses, best.losses, strict=True)]
    return stdev(gaps) / sqrt(len(gaps)) if len(gaps) > 1 else 0.0
