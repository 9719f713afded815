"""Manages tenants over the API: records, links and policies for uploads, trials of files, retractions.

The caller is the person who signed the request, whatever the request's body says.
"""

from __future__ import annotations

from typing import Any

from propensity.ingest.retract_upload import retract_upload
from propensity.kernel.errors import NotFoundError
from propensity.portal.manage_tenants import (
    check_sample,
    list_tenants,
    set_tenant,
    show_tenant,
    upload_link,
    upload_policy,
)
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def manage(call: api.Call) -> dict[str, Any]:
        ports, tenant = composition.ports(), call.path.get("tenant", "")
        match event["httpMethod"], event["resource"]:
            case "GET", "/v1/tenants":
                return list_tenants(ports)
            case "GET", "/v1/tenants/{tenant}":
                return show_tenant(ports, tenant)
            case "PUT", "/v1/tenants/{tenant}":
                return set_tenant(ports, tenant, call.body, by=call.by, at=call.at)
            case "GET", "/v1/tenants/{tenant}/policy":
                return upload_policy(ports, tenant)
            case "POST", "/v1/tenants/{tenant}/uploads":
                return upload_link(ports, tenant, call.body, at=call.at)
            case "POST", "/v1/tenants/{tenant}/checks":
                return check_sample(ports, tenant, call.body, at=call.at)
            case "POST", "/v1/tenants/{tenant}/retractions":
                return retract_upload(ports, tenant, call.body, by=call.by, at=call.at)
        raise NotFoundError(f"{event['httpMethod']} {event['resource']}: no such route")

    return api.answer(event, manage)
