"""Inputs for every route of template.yaml: drawn by a seed, so that a failure can be had again, and known bad ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from cfnlint.decode import cfn_yaml

from tests.kit.handlers import event
from tests.stack.stack import ROOT

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
FIELDS += ("text", "base64", "content_id", "attempt", "tenant_id", "decision")


QUERY = ("from", "to", "format", "a", "model", "state", "limit", "after", "deciles", "lift", "holdout")


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
        sent |= {"httpMethod": method, "resource": path, "body": body(draw), "isBase64Encoded": False}
        sent["pathParameters"] = {
            name: draw.choice(TEXTS) if draw.random() < 0.5 else RIGHT[name] for name in names
        } or None
        asked = {draw.choice(QUERY): draw.choice(TEXTS) for _ in range(draw.randrange(3))}
        sent["queryStringParameters"] = asked or None
        if sent["body"] and draw.random() < 0.1:
            sent["isBase64Encoded"] = True
            raw = sent["body"].encode(errors="surrogatepass")
            sent["body"] = base64.b64encode(raw).decode() if draw.random() < 0.5 else draw.choice(["%", "/w==", "é"])
        yield folder, sent


NESTED = "[" * 7 + "1," * 20_000 + "1" + "]" * 7
RIGHT = {"tenant": "dealer_01", "model": "buy", "version": "1", "day": "2025-07-01", "export": "buy-0123456789abcdef"}
RIGHT["backtest"] = "buy_0123456789abcdef"
# what once ended in a 5xx, and tenants that nobody may be
NAMES = (".", "..", "unknown", "UNKNOWN", "x" * 2_049, "\ud800", DIGITS, "0001-01-01", "9999-12-31", "NaN", "nobody")
BODIES = (
    NESTED,
    f'{{"why": {NESTED}}}',
    json.dumps({name: [[[[[[["x" * 300] * 8]]]]]] for name in FIELDS}),
    json.dumps({**dict.fromkeys(FIELDS, "x" * 2_049), "model": "buy", "customer_ids": ["x" * 2_049]}),
    json.dumps({"model": "buy", "customer_ids": ["\ud800", "x" * 2_049, "", "\0"]}),
    json.dumps(dict.fromkeys(FIELDS, "\udfff")),
    json.dumps({**dict.fromkeys(FIELDS, "0001-01-01"), "model": "buy", "customer_id": "C1"}),
    json.dumps({**dict.fromkeys(FIELDS, "9999-12-31"), "model": "buy", "customer_id": "C1"}),
    f'{{"version": {DIGITS}, "why": "w", "attempt": {DIGITS}}}',
    f'{{"version": "{DIGITS}", "why": "w"}}',
    '{"settings": {"a": NaN}, "state": "active", "why": "w"}',
    '{"version": -Infinity, "why": "w", "restore": NaN}',
)


def known() -> Iterator[tuple[str, str, dict[str, str], str | None]]:
    """(method, path, its variables, body) of every route with each bad name, and with each bad body where it takes one.

    A bad name comes with the body that the route asks for.
    """
    asked = {"model": "buy", "customer_ids": ["C1"], "customer_id": "C1", "day": "2025-07-01", "version": 1, "why": "w"}
    good = json.dumps(asked | {"dataset": "sales", "file": "a.csv", "state": "active", "text": "a"})
    for _, method, path in routes():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        takes = method in ("POST", "PUT")
        for name in names:
            for bad in NAMES:
                yield method, path, {**{one: RIGHT[one] for one in names}, name: bad}, good if takes else None
        for raw in BODIES if takes else ():
            yield method, path, {one: RIGHT[one] for one in names}, raw
