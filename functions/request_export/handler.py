"""Takes requests for lists over the API, says how a list stands, and hands out its files."""

from __future__ import annotations

from typing import Any

from propensity.delivery.request_export import list_exports, request_export, request_recall, show_export
from propensity.kernel.errors import NotFoundError
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def deliver(call: api.Call) -> dict[str, Any]:
        ports, tenant = composition.ports(), call.path.get("tenant", "")
        match event["httpMethod"], event["resource"]:
            case "POST", "/v1/tenants/{tenant}/exports":
                return request_export(
                    ports, tenant, call.body, key=call.key, by=call.by, at=call.at, request_id=call.request_id
                )
            case "GET", "/v1/tenants/{tenant}/exports":
                return list_exports(ports, tenant)
            case "GET", "/v1/tenants/{tenant}/exports/{export}":
                return show_export(ports, tenant, call.path.get("export", ""))
            case "POST", "/v1/tenants/{tenant}/exports/{export}/recall":
                export, about = call.path.get("export", ""), {"by": call.by, "at": call.at}
                return request_recall(
                    ports, tenant, export, call.body, key=call.key, request_id=call.request_id, **about
                )
        raise NotFoundError(f"{event['httpMethod']} {event['resource']}: no such route")

    return api.answer(event, deliver)
