"""A function whose event names a day that has not begun refuses the event, and does nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from propensity.kernel.errors import BadInputError
from propensity.lake.domain.run_names import parse_day
from propensity.runtime.event_days import day_in
from tests.kit.handlers import CONTEXT, handler, lake_keys

NOW = datetime(2025, 7, 1, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize("said", ["2025-07-01", "2025-06-01", "2025-07-02T00:30:00+14:00"])
def test_a_day_that_has_begun_in_utc_is_taken_as_it_stands(said: str) -> None:
    assert day_in({"slot": said}, "slot", at=NOW) == said


@pytest.mark.parametrize("said", ["2025-07-02", "2099-01-01", "2025-07-01T23:30:00-05:00", "2999-12-31"])
def test_a_day_that_has_not_begun_is_refused_with_today(said: str) -> None:
    with pytest.raises(BadInputError, match=r"slot is .*, which has not begun: today is 2025-07-01 in UTC"):
        day_in({"slot": said}, "slot", at=NOW)


@pytest.mark.parametrize("said", ["0001-01-01", "1899-12-31", "3000-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00"])
def test_a_day_whose_window_would_leave_the_calendar_is_refused(said: str) -> None:
    with pytest.raises(BadInputError, match="from 1900-01-01 to 2999-12-31"):
        parse_day(said, "day")
    assert [parse_day(day, "day").isoformat() for day in ("1900-01-01", "2999-12-31")] == ["1900-01-01", "2999-12-31"]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("plan_scoring", {"model": "service", "as_of": "2199-01-01", "scope": "batch"}),
        ("plan_training", {"model": "service", "as_of": "2199-01-01"}),
        ("run_matchback", {"run": "runs/score/service/2025-01-01-v000001-batch", "slot": "2199-01-01"}),
        *(
            (name, {"slot": "2199-01-01"})
            for name in (
                "check_drift",
                "check_quarantine",
                "check_references",
                "describe_features",
                "maintain_tables",
                "rebuild_silver",
                "request_retraining",
                "resolve_identities",
                "run_matchback",
                "start_due_runs",
            )
        ),
    ],
)
def test_no_function_works_on_a_day_of_the_future(name: str, event: dict[str, Any], aws: SimpleNamespace) -> None:
    before = lake_keys(aws, "")
    with pytest.raises(BadInputError, match="has not begun"):
        handler(name)(event, CONTEXT)
    assert lake_keys(aws, "") == before
