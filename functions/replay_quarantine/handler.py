"""Revalidates a dataset's quarantine by a newer contract. The function is called by hand or by a deployment."""

from __future__ import annotations

from typing import Any

from propensity.ingest.replay_quarantine import LIMIT, replay_quarantine
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(dataset="<dataset>")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return replay_quarantine(
        composition.ports(),
        dataset=event["dataset"],
        tenant_id=event.get("tenant_id"),
        limit=event.get("limit", LIMIT),
    )
