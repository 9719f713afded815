"""A logistic regression on one number: intercept and slope of the greatest likelihood, for whoever can compute it.

Without numpy, because the figures of a matchback have none (domain/statistics.py); scikit-learn's own stands in a layer
that does not fit beside theirs, and the unit tests hold both users of this against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_STEPS = 200
_HALVINGS = 40
_RIDGE = 1e-9  # of the information's trace: where all weight is on one point, the gradient decides
_LAST = 1e-12  # of the loss: a step that promises less goes unchecked, and is the last; sums are no more exact
_ENOUGH = 1e-4  # share of the gain that a step promises at least to be had (Armijo 1966)


class Line(NamedTuple):
    """logit(p) = intercept + slope * x."""

    intercept: float
    slope: float


@dataclass(frozen=True, slots=True)
class Likelihood:
    """At one line: minus the log likelihood, the log likelihood's gradient, and minus its second derivatives.

    By (intercept, slope), and by (intercept twice, both, slope twice).
    """

    loss: float
    gradient: tuple[float, float]
    information: tuple[float, float, float]

    def step(self) -> Line:
        """Newton's."""
        a, b, c = self.information
        ridge = _RIDGE * (a + c) + 1e-300
        a, c = a + ridge, c + ridge
        determinant = a * c - b * b
        by_intercept, by_slope = self.gradient
        return Line((c * by_intercept - b * by_slope) / determinant, (a * by_slope - b * by_intercept) / determinant)


def fit_line(likelihood: Callable[[Line], Likelihood]) -> tuple[Line, Likelihood]:
    """The line of the greatest likelihood, and the likelihood there.

    Newton's method from the identity. A full step goes too far where most scores are far from what came of them, and
    can go to and fro for ever: so it is halved until the likelihood rises (Nocedal and Wright 2006, algorithm 3.1).
    Where the labels are separated by x there is no greatest one: the slope is then as large as counts for anything.
    """
    line = Line(0.0, 1.0)
    here = likelihood(line)
    for _ in range(_STEPS):
        step = here.step()
        promised = sum(part * way for part, way in zip(here.gradient, step, strict=True))
        last = promised <= _LAST * (1 + here.loss)
        for halved in range(1 if last else _HALVINGS):
            share = 0.5**halved
            tried = Line(line.intercept + share * step.intercept, line.slope + share * step.slope)
            there = likelihood(tried)
            if last or there.loss <= here.loss - _ENOUGH * share * promised:
                break
        line, here = tried, there
        if last:
            break
    return line, here
