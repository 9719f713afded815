"""Answers POST /v1/tenants/{tenant}/explanations: which model scored this customer on that day?

The question is in the body, because an address is kept in traces and logs, also in those of other systems.
"""

from __future__ import annotations

from typing import Any

from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged
from propensity.serving.explain_score import Question, explain_score


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def explain(call: api.Call) -> dict[str, Any]:
        return explain_score(composition.ports(), Question.parse(call.path["tenant"], call.body))

    return api.answer(event, explain)
