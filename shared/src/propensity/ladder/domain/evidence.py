"""What a rung of the tenant ladder has to show before a tenant stands on it: paired losses on rows of later dates.

All figures are on validation rows of dates after those that models, calibrators, intercepts and rates were fitted on.
A loss is the log loss of one row; a gain is the mean loss of what stands less that of what wants its place, so that
above 0 is better, with a 95 % interval. One customer comes on several dates: rows of one customer are one cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from propensity.stats.calibration import logit
from propensity.stats.figures import Estimate, Z

MIN_HELD = 10  # positives, and negatives, held out: below them the half-width of an AUC is 0.18 and more
PRIOR_ROWS = 50.0  # rows at the rate of everyone that a tenant's own rate is smoothed with


def by_name(names: Any, rows: Any) -> dict[str, Any]:
    """By name, ascending, its rows (indices, ascending) among `rows` (indices), of names (object, (n,)).

    One pass: a market has thousands of tenants, and a mask of all rows for each would be gigabytes.
    """
    found, place = np.unique(names[rows].astype(str), return_inverse=True)
    order = np.argsort(place, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(place, minlength=len(found)))[:-1])
    return dict(zip(found.tolist(), parts, strict=False))  # of no rows there is one part, and no name


def gain(standing: Any, wanting: Any, weights: Any, clusters: Any) -> Estimate:
    """Weighted mean of standing - wanting, losses (n,) each, its interval by the clusters (ints, (n,)); n is rows.

    Standard error: the cluster-robust one of a mean (Liang and Zeger 1986), with C / (C - 1) for C clusters; one
    cluster has none, and its interval is without end.
    """
    gaps = standing - wanting
    total = float(weights.sum())
    value = float(weights @ gaps) / total
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.bincount(place, weights=weights * (gaps - value))
    count = len(sums)
    if count < 2:
        return Estimate(value, -np.inf, np.inf, len(gaps))
    half = Z * sqrt(float(sums @ sums) * count / (count - 1)) / total
    return Estimate(value, value - half, value + half, len(gaps))


@dataclass(frozen=True, slots=True)
class Shift:
    """What one tenant's rows say of its rate: `surplus` of positives over what the scores expect, and `information`,
    the sum of p (1 - p), which is the inverse variance of surplus / information as an estimate of the intercept."""

    surplus: float
    information: float


def shift_of(scores: Any, labels: Any, weights: Any) -> Shift:
    return Shift(float(weights @ (labels - scores)), float(weights @ (scores * (1 - scores))))


def between(shifts: list[Shift]) -> float:
    """Variance of the tenants' intercepts around 0, in squared logits, by the method of moments.

    max(0, (Q - k) / sum I), Q = sum of I d^2 over k tenants, d = surplus / I: what the estimates vary by more than
    chance alone would (DerSimonian and Laird 1986, with the mean known to be 0: the scores are calibrated).
    """
    told = [one for one in shifts if one.information > 0]
    if not told:
        return 0.0
    spread = sum(one.surplus**2 / one.information for one in told)
    return max(0.0, (spread - len(told)) / sum(one.information for one in told))


def intercept(scores: Any, labels: Any, weights: Any, variance: float) -> float:
    """A tenant's shift in logits: the mode of its posterior under N(0, variance), `between` of all tenants.

    Solves sum w (y - sigmoid(logit p + b)) = b / variance by Newton (empirical Bayes; Morris 1983). Near 0 it is d
    times I variance / (1 + I variance): a tenant of few positives has little I, and hardly moves.
    """
    if variance <= 0:
        return 0.0
    at, found = logit(scores), 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(at + found)))
        slope = float(weights @ (labels - p)) - found / variance
        curve = float(weights @ (p * (1 - p))) + 1 / variance
        step = float(np.clip(slope / curve, -2.0, 2.0))
        found += step
        if abs(step) < 1e-10:
            break
    return found


def smoothed_rate(positives: float, rows: float, everyone: float) -> float:
    """A tenant's rate, in (0, 1), drawn to that of everyone by `PRIOR_ROWS` rows."""
    return (positives + PRIOR_ROWS * everyone) / (rows + PRIOR_ROWS)
