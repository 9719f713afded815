"""Builds the feature matrix of one work item."""

from __future__ import annotations

from typing import Any

from propensity.features.build_features import build_features
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(item="runs/score/<model>/2025-07-01-v000001-batch/items/0001.json")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return build_features(composition.ports(), item=event["item"])
