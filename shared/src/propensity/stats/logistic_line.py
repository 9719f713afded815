"""Logistic regression on one number: the intercept and slope of the greatest likelihood.

The caller computes the likelihood: stats/figures.py in plain Python, stats/calibration.py with numpy. This module has
no numpy, because the functions that compute a matchback's figures have none. scikit-learn's regression is in a layer
that does not fit beside theirs; the unit tests compare both callers with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_STEPS = 60  # the greatest number of steps
_HALVINGS = 40  # the greatest number of halvings of one step
# share of the information's trace that is added to its diagonal: where all weight is on one point, the information has
# no inverse, and the gradient decides
_RIDGE = 1e-9
_LEAST = 1e-100  # this is added too, for a trace of 0; its square is still above 0
_MOST = 4.0  # the greatest step in logits: the curvature at one place says nothing of a place further away
_SAME = 1e-6  # scores whose logits spread no further than this have no slope
_LAST = 1e-12  # share of the loss: a step that promises less is taken unchecked and is the last; sums are no more exact
_ENOUGH = 1e-4  # a step must bring at least this share of its promised gain (Armijo 1966)


class LogitLine(NamedTuple):
    """logit(p) = intercept + slope * x."""

    intercept: float
    slope: float


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of the outcomes by one line.

    `loss` is minus the log likelihood. `gradient` holds the log likelihood's derivatives by (intercept, slope).
    `information` holds minus its second derivatives, by (intercept twice, intercept and slope, slope twice).
    """

    loss: float
    gradient: tuple[float, float]
    information: tuple[float, float, float]

    def step(self) -> LogitLine:
        """Newton's step, shortened so that neither of its two parts is longer than `_MOST`."""
        a, b, c = self.information
        ridge = _RIDGE * (a + c) + _LEAST
        a, c = a + ridge, c + ridge
        determinant = a * c - b * b
        by_intercept, by_slope = self.gradient
        full = (c * by_intercept - b * by_slope) / determinant, (a * by_slope - b * by_intercept) / determinant
        share = min(1.0, _MOST / max(abs(full[0]), abs(full[1]), _LEAST))
        return LogitLine(share * full[0], share * full[1])


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of the values of x: `centre` says where the values lie, `spread` how far apart they are.

    A line is fitted to (x - centre) / spread. With x itself, a change of the slope would change the intercept too.
    """

    centre: float
    spread: float

    @staticmethod
    def of(mean: float, deviation: float) -> Scale:
        return Scale(mean, deviation if deviation > _SAME else 1.0)

    @property
    def identity(self) -> LogitLine:
        """The line logit(p) = x, as a line of the scaled x."""
        return LogitLine(self.centre, self.spread)

    def back(self, line: LogitLine) -> LogitLine:
        """Turn a line of the scaled x into the same line of x."""
        slope = line.slope / self.spread
        return LogitLine(line.intercept - slope * self.centre, slope)

    def variances(self, information: tuple[float, float, float]) -> LogitLine:
        """The variances of intercept and slope of a line of x, from the information at its line of the scaled x."""
        a, b, c = information
        determinant, shift = max(a * c - b * b, _LEAST), self.centre / self.spread
        return LogitLine((c + 2 * shift * b + shift**2 * a) / determinant, a / determinant / self.spread**2)


def fit_line(likelihood: Callable[[LogitLine], Likelihood], start: LogitLine) -> tuple[LogitLine, Likelihood]:
    """The line of the greatest likelihood, and the likelihood at that line.

    Newton's method begins at `start`. Where most scores are far from their outcomes, a full step goes too far, and
    steps can go to and fro for ever. So a step is halved until the likelihood rises (Nocedal and Wright 2006, algorithm
    3.1).
    Where x separates the labels, no line has the greatest likelihood. The slope then ends where a larger slope would
    gain no more than rounding errors.
    """
    line, here = start, likelihood(start)
    for _ in range(_STEPS):
        step = here.step()
        promised = sum(part * way for part, way in zip(here.gradient, step, strict=True))
        last = promised <= _LAST * (1 + here.loss)
        for halved in range(1 if last else _HALVINGS):
            share = 0.5**halved
            tried = LogitLine(line.intercept + share * step.intercept, line.slope + share * step.slope)
            there = likelihood(tried)
            if last or there.loss <= here.loss - _ENOUGH * share * promised:
                break
        line, here = tried, there
        if last:
            break
    return line, here
