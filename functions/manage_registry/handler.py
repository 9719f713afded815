"""Manages models over the API: versions, approvals, promotion, release of lists, rollback.

The caller is the person who signed the request, whatever the request's body says.
"""

from __future__ import annotations

from typing import Any

from propensity.kernel.errors import NotFoundError
from propensity.release.manage_registry import approve, list_versions, promote, read_card, release, roll_back
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged
from propensity.runtime.settings import approvers


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def manage(call: api.Call) -> dict[str, Any] | api.Document:
        ports, model = composition.ports(), call.path["model"]
        version, why = call.body.get("version"), call.body.get("why")
        match event["resource"]:
            case "/v1/models/{model}":
                return list_versions(ports, model)
            case "/v1/models/{model}/versions/{version}/card":
                card = read_card(ports, model, call.path["version"], call.query.get("format", "html"))
                return api.Document(*card)
            case "/v1/models/{model}/promote":
                return promote(ports, model, version, by=call.by, why=why, at=call.at, approvers=approvers())
            case "/v1/models/{model}/approvals":
                return approve(ports, model, version, by=call.by, why=why, at=call.at, approvers=approvers())
            case "/v1/models/{model}/release":
                return release(ports, model, version, by=call.by, why=why, at=call.at, approvers=approvers())
            case "/v1/models/{model}/rollback":
                seen = call.body.get("from_version")
                return roll_back(ports, model, by=call.by, why=why, at=call.at, version=version, from_version=seen)
        raise NotFoundError(f"{event['resource']}: no such route")

    return api.answer(event, manage)
