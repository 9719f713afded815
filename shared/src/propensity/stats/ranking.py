"""Percentiles and deciles per tenant. Percentile 100 and decile 10 hold the most likely customers.

Cut points are a batch's own (stats/list_places.py). A gap run ranks its few customers by the batch's cut points, so
that a new customer's decile means the same as every other customer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from propensity.stats.list_places import PERCENT, UNRANKED, Ranks

DECILE = 10


def mid_ranks(scores: Any) -> Any:
    """Return the percentiles 1…100, int32 (n,), of the scores of one tenant, float64 (n,), among each other."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    # (r - 0.5) / n = (2 x below + equal) / 2n, in whole numbers: floats would put some edges on either side
    return (PERCENT * (2 * below + counts) // (2 * len(scores)) + 1)[inverse].astype(np.int32)


def percentile(scores: Any, cuts: Any) -> Any:
    """Return the percentiles 1…100, int32 (n,), of scores, float64 (n,), by a list's 99 cuts."""
    return (np.searchsorted(np.asarray(cuts), scores, side="right") + 1).astype(np.int32)


def decile(percentiles: Any) -> Any:
    """Return the deciles 1…10 of percentiles 1…100, as int32. A masked percentile has a masked decile."""
    return ((percentiles - 1) // DECILE + 1).astype(np.int32)


def rank(tenants: Any, names: Sequence[str], scores: Any, ranks: Mapping[str, Ranks]) -> tuple[Any, Any]:
    """Return (percentiles, reasons) of rows of several tenants, each tenant ranked by its own ranks.

    `tenants` is int (n,), the place of each row's tenant in `names`. The percentiles are a masked int32 array (n,), in
    which the unranked are masked. The reasons are int32 (n,): the place in UNRANKED of why a row is unranked, -1 for a
    ranked one.
    """
    places, reasons = np.zeros(len(scores), dtype=np.int32), np.full(len(scores), -1, dtype=np.int32)
    order = np.argsort(tenants, kind="stable")
    bounds = np.searchsorted(tenants[order], np.arange(len(names) + 1))
    for number, tenant in enumerate(names):
        rows, by = order[bounds[number] : bounds[number + 1]], ranks[tenant]
        if by.unranked:
            reasons[rows] = UNRANKED.index(by.unranked)
        else:
            places[rows] = percentile(scores[rows], by.cuts)
    return np.ma.MaskedArray(places, mask=reasons >= 0), reasons
