"""Whatever a signed caller sends to a route, the answer is no 5xx, is JSON or a page, and names no bucket."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace

import pytest

from tests.kit.api_inputs import inputs
from tests.kit.handlers import CONTEXT, Handler, event, handler, land

INPUTS = 600


def test_no_route_answers_5xx_whatever_is_sent(aws: SimpleNamespace) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    made = cache(handler)
    statuses: dict[int, int] = {}
    broken = []
    for folder, sent in inputs(INPUTS):
        function: Handler = made(folder)
        try:
            answer = function(sent, CONTEXT)
            answer["body"].encode()
            if answer["headers"]["Content-Type"] == "application/json":
                json.loads(answer["body"], parse_constant=pytest.fail)
            assert answer["statusCode"] < 500
            assert "s3://" not in answer["body"]
        except Exception as error:  # noqa: BLE001 - all of them are shown together
            broken.append(
                (sent["httpMethod"], sent["resource"], f"{type(error).__name__}: {error}"[:300], str(sent)[:400])
            )
            continue
        statuses[answer["statusCode"]] = statuses.get(answer["statusCode"], 0) + 1
    assert broken == []
    assert sum(statuses.values()) == INPUTS
    # the inputs get past the first check: some are right, and some name what is not there
    assert {200, 400, 404} <= set(statuses), statuses
