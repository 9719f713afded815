"""Shows over the API who waits for review, and takes decisions.

Customers stand in bodies, because an address is kept in traces and logs, also in those of other systems.
"""

from __future__ import annotations

from typing import Any

from propensity.delivery.review_customers import list_reviews, review_customers
from propensity.kernel.errors import NotFoundError
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def review(call: api.Call) -> dict[str, Any]:
        ports, tenant = composition.ports(), call.path.get("tenant", "")
        match event["httpMethod"], event["resource"]:
            case "GET", "/v1/tenants/{tenant}/reviews":
                return list_reviews(ports, tenant, call.query, at=call.at)
            case "POST", "/v1/tenants/{tenant}/reviews":
                return review_customers(ports, tenant, call.body, by=call.by, at=call.at)
        raise NotFoundError(f"{event['httpMethod']} {event['resource']}: no such route")

    return api.answer(event, review)
