"""erase_tenant: take a tenant out of everything; models that were trained on several tenants stay."""

from __future__ import annotations

from typing import Any

from propensity.erasure.domain.subject import parse_subject, parse_ticket
from propensity.erasure.engine import erase
from propensity.ports import Ports


def erase_tenant(
    ports: Ports, *, tenant_id: object, request: object, why: object, by: object, at: object
) -> dict[str, Any]:
    """Erase a tenant under the caller's reference; return the record. Raises the same errors as erase_customer."""
    return erase(ports, parse_subject(tenant_id, None), parse_ticket(request, why, by, at))
