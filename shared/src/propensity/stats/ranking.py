"""Percentiles and deciles per tenant. Percentile 100 and decile 10 hold the most likely customers.

Cut points are a batch's own quantiles. A gap run ranks its few customers by the batch's cut points, so that a new
customer's decile means the same as every other customer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

DECILE = 10


def percentile(scores: Any, cuts: Any) -> Any:
    """The percentile of each score, 1…100: one more than the number of cut points below the score.

    `scores` has shape (n,) and type float64. `cuts` are 99 ascending quantiles of one tenant's scores. The result is
    int32 of shape (n,). Equal scores get equal percentiles.
    """
    return (np.searchsorted(cuts, scores, side="left") + 1).astype(np.int32)


def decile(percentiles: Any) -> Any:
    """The deciles 1…10 of percentiles 1…100, as int32."""
    return ((percentiles - 1) // DECILE + 1).astype(np.int32)


def rank(tenants: Any, scores: Any, cuts: Mapping[str, list[float]], everyone: list[float]) -> Any:
    """The percentiles of rows of several tenants. Each tenant is ranked by its own cut points.

    A tenant without cut points is ranked by `everyone`, the cut points of all tenants together.
    """
    out = np.empty(len(scores), dtype=np.int32)
    for tenant in np.unique(tenants.astype(str)):
        rows = tenants == tenant
        out[rows] = percentile(scores[rows], np.asarray(cuts.get(tenant, everyone)))
    return out
