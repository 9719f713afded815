"""Writes the scores of one work item to the online table."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.scoring.publish_scores import publish_scores


@logged
@takes(item="runs/score/<model>/2025-07-01-v000001-batch/items/0001.json")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return publish_scores(composition.ports(), item=event["item"])
