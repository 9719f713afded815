"""Asks, daily, for a retraining where checks say so. It also answers GET and POST /v1/models/{model}/retraining.

The caller is the person who signed the request, whatever the request's body says.
"""

from __future__ import annotations

from typing import Any

from propensity.feedback.request_retraining import list_requests, request_by_hand, request_retraining
from propensity.runtime import api, composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(slot="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "requestContext" not in event:
        return request_retraining(composition.ports(), slot=day_in(event, "slot"), models=event.get("models"))

    def ask(call: api.Call) -> dict[str, Any]:
        ports, model = composition.ports(), call.path["model"]
        if event["httpMethod"] == "GET":
            return list_requests(ports, model)
        why = call.body.get("why")
        return request_by_hand(ports, model, why=why, by=call.by, at=call.at, request_id=call.request_id)

    return api.answer(event, ask)
