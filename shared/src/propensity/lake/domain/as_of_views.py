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


# when the lake had a row: a healed row was in quarantine until it was healed
_ARRIVAL = "coalesce(_healed_at, _ingested_at)"


def latest_versions(shape: SilverShape, source: str, *, known_before: str | None, valid_before: str | None) -> str:
    """SELECT of each key's latest version among the rows known before an instant.

    Five values decide, in this order: a state's valid_from, the declared version column, known_at, the arrival of the
    file, the row's hash. So equal files, listed in any order, give equal answers. An event's own time does not decide,
    because a correction may move the time.
    A healed row becomes known when it is healed, but it is as old as its file. So a healed row never displaces a
    correction with the same known_at that came after the row's file.
    Rows of a retracted file are left out, so that the rows that they replaced count again.
    """
    order = [*(["_valid_from desc"] if shape.kind == "state" else []), *_newest_first(shape)]
    return f"""
        select * from ({known_rows(shape, source, known_before=known_before, valid_before=valid_before)})
        qualify row_number() over (partition by tenant_id, _key order by {", ".join(order)}) = 1"""


def known_rows(shape: SilverShape, source: str, *, known_before: str | None, valid_before: str | None) -> str:
    """SELECT of every version of every key among the rows known before an instant, without those taken back.

    A declared known_at is the source's word. It is taken for the first version of a fact, so that a historical load
    counts from when its rows were recorded. A fact is a key, or for a state a key and its valid_from. A later version
    that is declared as known no later than a version that arrived before it is a restatement. A restatement counts
    from its arrival: nobody could have seen it earlier, whatever it says.
    """
    conditions = []
    if known_before:
        conditions.append(f"_known_at < {known_before}")
    if shape.kind == "state" and valid_before:
        conditions.append(f"_valid_from < {valid_before}")
    conditions += _standing(shape, known_before)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    if shape.by_arrival or not known_before:
        return f"select * from {source} {where}"
    # facts whose rows had all arrived before the instant have no restatement that is not known by then
    return f"""
        select r.* from (select * from {source} {where}) r
        anti join ({_claims(shape, source, known_before, since=known_before)}) c
            on {_restates(shape)} and {_ARRIVAL} >= {known_before}"""


def _standing(shape: SilverShape, known_before: str | None) -> list[str]:
    return [_not_retracted(shape.retracted, known_before)] if shape.retracted else []


def _seen(shape: SilverShape, moment: str) -> list[str]:
    """The conditions on a row that happened, and was declared as known, before an instant."""
    return [f"_known_at < {moment}", f"{shape.time_column} < {moment}", *_standing(shape, moment)]


def _fact(shape: SilverShape) -> list[str]:
    return ["tenant_id", "_key", *(["_valid_from"] if shape.kind == "state" else [])]


def _claims(shape: SilverShape, source: str, known_before: str, since: str) -> str:
    """SELECT of what was declared of each fact that came more than once: known_at, and when that was first declared.

    Facts of which no row arrived at the instant `since` or later are left out. The others are looked for first, because
    there are hardly any as of a day that has just passed, and all else is then quick.
    """
    fact = ", ".join(_fact(shape))
    standing = "".join(f" where {condition}" for condition in _standing(shape, known_before))
    rows = f"(select {fact}, _known_at, {_ARRIVAL} as _arrival from {source}{standing})"
    late = f"(select {fact} from {source} where {_ARRIVAL} >= {since})"
    return f"""
        select {fact}, _known_at as _declared, min(_arrival) as _first from {rows}
        semi join (
            select {fact} from {rows}
            semi join {late} using ({fact})
            group by {fact} having min(_arrival) < max(_arrival)
        ) using ({fact})
        group by {fact}, _known_at"""


def _restates(shape: SilverShape) -> str:
    """The condition that a row `r` is a restatement of what `c`, of `_claims`, declared before it arrived."""
    same = [f"r.{column} = c.{column}" for column in _fact(shape)]
    return " and ".join([*same, f"c._first < {_ARRIVAL}", "c._declared >= r._known_at"])


def _newest_first(shape: SilverShape) -> list[str]:
    """The ORDER BY that puts the latest version of a key first."""
    declared = [f"{quote(shape.version_column)} desc nulls last"] if shape.version_column else []
    return [*declared, *([] if shape.by_arrival else ["_known_at desc"]), "_ingested_at desc", "_row_hash desc"]


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
    return f"""
        select {_plain(shape)}, timezone('UTC', _valid_from) as _valid_from,
            timezone('UTC', lead(_valid_from) over (partition by tenant_id, _key order by _valid_from)) as _valid_to
        from (
            select * from ({known_rows(shape, source, known_before=moment, valid_before=moment)})
            qualify row_number() over (partition by tenant_id, _key, _valid_from order by {order}) = 1)"""


def newest_row(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of one row: when the newest event happened (or the newest state began), and when a row last became known.

    Both instants are those of the rows that features see at as_of, as RFC 3339 in UTC. They are NULL where there are no
    rows.
    """
    moment = instant(as_of)
    rows = known_rows(shape, source, known_before=moment, valid_before=moment)
    seen = f"(select * from ({rows}) where {shape.time_column} < {moment})"
    known = "max(_known_at)"
    if not shape.by_arrival:
        # A restatement became known when it arrived. If another row became known later, it is not the newest. The rows
        # that had arrived by as_of give such a time without a join, because no rule takes them out.
        arrived = " and ".join([*_seen(shape, moment), f"{_ARRIVAL} < {moment}"])
        since = f"coalesce((select max(_known_at) from {source} where {arrived}), timestamptz {text('-infinity')})"
        claims = _claims(shape, source, f"timestamptz {text('-infinity')}", since)
        late = f"(select * from {seen} where {_ARRIVAL} >= {since})"
        known = (
            f"greatest({known}, (select max({_ARRIVAL}) from {late} r semi join ({claims}) c on {_restates(shape)}))"
        )
    both = ", ".join(
        f"strftime(timezone('UTC', {column}), '%Y-%m-%dT%H:%M:%SZ')" for column in (f"max({shape.time_column})", known)
    )
    return f"select {both} from {seen}"


def arrived_rows(shape: SilverShape, source: str, as_of: date) -> str:
    """SELECT of one row: how many rows features see at as_of, and how many of them had arrived in the lake by then."""
    moment = instant(as_of)
    rows = known_rows(shape, source, known_before=moment, valid_before=moment)
    return f"""
        select count(*), count(*) filter ({_ARRIVAL} < {moment}) from ({rows}) where {shape.time_column} < {moment}"""


def outcome_rows(shape: SilverShape, source: str, *, start: date, end: date, known_by: date | None) -> str:
    """SELECT of a dataset's events in [start, end), as known before the day `known_by`.

    None for `known_by` means now.
    """
    known = instant(known_by) if known_by else None
    inner = latest_versions(shape, source, known_before=known, valid_before=None)
    return f"""
        select {_plain(shape)} from ({inner})
        where _event_time >= {instant(start)} and _event_time < {instant(end)}"""
