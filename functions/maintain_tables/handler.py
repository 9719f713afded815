"""Compacts tables, weekly, and removes files that nothing needs any more."""

from __future__ import annotations

from typing import Any

from propensity.operations.maintain_tables import maintain_tables
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return maintain_tables(composition.ports(), slot=day_in(event, "slot"))
