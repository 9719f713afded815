"""Audits what one scoring run was scored on, or each batch whose day a training can take by now."""

from __future__ import annotations

from typing import Any

from propensity.feedback.audit_features import audit_due, audit_features
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "run" in event:
        return audit_features(composition.ports(), run=event["run"], slot=event["slot"])
    return audit_due(composition.ports(), slot=event["slot"])
