"""Answers GET /v1/models: the models of the pack, and where each stands.

GET /v1/runs/{model} is answered with the runs of a model: running, failed with the reason, or ended.
"""

from __future__ import annotations

from typing import Any

from propensity.kernel.errors import NotFoundError
from propensity.operations.report_runs import list_models, report_runs
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def report(call: api.Call) -> dict[str, Any]:
        ports = composition.ports()
        match event["httpMethod"], event["resource"]:
            case "GET", "/v1/models":
                return list_models(ports, day=call.at)
            case "GET", "/v1/runs/{model}":
                return report_runs(ports, call.path.get("model", ""))
        raise NotFoundError(f"{event['httpMethod']} {event['resource']}: no such route")

    return api.answer(event, report)
