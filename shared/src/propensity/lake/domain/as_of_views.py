"""What feature, population and label SQL sees: the rule that the future cannot leak, as SQL.

Silver is append-only, so every question about a moment is a question about rows: which were known by then,
and which of those is each key's latest version. All instants are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from propensity.kernel.sql_text import instant, quote, text


@dataclass(frozen=True, slots=True)
class SilverShape:
    """What the views must know of a dataset's Silver table.

    `columns` are (name, DuckDB type) of the contract's columns without the tenant; `version_column` decides
    between versions of a key before known_at does. `by_arrival`: rows are known from when their file arrived, so
    arrival decides between them. `retracted` are the files taken back: (content_id, the RFC 3339 instant from which
    that is known).
    """

    dataset: str
    kind: Literal["event", "state"]
    columns: tuple[tuple[str, str], ...]
    version_column: str | None = None
    by_arrival: bool = False
    retracted: tuple[tuple[str, str], ...] = ()

    @property
    def time_column(self) -> str:
        return "_event_time" if self.kind == "event" else "_valid_from"


def latest_versions(shape: SilverShape, source: str, *, known_before: str | None, valid_before: str | None) -> str:
    """SELECT of each key's latest version among the rows known before an instant.

    Order: a state's valid_from, the declared version column, known_at, then the row's hash, so that equal
    files in any order give equal answers. An event's own time does not take part: a correction may move it.
    A healed row becomes known when it is healed, but is as old as its file: where arrival decides, it never
    displaces a correction that came after it.
    Rows of a retracted file do not take part, so that what they replaced counts again.
    """
    conditions = []
    if known_before:
        conditions.append(f"_known_at < {known_before}")
    if shape.kind == "state" and valid_before:
        conditions.append(f"_valid_from < {valid_before}")
    if shape.retracted:
        conditions.append(_not_retracted(shape.retracted, known_before))
    where = f"where {' and '.join(conditions)}" if conditions else ""
    order = [*(["_valid_from desc"] if shape.kind == "state" else []), *_newest_first(shape)]
    return f"""
        select * from {source} {where}
        qualify row_number() over (partition by tenant_id, _key order by {", ".join(order)}) = 1"""


def _newest_first(shape: SilverShape) -> list[str]:
    """ORDER BY of the versions of one thing."""
    declared = [f"{quote(shape.version_column)} desc nulls last"] if shape.version_column else []
    return [*declared, "_ingested_at desc" if shape.by_arrival else "_known_at desc", "_row_hash desc"]


def _not_retracted(retracted: Sequence[tuple[str, str]], known_before: str | None) -> str:
    """A view of a moment keeps a retracted row where the lake truly held it then and did not know better yet.

    A row that a backfill dates before its own arrival was never seen at that earlier moment by anybody: it goes from
    those views too, else a wrong backfill would stay in every training on old dates.
    """
    listed = ", ".join(text(content_id) for content_id, _ in retracted)
    if known_before is None:
        return f"_content_id not in ({listed})"
    known = " ".join(f"when {text(content_id)} then timestamptz {text(at)}" for content_id, at in retracted)
    held = f"_ingested_at < {known_before} and {known_before} <= case _content_id {known} end"
    return f"(_content_id not in ({listed}) or ({held}))"


def current_view(shape: SilverShape, source: str) -> str:
    """SELECT of the current view: one row per key, whatever was known when."""
    return latest_versions(shape, source, known_before=None, valid_before=None)


def _plain(shape: SilverShape) -> str:
    """The columns as feature SQL sees them: timestamps as naive UTC."""
    columns = ["tenant_id"]
    for name, kind in shape.columns:
        column = quote(name)
        columns.append(f"timezone('UTC', {column}) as {column}" if kind == "TIMESTAMPTZ" else column)
    return ", ".join(columns)


def as_of_rows(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of a dataset's rows, cut at as_of by event time and by known_at."""
    moment = instant(as_of)
    inner = latest_versions(shape, source, known_before=moment, valid_before=moment)
    return f"select {_plain(shape)} from ({inner}) where {shape.time_column} < {moment}"


def history_rows(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of a state dataset's every state that held before as_of, as known by then.

    `_valid_from` and `_valid_to` are instants in naive UTC: a state holds in [_valid_from, _valid_to), the last one
    open (NULL). Of several rows with one key and `_valid_from`, the latest version counts, whatever order they came in.
    """
    moment = instant(as_of)
    order = ", ".join(_newest_first(shape))
    conditions = [f"_known_at < {moment}", f"_valid_from < {moment}"]
    if shape.retracted:
        conditions.append(_not_retracted(shape.retracted, moment))
    return f"""
        select {_plain(shape)}, timezone('UTC', _valid_from) as _valid_from,
            timezone('UTC', lead(_valid_from) over (partition by tenant_id, _key order by _valid_from)) as _valid_to
        from (
            select * from {source} where {" and ".join(conditions)}
            qualify row_number() over (partition by tenant_id, _key, _valid_from order by {order}) = 1)"""


def newest_row(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of one row: when the newest event happened or state began, and when the newest row became known.

    Of the rows that features see at as_of; RFC 3339 in UTC, NULL where there are none.
    """
    moment = instant(as_of)
    conditions = [f"_known_at < {moment}", f"{shape.time_column} < {moment}"]
    if shape.retracted:
        conditions.append(_not_retracted(shape.retracted, moment))
    both = ", ".join(
        f"strftime(timezone('UTC', max({column})), '%Y-%m-%dT%H:%M:%SZ')" for column in (shape.time_column, "_known_at")
    )
    return f"select {both} from {source} where {' and '.join(conditions)}"


def outcome_rows(shape: SilverShape, source: str, *, start: date, end: date, known_by: date | None) -> str:
    """SELECT of an event dataset's events in [start, end), as known by a day's start."""
    known = instant(known_by) if known_by else None
    inner = latest_versions(shape, source, known_before=known, valid_before=None)
    return f"""
        select {_plain(shape)} from ({inner})
        where _event_time >= {instant(start)} and _event_time < {instant(end)}"""
