"""Finds out, daily and before anything is scored, who is one person and who is one household."""

from __future__ import annotations

from typing import Any

from propensity.identity.resolve_identities import resolve_identities
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return resolve_identities(composition.ports(), slot=day_in(event, "slot"))
