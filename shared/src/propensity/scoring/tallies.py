"""The counts of each tenant's customers that say whether a batch is sound, some rows at a time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from propensity.lake.domain.run_records import TenantTally
from propensity.ports import Coded
from propensity.scoring.movement import EarlierPart
from propensity.stats.ranking import decile


class Tallies:
    """The tallies of a work item. What RankRun counts, `ranked` and `tied`, stays 0 here."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))

    def add(self, tenants: Coded, scores: Any, percentile: Any, matrix: Any, then: EarlierPart | None) -> None:
        """Add rows: their tenants, scores float64 (n,), percentiles masked int32 (n,) and features float32 (n, k)."""
        unset = np.isnan(matrix).sum(axis=1)
        everybody = np.ones(len(scores), dtype=bool)
        found: dict[str, tuple[Any, Any]] = {"rows": (everybody, None), "unset": (everybody, unset)}
        if then is not None:
            placed = then.known & ~np.ma.getmaskarray(percentile) & ~np.ma.getmaskarray(then.percentile)
            steps = np.abs(decile(percentile).data - decile(then.percentile).data)
            found |= {
                "both": (then.known, None),
                "score_now": (then.known, scores),
                "score_then": (then.known, then.score),
                "placed": (placed, None),
                "steps": (placed, steps),
            }
            if then.matrix is not None:
                kept = then.known & (then.kept > 0)
                found |= {
                    "kept": (kept, None),
                    "unset_now": (kept, unset),
                    "unset_then": (kept, np.isnan(then.matrix).sum(axis=1)),
                }
        for name, (rows, weights) in found.items():
            mine = None if weights is None else weights[rows]
            sums = np.bincount(tenants.codes[rows], mine, minlength=len(tenants.texts)).tolist()
            for tenant, value in zip(tenants.texts, sums, strict=True):
                self._sums[tenant][name] += value

    def records(self) -> dict[str, TenantTally]:
        """Return the tallies by tenant. Whole numbers were added up as floats, which is exact below 2**53."""
        whole = {name for name in TenantTally.model_fields if not name.startswith("score_")}
        return {
            tenant: TenantTally(**{name: int(value) if name in whole else value for name, value in sums.items()})
            for tenant, sums in sorted(self._sums.items())
        }
