"""Answers GET /v1/tenants/{tenant}/exports/plan: what will a list bring, and which holdout would prove it?"""

from __future__ import annotations

from typing import Any

from propensity.delivery.plan_export import plan_export
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def plan(call: api.Call) -> dict[str, Any]:
        return plan_export(composition.ports(), call.path["tenant"], call.query, at=call.at)

    return api.answer(event, plan)
