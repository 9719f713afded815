"""Fits the models of a training run's segments and tenants."""

from __future__ import annotations

from typing import Any

from propensity.ladder.fit_ladder import fit_ladder
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(run="runs/train/<model>/2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return fit_ladder(composition.ports(), run=event["run"])
