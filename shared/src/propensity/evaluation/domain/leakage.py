"""Features that know the answer: how much one feature alone says of the label."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from propensity.evaluation.domain.gates import Sentinel

# fewer of either kind among the rows that have a value agree by chance
LEAST_KNOWN = 10


def sentinels(names: Sequence[str], matrix: Any, labels: Any, categories: Collection[str] = ()) -> list[Sentinel]:
    """One per feature. `matrix` float32 (n, k), NaN for missing; `labels` 0 and 1, (n,); `categories`: coded ones."""
    return [_sentinel(name, matrix[:, number], labels, name in categories) for number, name in enumerate(names)]


def _sentinel(name: str, values: Any, labels: Any, coded: bool) -> Sentinel:
    """The most that any reading of the feature gives: missing as least, as most, and among the rows that have it.

    That it is there at all can be the leak: a field that is filled in when the outcome is.
    """
    known = np.isfinite(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    positives = np.bincount(place, weights=labels[known], minlength=len(distinct))
    negatives = np.bincount(place, minlength=len(distinct)) - positives
    if coded:
        # codes have no order of their own; the one by rate is the most that they can say
        order = np.argsort(positives / (positives + negatives), kind="stable")
        positives, negatives = positives[order], negatives[order]
    lost = float(labels[~known].sum())
    missing = lost, float((~known).sum()) - lost
    readings = [
        (np.r_[missing[0], positives], np.r_[missing[1], negatives]),
        (np.r_[positives, missing[0]], np.r_[negatives, missing[1]]),
    ]
    if min(positives.sum(), negatives.sum()) >= LEAST_KNOWN:
        readings.append((positives, negatives))
    return Sentinel(
        name,
        max(_auc(*reading) for reading in readings),
        max(_phi(*reading) for reading in readings),
    )


def _auc(positives: Any, negatives: Any) -> float:
    """Either way round, ties half; counts per value in ascending order, both kinds among them."""
    below = np.cumsum(negatives) - negatives
    value = float(np.sum(positives * (below + negatives / 2)) / (positives.sum() * negatives.sum()))
    return max(value, 1 - value)


def _phi(positives: Any, negatives: Any) -> float:
    """Largest correlation, of either sign, between the label and 'at least this value', over all values."""
    p, n = positives.sum(), negatives.sum()
    below_p, below_n = np.cumsum(positives)[:-1], np.cumsum(negatives)[:-1]
    spread = np.sqrt((below_p + below_n) * (p + n - below_p - below_n) * p * n)
    cuts = spread > 0
    if not cuts.any():
        return 0.0
    return float(np.max(np.abs(below_n * p - below_p * n)[cuts] / spread[cuts]))
