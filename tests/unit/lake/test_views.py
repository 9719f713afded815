"""The future cannot leak: the views are compared with a plain Python model of what was known when."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.kernel.errors import BadInputError
from propensity.lake.domain.as_of_views import SilverShape, as_of_rows, current_view, history_rows, outcome_rows
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.run_names import BucketRows, execution_name, group_buckets, parse_day, scoring_run
from propensity.pack.domain.model_spec import ModelSpec
from propensity.training.domain.schedule import months_before, training_dates
from tests.kit.specs import model_spec

DAY = date(2025, 1, 10)
START = datetime(2025, 1, 1, tzinfo=UTC)
ONE_FILE = "timestamptz '2026-01-01'"  # all rows come in one historical load: nothing is a restatement
rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(0, 20), st.integers(1, 3), st.integers(0, 9)),
    max_size=25,
    unique_by=lambda row: (row[0], row[1], row[2], row[3], row[4]),
)


def loaded(data: list[tuple[str, int, int, int, int]], time_column: str) -> DuckDbSql:
    session = DuckDbSql()
    session.execute(
        f"create table s (tenant_id varchar, _key varchar, {time_column} timestamptz, _known_at timestamptz, "
        "revision bigint, value bigint, _row_hash varchar, _ingested_at timestamptz, _healed_at timestamptz)"
    )
    for key, at, known, revision, value in data:
        moments = [(START + timedelta(days=days)).isoformat() for days in (at, known)]
        session.execute(
            f"insert into s values ('t', ?, ?::timestamptz, ?::timestamptz, ?, ?, ?, {ONE_FILE}, null)",
            [key, *moments, revision, value, f"{at:02d}{known:02d}{revision}{value}"],
        )
    return session


def shape(kind: Literal["event", "state"]) -> SilverShape:
    return SilverShape("d", kind, (("revision", "BIGINT"), ("value", "BIGINT")), version_column="revision")


def latest_events(data: list[tuple[str, int, int, int, int]], known_by: int | None) -> list[tuple[int, int, int]]:
    """The model of the views: (revision, at, value) of each key's latest version that was known before the day."""
    latest: dict[str, tuple[int, int, str, int, int]] = {}
    for key, at, known, revision, value in data:
        if known_by is None or known < known_by:
            order = (revision, known, f"{at:02d}{known:02d}{revision}{value}", at, value)
            latest[key] = max(latest.get(key, order), order)
    return [(revision, at, value) for revision, _, _, at, value in latest.values()]


@settings(max_examples=150, deadline=None)
@given(rows, st.integers(0, 21))
def test_an_as_of_view_of_events_is_the_latest_version_known_then_of_what_had_happened(
    data: list[tuple[str, int, int, int, int]], days: int
) -> None:
    expected = sorted((revision, value) for revision, at, value in latest_events(data, days) if at < days)
    with loaded(data, "_event_time") as session:
        seen = as_of_rows(shape("event"), "s", date(2025, 1, 1) + timedelta(days=days))
        assert sorted(session.rows(f"select revision, value from ({seen})")) == expected


@settings(max_examples=150, deadline=None)
@given(rows, st.integers(0, 21))
def test_an_as_of_view_of_states_is_what_held_then_as_known_then(
    data: list[tuple[str, int, int, int, int]], days: int
) -> None:
    latest: dict[str, tuple[int, int, int, str, int]] = {}
    for key, at, known, revision, value in data:
        if known < days and at < days:
            order = (at, revision, known, f"{at:02d}{known:02d}{revision}{value}", value)
            latest[key] = max(latest.get(key, order), order)
    with loaded(data, "_valid_from") as session:
        seen = as_of_rows(shape("state"), "s", date(2025, 1, 1) + timedelta(days=days))
        found = session.rows(f"select revision, value from ({seen})")
        assert sorted(found) == sorted((one[1], one[4]) for one in latest.values())


@settings(max_examples=150, deadline=None)
@given(rows, st.integers(0, 21), st.randoms(use_true_random=False))
def test_a_history_of_states_has_each_s_beginning_and_end_in_whatever_order_they_came(
    data: list[tuple[str, int, int, int, int]], days: int, shuffled: random.Random
) -> None:
    latest: dict[tuple[str, int], tuple[int, int, str, int]] = {}
    for key, at, known, revision, value in data:
        if known < days and at < days:
            order = (revision, known, f"{at:02d}{known:02d}{revision}{value}", value)
            latest[key, at] = max(latest.get((key, at), order), order)
    expected = []
    for key, at in latest:
        later = [other for name, other in latest if name == key and other > at]
        expected.append((latest[key, at][3], at, min(later, default=None)))
    mixed = list(data)
    shuffled.shuffle(mixed)
    with loaded(mixed, "_valid_from") as session:
        states = history_rows(shape("state"), "s", date(2025, 1, 1) + timedelta(days=days))
        start = "timestamp '2025-01-01'"
        found = session.rows(
            f"select value, date_diff('day', {start}, _valid_from), date_diff('day', {start}, _valid_to) "
            f"from ({states})"
        )
        assert sorted(found, key=repr) == sorted(expected, key=repr)


