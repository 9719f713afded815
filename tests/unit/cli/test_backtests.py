"""`backtest`: what it asks, what it shows, and what it keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli_service import Answer, Command, Service

NAME = "buy_0123456789abcdef"
POST, GET = "POST /v1/models/buy/backtests", f"GET /v1/models/buy/backtests/{NAME}"
PAGE = f"{GET}?format=html"


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value * 0.9, "high": value * 1.1, "n": 900}


def figure(measure: str, value: float) -> dict[str, Any]:
    return {"segment": "all", "measure": measure, "estimate": estimate(value), "positives": 90, "pooled": False}


FIGURES = [figure("auc_within", 0.71), figure("lift_of_lists", 2.4), figure("observed_over_expected", 1.02)]
GAINS = {
    "size": 90.0,
    "by_model": estimate(60),
    "by_filter": None,
    "gain": estimate(40),
    "gain_money": estimate(4_000),
    "currency": "EUR",
}
JUDGED = {"as_of": "2025-03-01", "rows": 900, "positives": 90, "family": "logistic_regression"}
REPORT = {
    "model": "buy",
    "origins": [{"judged": JUDGED, "counted": True, "figures": FIGURES, "gains": GAINS}],
    "together": FIGURES,
    "gains": GAINS,
    "proof": {"difference": estimate(0.05), "positives": 60, "why_not": None},
    "short_of": None,
    "notes": ["A note."],
}
RUNNING = {"backtest": NAME, "model": "buy", "state": "running", "origins": ["2025-03-01"], "judged": []}
READY = {**RUNNING, "state": "ready", "judged": ["2025-03-01"], "report": REPORT}


def html(text: str) -> Answer:
    return Answer(text.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


def test_it_waits_shows_the_figures_and_keeps_report_and_page(
    service: Service, propensity: Command, tmp_path: Path
) -> None:
    service.on(POST, Answer(RUNNING))
    service.on(GET, Answer(RUNNING), Answer(READY))
    service.on(PAGE, html("<h1>Backtest</h1>"))
    found = propensity("backtest", "buy", "--as-of", "2025-07-01", "--origins", "1")
    assert found.exit_code == 0, found.output
    for said in (
        "2025-03-01",
        "0.71 (0.64 to 0.78)",
        "40 (36 to 44)",
        "4,000 (3,600 to 4,400) EUR",
        "passes",
        "A note.",
    ):
        assert said in found.stdout
    first = service.asked[0]
    assert first.json == {"as_of": "2025-07-01", "origins": 1}
    assert first.headers["idempotency-key"].startswith("cli-")
    assert all(one.is_signed(service.address) for one in service.asked)
    assert json.loads((tmp_path / NAME / "report.json").read_text()) == REPORT
    assert (tmp_path / NAME / "report.html").read_text() == "<h1>Backtest</h1>"


def test_the_yaml_of_a_model_that_is_not_deployed_goes_along(
    service: Service, propensity: Command, tmp_path: Path
) -> None:
    (tmp_path / "buy.yaml").write_text("name: buy\n")
    service.on(POST, Answer(RUNNING))
    told = propensity.json("backtest", "buy", "--definition", "buy.yaml", "--no-wait")
    assert service.asked[0].json == {"definition": "name: buy\n"}
    assert told["answer"] == RUNNING
    missing = propensity("backtest", "buy", "--definition", "no.yaml")
    assert missing.exit_code == 2


def test_the_same_command_on_the_same_day_asks_for_the_same_backtest(service: Service, propensity: Command) -> None:
    service.on(POST, Answer(RUNNING))
    for words in (("--origins", "1"), ("--origins", "1"), ("--origins", "2"), ("--key", "mine")):
        propensity("backtest", "buy", "--no-wait", *words)
    keys = [one.headers["idempotency-key"] for one in service.asked]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert keys[3] == "mine"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer({**RUNNING, "state": "failed", "reason": "origin 2025-03-01: no training rows"}), 5),
        (Answer({"error": "BadInputError", "message": "origins: too many"}, 400), 3),
    ],
)
def test_a_backtest_that_failed_or_was_refused_is_told(
    service: Service, propensity: Command, answer: Answer, code: int
) -> None:
    service.on(POST, answer)
    found = propensity("backtest", "buy")
    assert found.exit_code == code
    assert "2025-03-01: no training rows" in found.stderr or "origins: too many" in found.stderr


def test_a_page_that_does_not_come_is_an_error_and_what_is_no_page_too(service: Service, propensity: Command) -> None:
    service.on(POST, Answer(READY))
    service.on(PAGE, Answer({"message": "broken"}, 500))
    assert propensity("backtest", "buy").exit_code == 5
    service.on(PAGE, Answer({"a": 1}))
    assert propensity("backtest", "buy").exit_code == 5
