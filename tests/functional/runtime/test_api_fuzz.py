"""Whatever a signed caller sends to a route, the answer is no 5xx, is JSON or a page, and names no bucket.

The inputs are drawn by a seed, so a failure can be had again: the message of the assertion has the whole event.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from tests.kit.handlers import CONTEXT, Handler, event, handler, land
from tests.stack.stack import ROOT

INPUTS = 600
LONG = "x" * 3_000
DIGITS = "9" * 5_000
TEXTS = (
    *("", " ", ".", "..", "../..", "a/b", "unknown", "Unknown", "tenant_id=x", "%2e%2e", "\0", "\n", "é", "\U0001f600"),
    *("\ud800", "a\udfffb", LONG, "'; drop table x; --", "{}", "null", "-1", "0", "1", "007", DIGITS, "1e400", "NaN"),
    *("0001-01-01", "1899-12-31", "1900-01-01", "2999-12-31", "9999-12-31", "2025-02-30", "2025-07-01", "20250701"),
    *(
        "buy",
        "service",
        "buy@1",
        f"buy@{DIGITS}",
        "sales",
        "dealer_01",
        "sample.csv",
        "a.csv.gz",
        "x.parquet",
        "a.jsonl",
    ),
)
NUMBERS = (0, 1, -1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e308, True, None)
RAW = (
    *(
        "",
        "{",
        "[]",
        "null",
        "1",
        '"x"',
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
    ),
    *('{"why": "a", "why": "b"}', '{"a": "\\ud800"}', '{"\\udc00": 1}', f'{{"version": {DIGITS}}}', "\ufeff{}"),
    *(
        "[" * 40_000,
        '{"a":' * 40_000,
        '{"why": ' + "[" * 7 + "1," * 6_000 + "1" + "]" * 7 + "}",
        '{"a": "' + "x" * 120_000 + '"}',
    ),
    '{"settings": {"a": NaN}, "state": "active", "why": "w"}',
)
FIELDS: tuple[str, ...] = (
    "model",
    "customer_ids",
    "customer_id",
    "day",
    "version",
    "why",
    "restore",
    "state",
    "settings",
    "dataset",
    "file",
)
FIELDS += ("text", "base64", "content_id", "attempt", "tenant_id")


def routes() -> list[tuple[str, str, str]]:
    """(function's folder, method, path) of each route in template.yaml."""
    resources = cfn_yaml.load(str(ROOT / "template.yaml"))["Resources"]
    found = []
    for one in resources.values():
        for asked in (
            one.get("Properties", {}).get("Events", {}).values() if isinstance(one.get("Properties"), dict) else ()
        ):
            if asked["Type"] == "Api":
                folder = one["Properties"]["CodeUri"].strip("/").removeprefix("functions/")
                found.append((folder, asked["Properties"]["Method"], asked["Properties"]["Path"]))
    return sorted(found)


def value(draw: Random, depth: int = 0) -> Any:
    kind = draw.randrange(8)
    if kind < 4 or depth > 2:
        return draw.choice(TEXTS)
    if kind < 6:
        return draw.choice(NUMBERS)
    if kind == 6:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice([*FIELDS, "a", "\ud800"]): value(draw, depth + 1) for _ in range(draw.randrange(3))}


def body(draw: Random) -> str | None:
    kind = draw.randrange(10)
    if kind == 0:
        return None
    if kind < 4:
        return draw.choice(RAW)
    fields: dict[str, Any] = {name: value(draw) for name in draw.sample(FIELDS, draw.randrange(1, 6))}
    if draw.random() < 0.7:  # mostly right, so that the call gets beyond the first check
        right = {
            "model": "buy",
            "why": "w",
            "dataset": "sales",
            "file": "a.csv",
            "state": "active",
            "day": "2025-07-01",
        }
        fields = {**right, "customer_ids": ["C1"], "customer_id": "C1", "version": 1, **fields}
        fields = {name: fields[name] for name in draw.sample(sorted(fields), draw.randrange(1, len(fields) + 1))}
        if draw.random() < 0.3:  # a request for scores has no other fields
            fields = {"model": "buy", "customer_ids": [draw.choice(TEXTS) for _ in range(draw.randrange(1, 120))]}
    return json.dumps(fields, allow_nan=True)


def inputs(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    draw, every = Random(7), routes()  # noqa: S311 - a plan, not a secret
    for number in range(count):
        folder, method, path = every[number % len(every)]
        sent = event(folder if folder != "request_retraining" else "manage_registry")
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        right = {"tenant": "dealer_01", "model": "buy", "version": "1", "day": "2025-07-01"}
        sent |= {"httpMethod": method, "resource": path, "body": body(draw), "isBase64Encoded": False}
        sent["pathParameters"] = {
            name: draw.choice(TEXTS) if draw.random() < 0.5 else right[name] for name in names
        } or None
        asked = {draw.choice(["from", "to", "format", "a"]): draw.choice(TEXTS) for _ in range(draw.randrange(3))}
        sent["queryStringParameters"] = asked or None
        if sent["body"] and draw.random() < 0.1:
            sent["isBase64Encoded"] = True
            raw = sent["body"].encode(errors="surrogatepass")
            sent["body"] = base64.b64encode(raw).decode() if draw.random() < 0.5 else draw.choice(["%", "/w==", "é"])
        yield folder, sent


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
