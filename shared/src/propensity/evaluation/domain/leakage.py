"""Leakage: how well each feature alone predicts the label. A feature that does so too well knows the answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from propensity.evaluation.domain.gates import Sentinel

LEAST_KNOWN = 10  # positives, and negatives, among the rows that have a value; fewer agree by chance


def sentinels(names: Sequence[str], matrix: Any, labels: Any, categories: Collection[str] = ()) -> list[Sentinel]:
    """A sentinel per feature. `matrix`: float32 (n, k), NaN for missing; `labels`: 0 and 1, (n,); `categories`: names
    of the features whose values are codes.
    """
    return [_sentinel(name, matrix[:, number], labels, name in categories) for number, name in enumerate(names)]


def _sentinel(name: str, values: Any, labels: Any, coded: bool) -> Sentinel:
    """The highest figures of three readings: missing as the least value, as the greatest, and without missing values.

    The leak can be that a value is there at all. Example: a field that is filled in only once the customer has bought.
    """
    known = np.isfinite(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    positives = np.bincount(place, weights=labels[known], minlength=len(distinct))
    negatives = np.bincount(place, minlength=len(distinct)) - positives
    if coded:
        # codes have no order of their own; ordered by their rate they predict the label best
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
    """AUC in [0.5, 1], in either direction, ties half. Counts per value, values ascending; neither sum is 0."""
    below = np.cumsum(negatives) - negatives
    value = float(np.sum(positives * (below + negatives / 2)) / (positives.sum() * negatives.sum()))
    return max(value, 1 - value)


def _phi(positives: Any, negatives: Any) -> float:
    """The largest correlation, of either sign, of the label with 'at least this value', over all values."""
    p, n = positives.sum(), negatives.sum()
    below_p, below_n = np.cumsum(positives)[:-1], np.cumsum(negatives)[:-1]
    spread = np.sqrt((below_p + below_n) * (p + n - below_p - below_n) * p * n)
    cuts = spread > 0
    if not cuts.any():
        return 0.0
    return float(np.max(np.abs(below_n * p - below_p * n)[cuts] / spread[cuts]))
