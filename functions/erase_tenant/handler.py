"""Erases a tenant from everything. The function is invoked directly, with a ticket's reference."""

from __future__ import annotations

from typing import Any

from propensity.erasure.erase_tenant import erase_tenant
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return erase_tenant(
        composition.ports(),
        tenant_id=event.get("tenant_id"),
        request=event.get("request"),
        why=event.get("why"),
        by=event.get("by"),
        at=event.get("at"),
    )
