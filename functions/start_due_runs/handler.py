"""Starts, in the daily tick, the runs that are due on the slot's day and the runs that were missed."""

from __future__ import annotations

from typing import Any

from propensity.operations.start_due_runs import start_due_runs
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return start_due_runs(composition.ports(), slot=day_in(event, "slot"), models=event.get("models"))
