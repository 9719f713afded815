"""The record of an erasure, and the notes from which the record is made.

An attempt writes a note before it touches a zone. Where the attempt dies, its notes stay, and the next attempt merges
these notes into the record. The record is therefore true whichever attempt died.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from propensity.kernel.spec import Record
from propensity.lake.domain.erasure_records import ERASURES


class ErasureCall(Record):
    """The call for an erasure: who called, when (RFC 3339) and why."""

    by: str
    at: str
    why: str


class Removal(Record):
    """The removal of rows from one object.

    `rows` says how many rows leave the object; it is None where the object goes whole or nobody can count the rows.
    """

    rows: int | None
    how: Literal["removed", "rewritten", "emptied"]


class ErasedObject(Removal):
    zone: str


class TableChange(Record):
    """The change of one table. `before` is its newest version before the erasure; `rows` of that version leave it."""

    before: int
    rows: int


class ErasedTable(TableChange):
    """The table after an erasure. `now` is its newest version; it is None where the table is gone."""

    now: int | None = None


class Note(Record):
    """The note of what an attempt is about to do in a zone: removals by object, and changes by table."""

    attempt: int
    zone: str
    call: ErasureCall
    objects: Mapping[str, Removal]
    tables: Mapping[str, TableChange]
    sent_to: Mapping[str, str] = {}


class ZoneTotal(Record):
    """The totals of a zone: objects touched, rows removed from these objects, and how many objects went whole."""

    objects: int
    rows: int
    whole: int


class Proof(Record):
    """The amounts that the search after an erasure looked through, and what it did not look through.

    `hits` counts the objects that still hold the subject; it is 0 but in the record of an erasure with failed zones.
    `not_searched` counts objects by the other tenant whose mark they carry, a misspelt tenant included. `unreadable`
    counts damaged files of no tenant, which nobody can search. `too_large` lists landed versions over the budget of
    bytes, which were neither searched nor removed.
    """

    objects: int
    bytes: int
    landing_versions: int
    objects_of_other_tenants: int
    hits: int
    not_searched: Mapping[str, int] = {}
    unreadable: int = 0
    too_large: tuple[str, ...] = ()


class ErasureRecord(Record):
    """The record of all attempts under one reference: `audit/erasures/<request>.json`. The record names no person.

    `names` says how many names of the person were searched for. `pinned` counts the rows removed from each version of a
    table that a model or a run pins, by table and version. `open_runs` are the runs and lists that were planned and
    have not finished. `sent_to` has the destinations to which lists exported the subject, with the last day: they hold
    the subject outside. `failed` says per zone why an attempt could not erase there; another call goes on. `last` is
    then the record of the attempts before these, and nothing in it is done again.
    """

    attempts: int
    calls: Sequence[ErasureCall]
    objects: Mapping[str, ErasedObject]
    tables: Mapping[str, ErasedTable]
    request: str
    tenant_id: str
    subject: Literal["tenant", "customer"]
    names: int
    zones: Mapping[str, ZoneTotal]
    pinned: Mapping[str, Mapping[str, int]]
    open_runs: Sequence[str]
    sent_to: Mapping[str, str] = {}
    proof: Proof
    failed: Mapping[str, str] = {}
    last: ErasureRecord | None = None

    @property
    def closed(self) -> ErasureRecord | None:
        """The newest record without failed zones: this record, or the last one."""
        return self.last if self.failed else self


@dataclass(frozen=True, slots=True)
class Done:
    """The work of all attempts: the first four fields of a record, and `sent_to`."""

    attempts: int
    calls: list[ErasureCall]
    objects: dict[str, ErasedObject]
    tables: dict[str, ErasedTable]
    sent_to: dict[str, str]


def record_key(request: str) -> str:
    return f"{ERASURES}/{request}.json"


def names_key(request: str) -> str:
    """Return the key of the sealed names, which are there from an erasure's first zone to its end."""
    return f"audit/erasing-names/{request}"


def notes_folder(request: str) -> str:
    """Return the folder in which attempts write down what they are about to do."""
    return f"audit/erasing/{request}/"


def merge_notes(record: ErasureRecord | None, notes: Iterable[Note]) -> Done:
    """Return a record merged with the notes of the attempts that came after it.

    An attempt that follows a dead attempt finds again what was not done. Several notes may therefore give a count for
    one object, and the largest count is the true one. What the record says was done before, so rows found later are
    added to its counts.
    """
    closed = record.attempts if record else 0
    calls = list(record.calls) if record else []
    objects: dict[str, ErasedObject] = {}
    tables: dict[str, ErasedTable] = {}
    sent_to = dict(record.sent_to) if record else {}
    last = closed
    for note in sorted(notes, key=lambda note: (note.attempt, note.zone)):
        if note.attempt <= closed:
            continue
        last = max(last, note.attempt)
        if note.call not in calls:
            calls.append(note.call)
        for key, removal in note.objects.items():
            first = objects.get(key) or ErasedObject(zone=note.zone, rows=removal.rows, how=removal.how)
            objects[key] = first.model_copy(update={"rows": _most(first.rows, removal.rows)})
        for table, change in note.tables.items():
            earlier = tables.get(table) or ErasedTable(before=change.before, rows=change.rows)
            tables[table] = earlier.model_copy(update={"rows": max(earlier.rows, change.rows)})
        for destination, day in note.sent_to.items():
            sent_to[destination] = max(day, sent_to.get(destination, day))
    return Done(
        attempts=last,
        calls=calls,
        objects=_added(record.objects if record else {}, objects),
        tables=_added(record.tables if record else {}, tables),
        sent_to=dict(sorted(sent_to.items())),
    )


def _most(rows: int | None, other: int | None) -> int | None:
    return other if rows is None else rows if other is None else max(rows, other)


def _added[Counted: (ErasedObject, ErasedTable)](
    before: Mapping[str, Counted], more: Mapping[str, Counted]
) -> dict[str, Counted]:
    """Return the entries of both, by name; rows of one name are added up."""
    added = dict(before)
    for name, entry in more.items():
        earlier = before.get(name)
        if earlier is None or earlier.rows is None:
            added[name] = entry
        else:
            added[name] = entry.model_copy(update={"rows": earlier.rows + (entry.rows or 0)})
    return dict(sorted(added.items()))


def zone_totals(objects: Mapping[str, ErasedObject]) -> dict[str, ZoneTotal]:
    by_zone: dict[str, list[int | None]] = {}
    for touched in objects.values():
        by_zone.setdefault(touched.zone, []).append(touched.rows)
    return {
        zone: ZoneTotal(objects=len(rows), rows=sum(count or 0 for count in rows), whole=rows.count(None))
        for zone, rows in sorted(by_zone.items())
    }


def rows_of(objects: Mapping[str, Removal], keys: Iterable[str]) -> int:
    """Return how many rows leave these objects, or have left them."""
    return sum(objects[key].rows or 0 for key in keys if key in objects)
