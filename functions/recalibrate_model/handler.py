"""Answers POST /v1/models/{model}/recalibrate: corrects a version's probabilities by outcomes.

The caller is the person who signed the request, whatever the request's body says.
"""

from __future__ import annotations

from typing import Any

from propensity.release.recalibrate_model import recalibrate_model
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def recalibrate(call: api.Call) -> dict[str, Any]:
        return recalibrate_model(
            composition.ports(),
            call.path["model"],
            by=call.by,
            why=call.body.get("why"),
            at=call.at,
            version=call.body.get("version"),
            restore=call.body.get("restore"),
        )

    return api.answer(event, recalibrate)
