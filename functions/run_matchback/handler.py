"""Matches scoring runs with their outcomes. A call takes one run, or all whose outcomes were mature by the slot."""

from __future__ import annotations

from typing import Any

from propensity.feedback.run_matchback import match_due, run_matchback
from propensity.lake.domain.time_travel import SilverAt
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "run" in event:
        silver = SilverAt.parse(event)
        return run_matchback(composition.ports(), run=event["run"], known_by=day_in(event, "slot"), silver=silver)
    return match_due(composition.ports(), slot=day_in(event, "slot"))
