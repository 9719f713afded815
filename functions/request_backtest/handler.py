"""Takes requests for backtests over the API, says how a backtest stands, and answers its report or its page.

The caller is the person who signed the request, whatever the request's body says.
"""

from __future__ import annotations

from typing import Any

from propensity.backtest.request_backtest import list_backtests, request_backtest, show_backtest, show_page
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def ask(call: api.Call) -> dict[str, Any] | api.Document:
        ports, model = composition.ports(), call.path["model"]
        match event["httpMethod"], event["resource"]:
            case "POST", "/v1/models/{model}/backtests":
                return request_backtest(
                    ports, model, call.body, key=call.key, by=call.by, at=call.at, request_id=call.request_id
                )
            case "GET", "/v1/models/{model}/backtests":
                return list_backtests(ports, model)
            case "GET", "/v1/models/{model}/backtests/{backtest}":
                kind = call.query.get("format", "json")
                if kind == "html":
                    return api.Document(*show_page(ports, model, call.path["backtest"]))
                if kind != "json":
                    raise BadInputError(f"format: {kind!r}, expected html or json")
                return show_backtest(ports, model, call.path["backtest"])
        raise NotFoundError(f"{event['httpMethod']} {event['resource']}: no such route")

    return api.answer(event, ask)
