"""A logistic regression on one number: intercept and slope of the greatest likelihood, for whoever can compute it.

Without numpy, because the figures of a matchback have none (stats/figures.py); scikit-learn's own stands in a layer
that does not fit beside theirs, and the unit tests hold both users of this against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_STEPS = 60
_HALVINGS = 40
_RIDGE = 1e-9  # of the information's trace: where all weight is on one point, the gradient decides
_LEAST = 1e-100  # and where there is none left; its square is still a number
_MOST = 4.0  # logits of one step: further off nothing is known of the curve
_SAME = 1e-6  # logits; scores that are no further apart have no slope
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
        """Newton's, `_MOST` at most."""
        a, b, c = self.information
        ridge = _RIDGE * (a + c) + _LEAST
        a, c = a + ridge, c + ridge
        determinant = a * c - b * b
        by_intercept, by_slope = self.gradient
        full = (c * by_intercept - b * by_slope) / determinant, (a * by_slope - b * by_intercept) / determinant
        share = min(1.0, _MOST / max(abs(full[0]), abs(full[1]), _LEAST))
        return Line(share * full[0], share * full[1])


@dataclass(frozen=True, slots=True)
class Scale:
    """Where x lies: fits are of (x - centre) / spread, or intercept and slope would hang on each other."""

    centre: float
    spread: float

    @staticmethod
    def of(mean: float, deviation: float) -> Scale:
        return Scale(mean, deviation if deviation > _SAME else 1.0)

    @property
    def identity(self) -> Line:
        """logit(p) = x, as a line of the scaled x."""
        return Line(self.centre, self.spread)

    def back(self, line: Line) -> Line:
        """A line of the scaled x as one of x."""
        slope = line.slope / self.spread
        return Line(line.intercept - slope * self.centre, slope)

    def variances(self, information: tuple[float, float, float]) -> Line:
        """Of intercept and slope of x, from the information about those of the scaled x."""
        a, b, c = information
        determinant, shift = max(a * c - b * b, _LEAST), self.centre / self.spread
        return Line((c + 2 * shift * b + shift**2 * a) / determinant, a / determinant / self.spread**2)


def fit_line(likelihood: Callable[[Line], Likelihood], start: Line) -> tuple[Line, Likelihood]:
    """The line of the greatest likelihood, and the likelihood there.

    Newton's method from `start`. A full step goes too far where most scores are far from what came of them, and
    can go to and fro for ever: so it is halved until the likelihood rises (Nocedal and Wright 2006, algorithm 3.1).
    Where the labels are separated by x there is no greatest one: the slope is then as large as counts for anything.
    """
    line, here = start, likelihood(start)
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
