"""Scores the customers of one work item."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.scoring.score_shard import score_shard


@logged
@takes(item="runs/score/<model>/2025-07-01-v000001-batch/items/0001.json")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return score_shard(composition.ports(), item=event["item"])
