"""Scores the customers of a backtest's origin, in the workflow train_model."""

from __future__ import annotations

from typing import Any

from propensity.backtest.judge_origin import judge_origin
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(run="runs/train/backtest-of-<model>/<id>-2025-01-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return judge_origin(composition.ports(), run=event["run"])
