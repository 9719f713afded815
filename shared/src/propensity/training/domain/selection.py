"""The choice among candidates: the one with the best log loss, or the simplest within one standard error of it."""

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
    """A candidate that can be chosen, with its log loss per validation fold; all entrants have the same folds."""

    family: str
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        return fmean(self.losses)


def select(entrants: Sequence[Entrant], rule: Literal["one_standard_error", "best"]) -> Entrant:
    """Return the entrant that is chosen.

    The choice follows Hastie, Tibshirani and Friedman (2009), 7.10, with paired instead of raw losses. The standard
    error is that of the paired differences to the best entrant, over the folds. Folds of different months differ by
    more than the candidates do, and that spread does not tell which candidate is better. With one fold there is no
    standard error, and the best entrant is chosen. Raises EvidenceError without entrants.
    """
    if not entrants:
        raise EvidenceError("no candidate is left to choose from; see the evaluation for why each was refused")
    best = _best(entrants)
    if rule == "best":
        return best
    for family in SIMPLEST_FIRST:
        for entrant in entrants:
            if entrant.family == family and entrant.loss - best.loss <= _paired_error(entrant, best):
                return entrant
    return best


@dataclass(frozen=True, slots=True)
class Placing:
    """How an entrant came out against the best entrant.

    `error` is the standard error of the entrant's own loss over the folds. `gap` is its loss above the best entrant's
    loss, and `gap_error` is the standard error of the gap. `why` says in words why the entrant was chosen or not.
    """

    family: str
    error: float
    gap: float
    gap_error: float
    why: str


def placings(entrants: Sequence[Entrant], chosen: str, rule: Literal["one_standard_error", "best"]) -> list[Placing]:
    """Return the placing of every entrant, in the order of the entrants. With one fold all standard errors are 0."""
    best = _best(entrants)
    found = []
    for entrant in entrants:
        losses = entrant.losses
        error = stdev(losses) / sqrt(len(losses)) if len(losses) > 1 else 0.0
        gap, gap_error = entrant.loss - best.loss, _paired_error(entrant, best)
        if entrant.family == chosen:
            why = (
                "chosen: the best"
                if entrant is best
                else f"chosen: within one standard error of {best.family}, and simpler"
            )
        elif entrant is best:
            why = f"not chosen: the best, but {chosen} is simpler and within one standard error of it"
        elif rule == "one_standard_error" and gap <= gap_error:
            why = f"not chosen: within one standard error of the best, but {chosen} is simpler"
        else:
            why = f"not chosen: log loss {gap:.5f} above {best.family}, paired standard error {gap_error:.5f}"
        found.append(Placing(entrant.family, error, gap, gap_error, why))
    return found


def _best(entrants: Sequence[Entrant]) -> Entrant:
    """Return the entrant with the least loss; of equal losses the one of the simplest family."""
    return min(entrants, key=lambda entrant: (entrant.loss, SIMPLEST_FIRST.index(entrant.family)))


def _paired_error(entrant: Entrant, best: Entrant) -> float:
    """Return the standard error of the differences of two entrants' losses, fold by fold."""
    gaps = [loss - least for loss, least in zip(entrant.losses, best.losses, strict=True)]
    return stdev(gaps) / sqrt(len(gaps)) if len(gaps) > 1 else 0.0
