"""Promotes Bronze files that Silver lacks. A daily call covers the two weeks before the slot.

A call by hand covers all time.
"""

from __future__ import annotations

from typing import Any

from propensity.operations.rebuild_silver import rebuild_silver
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return rebuild_silver(composition.ports(), slot=day_in(event, "slot") if event.get("slot") else None)
