"""Erases one person from everything. The function is invoked directly, with a ticket's reference."""

from __future__ import annotations

from typing import Any

from propensity.erasure.erase_customer import erase_customer
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return erase_customer(
        composition.ports(),
        tenant_id=event.get("tenant_id"),
        customer_id=event.get("customer_id"),
        request=event.get("request"),
        why=event.get("why"),
        by=event.get("by"),
        at=event.get("at"),
    )
