"""The tenant that a caller names, if it is one that lists are made for."""

from __future__ import annotations

from propensity.kernel.tenant import parse_tenant
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.tenants.record_lines import refuse_unknown_or_gone


def known_tenant(ports: Ports, tenant: str) -> str:
    """Return the tenant's name. Raises NotFoundError for one that nobody knows, ForbiddenError for one that is gone."""
    name = parse_tenant(tenant)
    refuse_unknown_or_gone(ports.lake, name, pack_info(ports).datasets)
    return name
