"""Percentiles and deciles per tenant. 100 and 10 are the most likely customers.

Cut points are a batch's own quantiles. A gap run ranks its few customers by the batch's cut points, so that a new
customer's decile means what everyone else's means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

DECILE = 10


def percentile(scores: Any, cuts: Any) -> Any:
    """1…100 for each score: one more than the number of cut points below it.

    `scores`: shape (n,), float64; `cuts`: 99 ascending quantiles of one tenant's scores. int32, shape (n,).
    Equal scores get equal percentiles.
    """
    return (np.searchsorted(cuts, scores, side="left") + 1).astype(np.int32)


def decile(percentiles: Any) -> Any:
    """1…10 from percentiles 1…100; int32."""
    return ((percentiles - 1) // DECILE + 1).astype(np.int32)


def rank(tenants: Any, scores: Any, cuts: Mapping[str, list[float]], everyone: list[float]) -> Any:
    """Percentiles of rows of several tenants, each by its own cut points.

    A tenant that has none is ranked by `everyone`, the cut points of all tenants together.
    """
    out = np.empty(len(scores), dtype=np.int32)
    for tenant in np.unique(tenants.astype(str)):
        rows = tenants == tenant
        out[rows] = percentile(scores[rows], np.asarray(cuts.get(tenant, everyone)))
    return out
