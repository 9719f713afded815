"""Answers POST /v1/tenants/{tenant}/scores with scores on demand.

The tenant stands in the path, so that an IAM policy on the path decides who gets whose scores.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from propensity.runtime import api, composition
from propensity.runtime.champion_cache import Champions, Tenants
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged
from propensity.serving.serve_scores import ScoreRequest, serve_scores

champions, tenants = cache(Champions), cache(Tenants)


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def serve(call: api.Call) -> dict[str, Any]:
        request, ports = ScoreRequest.parse(call.path["tenant"], call.body), composition.ports()
        tenants().check(ports, request.tenant_id)
        serving = champions().get(ports, request.model)
        return serve_scores(ports, serving, request, request_id=call.request_id, at=call.at, by=call.by)

    return api.answer(event, serve)
