"""Erases a tenant from everything. The function is invoked directly, with a ticket's reference."""

from __future__ import annotations

from typing import Any

from propensity.erasure.erase_tenant import erase_tenant
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(tenant_id="<tenant>", request="TICKET-1", why="<why>", by="<role>", at="2025-07-01T09:00:00Z")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return erase_tenant(
        composition.ports(),
        tenant_id=event["tenant_id"],
        request=event["request"],
        why=event["why"],
        by=event.get("by"),
        at=event.get("at"),
    )
