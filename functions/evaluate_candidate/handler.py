"""Chooses among the candidates of a training run."""

from __future__ import annotations

from typing import Any

from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(run="runs/train/<model>/2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return evaluate_candidate(composition.ports(), run=event["run"])
