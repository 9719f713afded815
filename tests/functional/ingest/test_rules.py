"""Values as the engine types them, compared with Python's reading of the same text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.domain.normalisation import cleaned
from propensity.ingest.domain.rules import cast, typed
from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.contract import Column


def read(column: Column, values: list[str], shown: str = "{}") -> list[Any]:
    """What each text becomes in the column's type. `shown` is SQL that makes a value of Python's of it."""
    name, listed = column.name, ", ".join(f"({number}, {text(value)})" for number, value in enumerate(values))
    first = cast(column, "2026-01-01T00:00:00+00:00")
    texts = f"select *, {cleaned(column, 'raw')} as {quote(name + '$')} from data"
    steps = f"select *, {first or 'null'} as {quote(name + '^')} from ({texts})"
    with DuckDbSql() as sql:
        found = sql.rows(
            f"with data(n, raw) as (values {listed}) select {shown.format(typed(column))} from ({steps}) order by n"
        )
    return [value for (value,) in found]


def integer(value: str) -> int | None:
    whole = re.fullmatch(r"([+-]?[0-9]{1,19})(\.0*)?", value.strip(), re.ASCII)
    return int(whole[1]) if whole and -(2**63) <= int(whole[1]) < 2**63 else None


def number(value: str) -> float | None:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value.strip(), re.ASCII):
        return None
    found = float(value)
    return found if math.isfinite(found) else None


def day(value: str) -> date | None:
    form = re.fullmatch(r"([1-9]\d{3}-\d\d-\d\d)([ T]00:00(:00(\.0{1,9})?)?(Z|\+00(:?00)?)?)?", value.strip(), re.ASCII)
    return attempt(date.fromisoformat, form[1]) if form else None


def instant(value: str) -> int | None:
    form = re.fullmatch(r"([1-9]\d{3}-\d\d-\d\d)(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?(Z)?)?", value.strip(), re.ASCII)
    if not form:
        return None
    clock = f"{int(form[2] or 0):02}:{form[3] or '00'}:{form[4] or '00'}"
    found = attempt(datetime.fromisoformat, f"{form[1]} {clock}")
    return round(found.replace(tzinfo=UTC).timestamp()) if found else None


def attempt[T](parse: Callable[[str], T], value: str) -> T | None:
    try:
        return parse(value)
    except ValueError:
        return None


NUMERIC = st.text(alphabet="0019+-.eE_ xnaif,", max_size=8)
DIGITS = st.text(alphabet="0123456789", min_size=17, max_size=21)
CALENDAR = st.one_of(
    st.text(alphabet="0129-: TZ", max_size=20),
    st.builds(
        "{:04d}-{:02d}-{:02d}{}{:02d}:{:02d}:{:02d}{}".format,
        st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32), st.sampled_from(" TX"),
        st.integers(0, 23), st.integers(0, 61), st.integers(0, 59), st.sampled_from(["", "Z", "x", " "]),
    ),
    st.dates().map(str),
    st.sampled_from(["infinity", "-infinity", "epoch", "nan", "today", "2020-01-01 (BC)", "2020/01/01", "12020-01-01"]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMERIC | DIGITS, min_size=1, max_size=40))
def test_whole_numbers_are_digits_and_never_rounded(values: list[str]) -> None:
    assert read(Column("c", "integer"), values) == [integer(value) for value in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMERIC | DIGITS | st.floats().map(str), min_size=1, max_size=40))
def test_numbers_are_decimal_and_finite(values: list[str]) -> None:
    assert read(Column("c", "number"), values) == [number(value) for value in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(CALENDAR, min_size=1, max_size=40))
def test_dates_are_iso_days_or_midnights(values: list[str]) -> None:
    assert read(Column("c", "date"), values) == [day(value) for value in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(CALENDAR, min_size=1, max_size=40))
def test_instants_are_iso_and_utc(values: list[str]) -> None:
    found = read(Column("c", "timestamp"), values, "epoch_us({}) // 1000000")
    assert found == [instant(value) for value in values]


@pytest.mark.parametrize(
    ("written", "kept"),
    [("17850.0", "17850"), ("17850", "17850"), ("017850.00", "017850"), ("17850.5", "17850.5"), ("A.0", "A.0")],
)
def test_a_number_kept_as_text_has_one_spelling(written: str, kept: str) -> None:
    assert read(Column("c", "string", normalise=("integer_text",)), [written]) == [kept]


def test_what_the_contract_calls_missing_is_missing() -> None:
    column = Column("c", "string", null_values=("nan", "-"), normalise=("upper",))
    assert read(column, ["nan", "-", "", "  ", "x ", "\t\u00a0y", "NAN"]) == [None, None, None, None, "X", "Y", "NAN"]
