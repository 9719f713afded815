"""Answers POST /v1/scores with scores on demand."""

from __future__ import annotations

from functools import cache
from typing import Any

from propensity.runtime import api, composition
from propensity.runtime.champion_cache import Champions
from propensity.runtime.logging import logged
from propensity.serving.serve_scores import ScoreRequest, serve_scores

champions = cache(Champions)


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def serve(call: api.Call) -> dict[str, Any]:
        request, ports = ScoreRequest.parse(call.body), composition.ports()
        serving = champions().get(ports, request.model)
        return serve_scores(ports, serving, request, request_id=call.request_id, at=call.at)

    return api.answer(event, serve)
