"""The views that feature, population and label SQL sees: the rule that the future cannot leak, as SQL.

Silver is append-only, so every question about a moment is a question about rows: which were known by then,
and which of those is each key's latest version. All instants are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

SYSTEM_COLUMNS = ("_key", "_row_hash", "_known_at", "_event_time", "_valid_from", "_content_id")


@dataclass(frozen=True, slots=True)
class SilverShape:
    """What the views must know of a dataset's Silver table.

    `columns` are (name, DuckDB type) of the contract's columns without the tenant; `version_column` decides
    between versions of a key before known_at does.
    """

    dataset: str
    kind: Literal["event", "state"]
    columns: tuple[tuple[str, str], ...]
    version_column: str | None = None

    @property
    def time_column(self) -> str:
        return "_event_time" if self.kind == "event" else "_valid_from"

    @property
    def identity(self) -> tuple[str, ...]:
        """Rows that are equal in these are so in everything but where they came from: no view tells them apart."""
        return ("tenant_id", "_key", "_row_hash", "_known_at", self.time_column)


def quote(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A DuckDB string literal."""
    return "'" + value.replace("'", "''") + "'"


def instant(day: date) -> str:
    """Midnight UTC of a day, as a TIMESTAMPTZ literal."""
    return f"timestamptz '{day.isoformat()} 00:00:00+00'"


def read_files(paths: Sequence[str], *, filename: bool = False) -> str:
    """A table function over local Parquet files; older files may lack newer columns."""
    listed = ", ".join(text(path) for path in paths)
    named = ", filename = true" if filename else ""
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false{named})"


def latest_versions(shape: SilverShape, source: str, *, known_before: str | None, valid_before: str | None) -> str:
    """SELECT of each key's latest version among the rows known before an instant.

    Order: a state's valid_from, the declared version column, known_at, then the row's hash, so that equal
    files in any order give equal answers. An event's own time does not take part: a correction may move it.
    """
    conditions = []
    if known_before:
        conditions.append(f"_known_at < {known_before}")
    if shape.kind == "state" and valid_before:
        conditions.append(f"_valid_from < {valid_before}")
    where = f"where {' and '.join(conditions)}" if conditions else ""
    order = ["_valid_from desc"] if shape.kind == "state" else []
    if shape.version_column:
        order.append(f"{quote(shape.version_column)} desc nulls last")
    order += ["_known_at desc", "_row_hash desc"]
    return f"""
        select * from {source} {where}
        qualify row_number() over (partition by tenant_id, _key order by {", ".join(order)}) = 1"""


def current_view(shape: SilverShape, source: str) -> str:
    """SELECT of the current view: one row per key, whatever was known when."""
    return latest_versions(shape, source, known_before=None, valid_before=None)


def exact_repeats_dropped(shape: SilverShape, source: str) -> str:
    """SELECT of rows without their exact repeats; of equal ones the first that arrived stays."""
    return f"""
        select * from {source}
        qualify row_number() over (
            partition by {", ".join(shape.identity)} order by _ingested_at, _content_id, _line) = 1"""


def _plain(shape: SilverShape) -> str:
    """The columns as feature SQL sees them: timestamps as naive UTC."""
    columns = ["tenant_id"]
    for name, kind in shape.columns:
        column = quote(name)
        columns.append(f"timezone('UTC', {column}) as {column}" if kind == "TIMESTAMPTZ" else column)
    return ", ".join(columns)


def as_of_view(shape: SilverShape, source: str, as_of: date) -> str:
    """CREATE VIEW of a dataset under its own name, cut at as_of by event time and by known_at."""
    moment = instant(as_of)
    inner = latest_versions(shape, source, known_before=moment, valid_before=moment)
    return f"""create or replace view {quote(shape.dataset)} as
        select {_plain(shape)} from ({inner}) where {shape.time_column} < {moment}"""


def outcome_view(shape: SilverShape, source: str, *, start: date, end: date, known_by: date | None) -> str:
    """CREATE VIEW of an event dataset in schema `outcome`: events in [start, end), as known by a day's start."""
    known = instant(known_by) if known_by else None
    inner = latest_versions(shape, source, known_before=known, valid_before=None)
    return f"""create or replace view outcome.{quote(shape.dataset)} as
        select {_plain(shape)} from ({inner})
        where _event_time >= {instant(start)} and _event_time < {instant(end)}"""


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """[as_of + gap, as_of + gap + horizon): the days in which an outcome counts."""

    start: date
    end: date

    @staticmethod
    def of(as_of: date, *, gap_days: int, horizon_days: int) -> LabelWindow:
        start = as_of + timedelta(days=gap_days)
        return LabelWindow(start, start + timedelta(days=horizon_days))


def midnight(day: date) -> datetime:
    """Naive midnight, for the `as_of()` macro."""
    return datetime.combine(day, time())
