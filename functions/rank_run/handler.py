"""Computes the cut points of a scoring run."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.scoring.rank_run import rank_run


@logged
@takes(run="runs/score/<model>/2025-07-01-v000001-batch")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return rank_run(composition.ports(), run=event["run"])
