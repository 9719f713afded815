"""Judges, daily, whether too many rows or files of a tenant were refused, or too few came."""

from __future__ import annotations

from typing import Any

from propensity.ingest.check_quarantine import check_quarantine
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return check_quarantine(composition.ports(), slot=day_in(event, "slot"))
