"""Answers GET /v1/features with the newest catalogue of features.

GET /v1/features/diff?from=&to= is answered with the differences of two feature sets.
"""

from __future__ import annotations

from typing import Any

from propensity.features.report_features import compare_feature_sets, newest_catalogue
from propensity.kernel.errors import NotFoundError
from propensity.runtime import api, composition
from propensity.runtime.events import API, takes
from propensity.runtime.logging import logged


@logged
@takes(API)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def report(call: api.Call) -> dict[str, Any]:
        match event["resource"]:
            case "/v1/features":
                return newest_catalogue(composition.ports())
            case "/v1/features/diff":
                before, after = call.query.get("from"), call.query.get("to")
                return compare_feature_sets(composition.ports(), before=before, after=after)
        raise NotFoundError(f"{event['resource']}: no such route")

    return api.answer(event, report)
