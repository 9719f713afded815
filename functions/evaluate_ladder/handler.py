"""Chooses the rung of each tenant of a training run."""

from __future__ import annotations

from typing import Any

from propensity.ladder.evaluate_ladder import evaluate_ladder
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return evaluate_ladder(composition.ports(), run=event["run"])
