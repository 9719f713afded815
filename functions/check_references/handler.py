"""Flags and counts, weekly, rows that refer to a row which does not exist."""

from __future__ import annotations

from typing import Any

from propensity.operations.check_references import check_references
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return check_references(composition.ports(), slot=day_in(event, "slot"))
