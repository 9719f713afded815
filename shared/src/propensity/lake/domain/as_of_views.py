"""The views that feature, population and label SQL reads. The views keep the future out of the SQL.

Silver is append-only, so its rows answer two questions about every moment. Which rows were known by then, and which of
these rows is the latest version of its key? All instants are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from propensity.kernel.sql_text import instant, quote, text


@dataclass(frozen=True, slots=True)
class SilverShape:
    """The facts about a dataset's Silver table that the views need.

    `columns` gives (name, DuckDB type) of the contract's columns, without the tenant. The value of `version_column`
    decides between versions of a key, before known_at does. With `by_arrival` a row is known from the arrival of its
    file, so arrival decides in known_at's place. `retracted` lists the files that were taken back, each as (content_id,
    RFC 3339 instant from which this is known).
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

    Four values decide, in this order: a state's valid_from, the declared version column, known_at, the row's hash. So
    equal files in any order give equal answers. An event's own time does not decide, because a correction may move the
    time.
    A healed row becomes known when it is healed, but it is as old as its file. Where arrival decides, a healed row
    never displaces a correction that came after the row's file.
    Rows of a retracted file are left out, so that the rows that they replaced count again.
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
    """The ORDER BY that puts the latest version of a key first."""
    declared = [f"{quote(shape.version_column)} desc nulls last"] if shape.version_column else []
    return [*declared, "_ingested_at desc" if shape.by_arrival else "_known_at desc", "_row_hash desc"]


def _not_retracted(retracted: Sequence[tuple[str, str]], known_before: str | None) -> str:
    """The condition that leaves out the rows of retracted files.

    A view as of a moment keeps a retracted file's row if the lake had the row by then and the file was not yet
    retracted. A backfill may date a row before the row's own arrival. Nobody saw such a row at that earlier moment, so
    views of that moment leave it out too. Otherwise a wrong backfill would stay in every training on old dates.
    """
    listed = ", ".join(text(content_id) for content_id, _ in retracted)
    if known_before is None:
        return f"_content_id not in ({listed})"
    known = " ".join(f"when {text(content_id)} then timestamptz {text(at)}" for content_id, at in retracted)
    there_by_then = f"_ingested_at < {known_before} and {known_before} <= case _content_id {known} end"
    return f"(_content_id not in ({listed}) or ({there_by_then}))"


def current_view(shape: SilverShape, source: str) -> str:
    """SELECT of the current view: the latest version of each key among all rows, whenever the rows became known."""
    return latest_versions(shape, source, known_before=None, valid_before=None)


def _plain(shape: SilverShape) -> str:
    """The columns as feature SQL sees them, with timestamps as naive UTC."""
    columns = ["tenant_id"]
    for name, kind in shape.columns:
        column = quote(name)
        columns.append(f"timezone('UTC', {column}) as {column}" if kind == "TIMESTAMPTZ" else column)
    return ", ".join(columns)


def as_of_rows(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of a dataset's rows, cut at as_of by event time (a state's valid_from) and by known_at."""
    moment = instant(as_of)
    inner = latest_versions(shape, source, known_before=moment, valid_before=moment)
    return f"select {_plain(shape)} from ({inner}) where {shape.time_column} < {moment}"


def history_rows(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of every state of a dataset that began before as_of, as known by then.

    `_valid_from` and `_valid_to` are instants in naive UTC. A state holds in [_valid_from, _valid_to), and a key's last
    state is open (NULL). Of rows with the same key and `_valid_from` the latest version counts, in whatever order the
    rows came.
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
    """SELECT of one row: when the newest event happened (or the newest state began), and when a row last became known.

    Both instants are those of the rows that features see at as_of, as RFC 3339 in UTC. They are NULL where there are no
    rows.
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
    """SELECT of a dataset's events in [start, end), as known before the day `known_by`.

    None for `known_by` means now.
    """
    known = instant(known_by) if known_by else None
    inner = latest_versions(shape, source, known_before=known, valid_before=None)
    return f"""
        select {_plain(shape)} from ({inner})
        where _event_time >= {instant(start)} and _event_time < {instant(end)}"""