@settings(max_examples=100, deadline=None)
@given(rows, rows)
def test_what_becomes_known_or_happens_later_changes_no_earlier_view(
    past: list[tuple[str, int, int, int, int]], future: list[tuple[str, int, int, int, int]]
) -> None:
    cut = (DAY - date(2025, 1, 1)).days
    later = [(key, at, known + cut, revision, value) for key, at, known, revision, value in future]
    answers = []
    for data in (past, past + later):
        with loaded(data, "_event_time") as session:
            answers.append(sorted(session.rows(as_of_rows(shape("event"), "s", DAY))))
    assert answers[0] == answers[1]


@settings(max_examples=150, deadline=None)
@given(rows, st.none() | st.integers(0, 21))
def test_labels_see_the_events_of_their_window_as_known_by_a_day(
    data: list[tuple[str, int, int, int, int]], known_by: int | None
) -> None:
    # with gap 2 and horizon 7, from the 10th: the 12th to the 16th, which are days 11 to 15 of the data
    latest = latest_events(data, known_by)
    expected = sorted((revision, value) for revision, at, value in latest if 11 <= at <= 15)
    with loaded(data, "_event_time") as session:
        window = model_spec(gap_days=2, horizon_days=7).label_window(DAY)
        day = None if known_by is None else date(2025, 1, 1) + timedelta(days=known_by)
        seen = outcome_rows(shape("event"), "s", start=window.start, end=window.end, known_by=day)
        assert sorted(session.rows(f"select revision, value from ({seen})")) == expected


@settings(max_examples=100, deadline=None)
@given(rows)
def test_the_current_view_has_one_row_per_key(data: list[tuple[str, int, int, int, int]]) -> None:
    with loaded(data, "_event_time") as session:
        found = session.rows(f"select _key from ({current_view(shape('event'), 's')}) order by 1")
        assert [key for (key,) in found] == sorted({row[0] for row in data})


def spec(**training: int) -> ModelSpec:
    return model_spec(horizon_days=90, gap_days=7, training=training)


@settings(max_examples=200, deadline=None)
@given(st.dates(date(2015, 1, 1), date(2030, 12, 31)), st.integers(2, 24), st.integers(1, 6), st.booleans())
def test_every_training_window_has_closed_by_the_runs_day(day: date, count: int, step: int, monthly: bool) -> None:
    chosen = spec(as_of_count=count, **({"every_months": step} if monthly else {"every_days": step * 30}))
    dates = training_dates(chosen, day)
    assert len(set(dates)) == count
    assert list(dates) == sorted(dates)
    assert max(dates) + timedelta(days=90 + 7) <= day


def test_months_end_on_their_last_day_where_they_are_shorter() -> None:
    assert months_before(date(2024, 3, 31), 1) == date(2024, 2, 29)
    assert months_before(date(2025, 1, 15), 13) == date(2023, 12, 15)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.integers(1, 1_000))
def test_every_bucket_is_in_one_group_and_none_is_split(rows_of: list[int], limit: int) -> None:
    groups = group_buckets([BucketRows(number, count) for number, count in enumerate(rows_of)], limit)
    assert [bucket for group in groups for bucket in group] == list(range(len(rows_of)))
    for group in groups:
        assert len(group) == 1 or sum(rows_of[bucket] for bucket in group) <= limit


def test_a_bucket_is_what_any_reader_can_compute() -> None:
    [(found,)] = duckdb.execute(f"select {bucket_of("'dealer_07'", 8)}").fetchall()
    assert found == int(hashlib.md5(b"dealer_07", usedforsecurity=False).hexdigest()[:8], 16) % 8


def test_names_of_runs_tell_what_they_are_and_fit_step_functions() -> None:
    assert scoring_run("m", DAY, "gap", 3, "pull-7") == "runs/score/m/2025-01-10-v000003-gap-pull-7"
    assert execution_name("train", "m", "2025-01-10") == "train-m-2025-01-10"
    assert len(execution_name("score", "m" * 90)) == 80
    assert parse_day("2025-01-10T03:00:00Z", "slot") == DAY
    with pytest.raises(BadInputError, match="slot is 'soon'"):
        parse_day("soon", "slot")


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("2025-07-01", "2025-07-01"),
        ("2025-07-01T00:30+14:00", "2025-06-30"),
        ("2025-07-01T00:30:00+14:00", "2025-06-30"),
        ("2025-07-01T23:30:00-05:00", "2025-07-02"),
        ("2025-07-01T23:59:59.999Z", "2025-07-01"),
        ("2024-02-29t12:00:00z", "2024-02-29"),
    ],
)
def test_a_day_is_a_date_or_the_day_in_utc_of_an_instant(said: str, day: str) -> None:
    assert parse_day(said, "as_of").isoformat() == day


@pytest.mark.parametrize(
    "said",
    [
        *("20250701", "2025-W01-1", "2025-182", "2025-07-01T00:30:00", "2025-07-01 00:30:00Z", "2025-07-01x"),
        *(" 2025-07-01", "2025-02-30", "2025-07-01T25:00Z", "0001-01-01T00:00+14:00", "2025-7-1", "٢٠٢٥-٠٧-٠١"),
        *("2025-07-01\n", "", None, 7),
    ],
)
def test_what_is_no_day_is_refused_with_what_was_expected(said: Any) -> None:
    with pytest.raises(BadInputError, match=r"as_of is .*expected a day as YYYY-MM-DD"):
        parse_day(said, "as_of")
