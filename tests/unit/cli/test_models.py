"""The commands that ask once and show the answer: scores, explanations, models, runs, the ledger, tenants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.cli_service import Answer, Command, Service

SCORE = {
    "customer_id": "C1",
    "score": 0.41,
    "percentile": 98,
    "decile": 10,
    "reasons": ["the car is old", "[red]it rains"],
    "source": "champion",
    "as_of": "2025-07-01",
    "degraded_reason": None,
}
HELD = {
    **SCORE,
    "model_version": 2,
    "committed_at": "2025-07-01T03:00:00+00:00",
    "scope": "batch",
    "stage_then": "champion",
}
LINE = {"number": 4, "model": "buy", "version": 2, "why": "better", "by": "anna", "checked": {"rows": 5}}
RUN = {"kind": "training", "as_of": "2025-07-01", "state": "failed", "reason": "no rows", "run": None, "scope": None}
MODEL = {
    "model": "buy",
    "champion": None,
    "staging": 2,
    "why": "version 2 failed lift",
    "newest": {"version": 2, "stage": "staging"},
    "next": {"training": "2025-08-01", "scoring": "2025-07-08"},
}
VERSIONS = [{"version": 2, "stage": "staging", "auc": 0.7123, "rows": 12345, "gates_in_words": "passed all gates"}]
ARRIVED = {"sales": {"files": 3, "refused": 0, "first": "2025-06-01", "last": "2025-07-01", "rows": 12345}}

# words of the command, the call, its body, the answer, and what a person must read
CASES: list[tuple[str, str, Any, dict[str, Any], list[str]]] = [
    (
        "score dealer_01 C1 C2 --model buy",
        "POST /v1/tenants/dealer_01/scores",
        {"model": "buy", "customer_ids": ["C1", "C2"]},
        {"model": "buy", "model_version": 2, "scores": [SCORE]},
        ["buy, version 2", "0.4100", "98", "[red]it rains", "champion"],
    ),
    (
        "explain dealer_01 C1 --model buy --day 2025-07-01",
        "POST /v1/tenants/dealer_01/explanations",
        {"customer_id": "C1", "model": "buy", "day": "2025-07-01"},
        {"champion": 2, "held": HELD, "scores": [HELD], "answers": []},
        ["champion was version 2", "the car is old", "03:00:00"],
    ),
    (
        "explain dealer_01 C1 --model buy --day 2025-07-02",
        "POST /v1/tenants/dealer_01/explanations",
        {"customer_id": "C1", "model": "buy", "day": "2025-07-02"},
        {"champion": None, "held": None, "scores": [{**HELD, "score": 0.1234}], "answers": []},
        ["there was no champion", "no score held", "0.1234"],
    ),
    ("models", "GET /v1/models", None, {"models": [MODEL]}, ["version 2 failed lift", "2025-08-01"]),
    (
        "models buy",
        "GET /v1/models/buy",
        None,
        {"model": "buy", "champion": 1, "promotion": "people", "versions": VERSIONS, "ledger": []},
        ["champion 1", "0.7123", "12,345", "passed all gates"],
    ),
    ("runs buy", "GET /v1/runs/buy", None, {"model": "buy", "runs": [RUN]}, ["failed", "no rows"]),
    (
        "promote buy 2 --why better",
        "POST /v1/models/buy/promote",
        {"version": 2, "why": "better"},
        LINE,
        ["better", "anna"],
    ),
    (
        "approve buy 2 --why better",
        "POST /v1/models/buy/approvals",
        {"version": 2, "why": "better"},
        {**LINE, "stage": "staging", "missing": ["business"]},
        ["staging", "missing approvals", "business"],
    ),
    (
        "release buy 2 --why new",
        "POST /v1/models/buy/release",
        {"version": 2, "why": "new"},
        {**LINE, "action": "release", "release": {"released": False, "missing": ["business"]}},
        ["anna", "released", "no", "business"],
    ),
    (
        "rollback buy --from-version 3 --why worse",
        "POST /v1/models/buy/rollback",
        {"from_version": 3, "why": "worse"},
        LINE,
        ["anna"],
    ),
    (
        "rollback buy --version 1 --why worse",
        "POST /v1/models/buy/rollback",
        {"version": 1, "why": "worse"},
        LINE,
        ["2"],
    ),
    (
        "tenants",
        "GET /v1/tenants",
        None,
        {"tenants": [{"tenant_id": "dealer_01", "state": "active", "at": "2025-07-01"}]},
        ["dealer_01", "active"],
    ),
    (
        "tenants dealer_01",
        "GET /v1/tenants/dealer_01",
        None,
        {
            "tenant_id": "dealer_01",
            "state": None,
            "settings": {},
            "record": [],
            "datasets": ARRIVED,
            "missing": ["cars"],
        },
        ["cars", "12,345", "2025-06-01"],
    ),
]


@pytest.mark.parametrize(("words", "call", "body", "answer", "shown"), CASES, ids=[case[0] for case in CASES])
def test_a_command_asks_as_the_api_expects_and_shows_the_answer(
    words: str, call: str, body: Any, answer: dict[str, Any], shown: list[str], propensity: Command, service: Service
) -> None:
    service.on(call, Answer(answer))
    result = propensity(*words.split())
    assert result.exit_code == 0, result.output
    [asked] = service.asked
    assert f"{asked.method} {asked.path}" == call
    assert asked.is_signed(service.address)
    if body is None:
        assert asked.body == b""
    else:
        assert asked.json == body
    assert [text for text in shown if text not in result.stdout] == []
    assert result.stderr == ""
    assert propensity.json(*words.split())["answer"] == answer


@pytest.mark.parametrize("words", [case[0] for case in CASES])
@pytest.mark.parametrize(("status", "code"), [(400, 3), (403, 3), (404, 3), (409, 3), (500, 5), (503, 5)])
def test_an_error_of_the_api_is_passed_on_with_its_exit_code(
    words: str, status: int, code: int, propensity: Command, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propensity_cli.commands.BACKOFF", 0)
    call = next(case[1] for case in CASES if case[0] == words)
    service.on(call, Answer({"error": "SomeError", "message": "version: [2] expected, mend it"}, status))
    result = propensity(*words.split())
    assert result.exit_code == code
    assert result.stdout == ""
    assert f"SomeError ({status}): " in result.stderr
    assert "version: [2] expected, mend it" in result.stderr
    error = propensity.json(*words.split(), code=code)["error"]
    assert {"code": code, "kind": "SomeError", "status": status}.items() <= error.items()


def test_an_answer_of_the_gateway_has_its_kind_in_a_header(propensity: Command) -> None:
    error = propensity.json("models", code=3)["error"]
    assert error == {"code": 3, "kind": "NoRoute", "status": 403, "message": "Missing Authentication Token"}


def test_a_question_is_asked_again_where_the_service_was_busy_and_a_change_is_not(
    propensity: Command, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propensity_cli.commands.BACKOFF", 0)
    busy = Answer({"message": "try again"}, 503)
    service.on("GET /v1/models", busy, busy, Answer({"models": []}))
    assert propensity("models").exit_code == 0
    service.on("POST /v1/models/buy/promote", busy, Answer(LINE))
    assert propensity("promote", "buy", "2", "--why", "better").exit_code == 5
    assert service.calls() == ["GET /v1/models"] * 3 + ["POST /v1/models/buy/promote"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_an_answer_that_is_no_json_object_is_the_services_failure(
    body: bytes, propensity: Command, service: Service
) -> None:
    service.on("GET /v1/models", Answer(body))
    result = propensity("models")
    assert result.exit_code == 5
    assert "expected a JSON object" in result.stderr


def test_a_name_with_a_slash_stays_one_part_of_the_address(propensity: Command, service: Service) -> None:
    propensity("tenants", "a/../b")
    assert service.calls() == ["GET /v1/tenants/a%2F..%2Fb"]
    assert service.asked[0].is_signed(service.address)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_an_address_would_swallow_is_not_sent(name: str, propensity: Command, service: Service) -> None:
    assert propensity("tenants", name).exit_code == 2
    assert service.asked == []
