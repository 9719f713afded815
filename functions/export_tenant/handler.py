"""Writes a tenant's rows as Parquet files below exports/. The function is invoked by hand."""

from __future__ import annotations

from typing import Any

from propensity.portal.export_tenant import export_tenant
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(tenant_id="<tenant>", request="TICKET-1")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return export_tenant(composition.ports(), tenant_id=event["tenant_id"], request=event["request"])
