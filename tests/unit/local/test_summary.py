"""The demo's tables, also for a pack of real customers, who have no true probabilities."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tests.stack.summary import table

MODEL = {
    "version": 1,
    "family": "random_forest",
    "as_of": "2025-07-01",
    "population": 4_000,
    "positives": 300,
    "auc": 0.7,
    "auc_low": 0.6,
    "auc_high": 0.8,
    "lift_top_decile": 2.5,
    "calibration_slope": 1.0,
    "ece": 0.01,
    "filter_size": 900,
    "lift_filter": 1.2,
    "lift_at_filter_size": 1.9,
}
GAP = {"population": 10, "had": 8, "new": 2, "failed": 0, "coverage": 1.0}


@pytest.mark.parametrize(("best", "said"), [(0.75, "AUC 0.700 of a best possible 0.750"), (None, "900: 1.90\n")])
def test_the_best_possible_auc_is_told_where_it_is_known(best: float | None, said: str) -> None:
    console = Console(width=200)
    summary: dict[str, Any] = {"datasets": {}, "models": {"m": {**MODEL, "best_possible_auc": best}}, "gap_fill": GAP}
    with console.capture() as captured:
        table(summary, console)
    assert said in captured.get()
