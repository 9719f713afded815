"""The record of an erasure, and the notes from which it is made.

An attempt writes a note before it touches a zone. Where the attempt dies, its notes stay, and the next attempt merges
them into the record. The record is therefore true whichever attempt died.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from propensity.kernel.spec import Frozen
from propensity.lake.domain.erasure_records import ERASURES


class ErasureCall(Frozen):
    """Who called for the erasure, when (RFC 3339) and why."""

    by: str
    at: str
    why: str


class Removal(Frozen):
    """What is done to an object. `rows`: how many rows leave it, None where it goes whole or nobody can count them."""

    rows: int | None
    how: Literal["removed", "rewritten", "emptied"]


class ErasedObject(Removal):
    zone: str


class TableChange(Frozen):
    """`before`: the newest version of a table before the erasure. `rows`: how many rows leave that version."""

    before: int
    rows: int


class ErasedTable(TableChange):
    """`now`: the newest version after the erasure; None where the table is gone."""

    now: int | None = None


class Note(Frozen):
    """What an attempt is about to do in a zone: removals by object, and changes by table."""

    attempt: int
    zone: str
    call: ErasureCall
    objects: Mapping[str, Removal]
    tables: Mapping[str, TableChange]


class ZoneTotal(Frozen):
    """Of a zone: objects touched, rows removed from them, and how many objects went whole."""

    objects: int
    rows: int
    whole: int


class Proof(Frozen):
    """What the search after the erasure looked through; `hits` is 0, because a hit is an error."""

    objects: int
    bytes: int
    landing_versions: int
    objects_of_other_tenants: int
    hits: int


class ErasureRecord(Frozen):
    """The record of all attempts under one reference: `audit/erasures/<request>.json`. It names no person.

    `names`: how many names of the person were searched for. `pinned`: rows removed from each version of a table that a
    model or a run pins, by table and version. `open_runs`: runs that were planned and have not finished.
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
    proof: Proof


@dataclass(frozen=True, slots=True)
class Done:
    """What all attempts have done: the first four fields of a record."""

    attempts: int
    calls: list[ErasureCall]
    objects: dict[str, ErasedObject]
    tables: dict[str, ErasedTable]


def record_key(request: str) -> str:
    return f"{ERASURES}/{request}.json"


def notes_folder(request: str) -> str:
    """The folder in which attempts write down what they are about to do."""
    return f"audit/erasing/{request}/"


def merge_notes(record: ErasureRecord | None, notes: Iterable[Note]) -> Done:
    """A record with the notes of the attempts that came after it.

    The attempt after one that died finds again what was not done. Of the counts that several notes give for one object,
    the largest is therefore the true one. What the record says was done before, so rows found later are added to it.
    """
    closed = record.attempts if record else 0
    calls = list(record.calls) if record else []
    objects: dict[str, ErasedObject] = {}
    tables: dict[str, ErasedTable] = {}
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
    return Done(
        attempts=last,
        calls=calls,
        objects=_added(record.objects if record else {}, objects),
        tables=_added(record.tables if record else {}, tables),
    )


def _most(rows: int | None, other: int | None) -> int | None:
    return other if rows is None else rows if other is None else max(rows, other)


def _added[Counted: (ErasedObject, ErasedTable)](
    before: Mapping[str, Counted], more: Mapping[str, Counted]
) -> dict[str, Counted]:
    """The entries of both, by name; rows of one name are added up."""
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
    """How many rows leave these objects, or have left them."""
    return sum(objects[key].rows or 0 for key in keys if key in objects)
