"""What a single feature knows of the outcome: its AUC alone, and how nearly it copies the label."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# The least number of positives, and of negatives, among the rows that have a value; fewer rows can agree by chance.
LEAST_KNOWN = 10


@dataclass(frozen=True, slots=True)
class Sentinel:
    """The evidence of how well one feature alone predicts the label.

    `auc` is in [0.5, 1], in either direction; `copy` is in [0, 1] (phi).
    """

    name: str
    auc: float
    copy: float


def sentinels(names: Sequence[str], matrix: Any, labels: Any, categories: Collection[str] = ()) -> list[Sentinel]:
    """Return a sentinel per feature.

    `matrix` is float32 (n, k), NaN for missing. `labels` are 0 and 1, (n,). `categories` names the features whose
    values are codes.
    """
    return [_sentinel(name, matrix[:, number], labels, name in categories) for number, name in enumerate(names)]


def _sentinel(name: str, values: Any, labels: Any, coded: bool) -> Sentinel:
    """Return the highest figures of three readings of a feature.

    The readings take missing values as the least value, as the greatest value, and not at all. The leak can be that a
    value is there at all. Example: a field that is filled in only once the customer has bought.
    """
    known = np.isfinite(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    positives = np.bincount(place, weights=labels[known], minlength=len(distinct))
    negatives = np.bincount(place, minlength=len(distinct)) - positives
    if coded:
        # codes have no order of their own; ordered by their rate, codes predict the label best
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
    """Return the AUC in [0.5, 1], in either direction; a tie counts half.

    The arguments are counts per value, values ascending. Neither sum may be 0.
    """
    below = np.cumsum(negatives) - negatives
    value = float(np.sum(positives * (below + negatives / 2)) / (positives.sum() * negatives.sum()))
    return max(value, 1 - value)


def _phi(positives: Any, negatives: Any) -> float:
    """Return the largest correlation, of either sign, of the label with 'at least this value', over all values."""
    p, n = positives.sum(), negatives.sum()
    below_p, below_n = np.cumsum(positives)[:-1], np.cumsum(negatives)[:-1]
    spread = np.sqrt((below_p + below_n) * (p + n - below_p - below_n) * p * n)
    cuts = spread > 0
    if not cuts.any():
        return 0.0
    return float(np.max(np.abs(below_n * p - below_p * n)[cuts] / spread[cuts]))
