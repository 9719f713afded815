"""Audits what one scoring run was scored on, or each batch whose day a training can take by now."""

from __future__ import annotations

from typing import Any

from propensity.feedback.audit_features import audit_due, audit_features
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "run" in event:
        return audit_features(composition.ports(), run=event["run"], slot=day_in(event, "slot"))
    return audit_due(composition.ports(), slot=day_in(event, "slot"))
