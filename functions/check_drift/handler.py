"""Checks the drift of one scoring run, or of each model's newest batch."""

from __future__ import annotations

from typing import Any

from propensity.feedback.check_drift import check_drift, check_newest
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "run" in event:
        return check_drift(composition.ports(), run=event["run"])
    return check_newest(composition.ports(), slot=day_in(event, "slot"))
