"""The evidence that a rung of the ladder needs before a tenant stands on it: losses on the same rows of later dates.

All figures are of validation rows. The dates of these rows are after the dates that models, calibrators, intercepts and
rates were fitted on. A loss is the log loss of one row. A gain is the mean loss by the rung that stands less the mean
loss by the rung that wants its place, so above 0 is better. A gain has a 95 % interval. One customer has rows on
several dates, so the rows of one customer are one cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from propensity.stats.calibration import logit
from propensity.stats.figures import Estimate, Z

MIN_HELD = 10  # the least held-out positives, and negatives; with fewer, the half-width of an AUC is 0.18 and more
PRIOR_ROWS = 50.0  # a tenant's own rate is smoothed with this many rows at everyone's rate


def by_name(names: Any, rows: Any) -> dict[str, Any]:
    """Return the rows of each name, names ascending.

    `names` is object (n,), and `rows` has the indices to divide, ascending. The division takes one pass. A market has
    thousands of tenants, and one mask of all rows for each tenant would be gigabytes.
    """
    found, place = np.unique(names[rows].astype(str), return_inverse=True)
    order = np.argsort(place, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(place, minlength=len(found)))[:-1])
    return dict(zip(found.tolist(), parts, strict=False))  # where there are no rows, there is one part and no name


def clustered_gain(standing: Any, wanting: Any, weights: Any, clusters: Any) -> Estimate:
    """Return the weighted mean of standing - wanting, losses (n,) each; n of the result is the number of rows.

    The interval is by `clusters` (ints, (n,)), with the cluster-robust standard error of a mean (Liang and Zeger 1986)
    and its factor C / (C - 1) for C clusters. One cluster has no standard error, and the interval is infinite.
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
    """The evidence of one tenant's rows on the level of its scores.

    `surplus` is the number of positives less the sum of the scores. `information` is the sum of p (1 - p). surplus /
    information is an estimate of the tenant's intercept, and 1 / information is the variance of that estimate.
    """

    surplus: float
    information: float


def shift_of(scores: Any, labels: Any, weights: Any) -> Shift:
    """Return the shift of one tenant's rows, (n,) each, weighted."""
    return Shift(float(weights @ (labels - scores)), float(weights @ (scores * (1 - scores))))


def between(shifts: list[Shift]) -> float:
    """Return the variance of the tenants' intercepts around 0, in squared logits, by the method of moments.

    The variance is the amount by which the estimates vary more than chance alone would make them: max(0, (Q - k) / sum
    I). Q is the sum of I d^2 over k tenants, and d = surplus / I, where I is the information (DerSimonian and Laird
    1986). The mean is known to be 0, because the scores are calibrated.
    """
    informed = [shift for shift in shifts if shift.information > 0]
    if not informed:
        return 0.0
    spread = sum(shift.surplus**2 / shift.information for shift in informed)
    return max(0.0, (spread - len(informed)) / sum(shift.information for shift in informed))


def intercept(scores: Any, labels: Any, weights: Any, variance: float) -> float:
    """Return a tenant's intercept in logits: the mode of its posterior under N(0, variance).

    The method is empirical Bayes (Morris 1983). `variance` is the variance of all tenants' intercepts, by `between`.
    The intercept b solves sum w (y - sigmoid(logit p + b)) = b / variance, by Newton's method. Near 0 the intercept is
    d times I variance / (1 + I variance). So the intercept of a tenant with few positives, and little information I,
    hardly moves.
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
    """Return a tenant's rate, in (0, 1), drawn towards everyone's rate as if by `PRIOR_ROWS` more rows."""
    return (positives + PRIOR_ROWS * everyone) / (rows + PRIOR_ROWS)
