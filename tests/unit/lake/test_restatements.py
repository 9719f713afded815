"""A source's clock is believed once: a second version of a fact under an old date counts from its arrival."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.lake.domain.as_of_views import (
    SilverShape,
    as_of_rows,
    current_view,
    history_rows,
    known_rows,
    newest_row,
    outcome_rows,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
Kind = Literal["event", "state"]


@dataclass(frozen=True)
class Version:
    """A row of a file that arrived at hour `file`; all times in days, `healed` days after its file, if at all."""

    key: str
    at: int
    known: int
    file: int
    healed: int | None
    revision: int
    value: int

    @property
    def arrived(self) -> int:
        return self.file + (self.healed or 0)

    @property
    def hash(self) -> str:
        return f"{self.at:02d}{self.known:02d}{self.revision}{self.value}"


versions = st.builds(
    Version,
    st.sampled_from("ab"),
    st.integers(0, 2),
    st.integers(0, 8),
    st.integers(2, 14),
    st.none() | st.integers(1, 4),
    st.integers(1, 2),
    st.integers(0, 9),
)
worlds = st.lists(versions, max_size=12, unique=True)
days = st.integers(0, 20)
files_taken_back = st.dictionaries(st.integers(2, 14), st.integers(3, 18), max_size=2)


def shape(kind: Kind, retracted: dict[int, int] | None = None, *, versioned: bool = True) -> SilverShape:
    taken_back = tuple((f"f{file}", moment(at).isoformat()) for file, at in (retracted or {}).items())
    columns = (("revision", "BIGINT"), ("value", "BIGINT"))
    return SilverShape("d", kind, columns, "revision" if versioned else None, retracted=taken_back)


def moment(day: int) -> datetime:
    return START + timedelta(days=day)


def day_of(number: int) -> date:
    return date(2025, 1, 1) + timedelta(days=number)


def loaded(kind: Kind, rows: list[Version]) -> DuckDbSql:
    session = DuckDbSql()
    time = "_event_time" if kind == "event" else "_valid_from"
    session.execute(
        f"create table s (tenant_id varchar, _key varchar, {time} timestamptz, _known_at timestamptz, revision bigint, "
        "value bigint, _row_hash varchar, _content_id varchar, _ingested_at timestamptz, _healed_at timestamptz)"
    )
    for row in rows:
        healed = None if row.healed is None else moment(row.arrived).isoformat()
        times = [moment(day).isoformat() for day in (row.at, row.known, row.file)]
        session.execute(
            "insert into s values ('t', $1, $2::timestamptz, $3::timestamptz, $5, $6, $7, $8, $4::timestamptz, $9)",
            [row.key, *times, row.revision, row.value, row.hash, f"f{row.file}", healed],
        )
    return session


def seen_on(kind: Kind, rows: list[Version], day: int, retracted: dict[int, int]) -> list[Version]:
    """The model: the rows that anybody could have seen on a day, one after the other as they arrived."""
    found = []
    standing = [row for row in rows if row.file not in retracted or (row.file < day and day <= retracted[row.file])]
    for row in standing:
        restated = any(
            other.key == row.key
            and (kind == "event" or other.at == row.at)
            and other.arrived < row.arrived
            and other.known >= row.known
            for other in standing
        )
        if (max(row.known, row.arrived) if restated else row.known) < day:
            found.append(row)
    return found


def views(kind: Kind, rows: list[Version], day: int, retracted: dict[int, int] | None = None) -> list[Any]:
    """Everything that features and labels could see of these rows as of a day."""
    told = shape(kind, retracted)
    with loaded(kind, rows) as session:
        found = [
            sorted(session.rows(as_of_rows(told, "s", day_of(day)))),
            session.rows(newest_row(told, "s", day_of(day))),
        ]
        if kind == "state":
            found.append(sorted(session.rows(history_rows(told, "s", day_of(day))), key=repr))
        else:
            known_by = outcome_rows(told, "s", start=day_of(0), end=day_of(3), known_by=day_of(day))
            found.append(sorted(session.rows(known_by)))
        return found


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["event", "state"]), worlds, days, files_taken_back)
def test_a_restatement_is_seen_from_its_arrival_and_a_first_version_from_its_own_date(
    kind: Kind, rows: list[Version], day: int, retracted: dict[int, int]
) -> None:
    expected = sorted((row.key, row.value, row.file) for row in seen_on(kind, rows, day, retracted))
    with loaded(kind, rows) as session:
        cut = f"timestamptz '{moment(day).isoformat()}'"
        view = known_rows(shape(kind, retracted), "s", known_before=cut, valid_before=None)
        found = session.rows(f"select _key, value, substr(_content_id, 2)::integer from ({view})")
        assert sorted(found) == expected


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["event", "state"]), worlds, st.lists(versions, min_size=1, max_size=6), days)
def test_no_view_of_a_past_day_changes_when_restatements_arrive(
    kind: Kind, rows: list[Version], more: list[Version], day: int
) -> None:
    known: dict[tuple[str, int], int] = {}
    for row in rows:
        fact = (row.key, row.at if kind == "state" else 0)
        known[fact] = max(known.get(fact, 0), row.known)
    newest = max((row.arrived for row in rows), default=0)
    # what came later, each a restatement of something: declared as known no later than what was there before
    later = [
        Version(row.key, row.at, min(row.known, known[fact]), max(newest, day) + row.file, row.healed, 2, row.value)
        for row in more
        if (fact := (row.key, row.at if kind == "state" else 0)) in known
    ]
    assert views(kind, rows, day) == views(kind, rows + later, day)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["event", "state"]), worlds, days, st.randoms(use_true_random=False))
def test_the_order_in_which_files_are_listed_does_not_matter(
    kind: Kind, rows: list[Version], day: int, shuffled: random.Random
) -> None:
    mixed = list(rows)
    shuffled.shuffle(mixed)
    assert views(kind, rows, day) == views(kind, mixed, day)


@pytest.mark.parametrize("kind", ["event", "state"])
def test_of_two_versions_under_one_date_the_later_file_counts_once_it_is_there(kind: Kind) -> None:
    first, second = (Version("a", 0, 1, file, None, 1, value) for file, value in ((5, 9), (10, 3)))
    told = shape(kind, versioned=False)
    with loaded(kind, [first, second]) as session:
        seen = [session.rows(f"select value from ({as_of_rows(told, 's', day_of(day))})") for day in (1, 2, 10, 11)]
        assert seen == [[], [(9,)], [(9,)], [(3,)]]
        assert session.rows(f"select value from ({current_view(told, 's')})") == [(3,)]


def test_once_the_wrong_first_file_is_taken_back_its_successor_is_the_history() -> None:
    first, second = (Version("a", 0, 1, file, None, 1, value) for file, value in ((5, 9), (10, 3)))
    told = shape("event", {5: 8})
    with loaded("event", [first, second]) as session:
        seen = [session.rows(f"select value from ({as_of_rows(told, 's', day_of(day))})") for day in (2, 6, 9, 11)]
        assert seen == [[(3,)], [(9,)], [(3,)], [(3,)]]


def test_the_newest_row_became_known_when_its_restatement_arrived() -> None:
    rows = [Version("a", 0, 1, file, None, 1, value) for file, value in ((5, 9), (10, 3))]
    with loaded("event", rows) as session:
        newest = [session.rows(newest_row(shape("event"), "s", day_of(day)))[0][1] for day in (10, 11)]
        assert newest == ["2025-01-02T00:00:00Z", "2025-01-11T00:00:00Z"]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["event", "state"]), worlds, days)
def test_the_newest_times_are_those_of_the_rows_that_anybody_could_have_seen(
    kind: Kind, rows: list[Version], day: int
) -> None:
    seen = [row for row in seen_on(kind, rows, day, {}) if row.at < day]
    known = []
    for row in seen:
        earlier = [
            other
            for other in rows
            if other.key == row.key
            and (kind == "event" or other.at == row.at)
            and other.arrived < row.arrived
            and other.known >= row.known
        ]
        known.append(max(row.known, row.arrived) if earlier else row.known)
    expected = [max(found) if found else None for found in ([row.at for row in seen], known)]
    with loaded(kind, rows) as session:
        [newest] = session.rows(newest_row(shape(kind), "s", day_of(day)))
        assert list(newest) == [
            None if number is None else f"{moment(number):%Y-%m-%dT%H:%M:%SZ}" for number in expected
        ]
