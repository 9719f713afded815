"""Answers GET /v1/tenants/{tenant}/landings/{day}: did my files land?"""

from __future__ import annotations

from typing import Any

from propensity.portal.report_landings import report_landings
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def report(call: api.Call) -> dict[str, Any]:
        return report_landings(composition.ports(), tenant_id=call.path["tenant"], day=call.path["day"])

    return api.answer(event, report)
