"""Writes the catalogue of features, weekly."""

from __future__ import annotations

from typing import Any

from propensity.features.describe_features import describe_features
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return describe_features(composition.ports(), slot=day_in(event, "slot"))
