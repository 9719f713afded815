"""Answers GET /v1/tenants/{tenant}/models: a tenant's models, and why the tenant has these models.

GET /v1/tenants/{tenant}/readiness is answered with the models that the tenant can have, what is missing, and from when.
"""

from __future__ import annotations

from typing import Any

from propensity.kernel.errors import NotFoundError
from propensity.portal.report_readiness import report_readiness, show_models
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def report(call: api.Call) -> dict[str, Any]:
        ports, tenant = composition.ports(), call.path.get("tenant", "")
        match event["httpMethod"], event["resource"]:
            case "GET", "/v1/tenants/{tenant}/models":
                return show_models(ports, tenant_id=tenant)
            case "GET", "/v1/tenants/{tenant}/readiness":
                return report_readiness(ports, tenant_id=tenant, day=call.at)
        raise NotFoundError(f"{event['httpMethod']} {event['resource']}: no such route")

    return api.answer(event, report)
