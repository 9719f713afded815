"""Erasing a person, or a whole tenant: who is meant, what names them in a text, and what the record of it says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import TENANT_NAME, Subject
from propensity.lake.domain.erasure_records import ERASURES

_REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,63}")
_PHONE = re.compile(r"\+[0-9]{8,15}")
_WORD = "0-9a-z"
_SEPARATORS = "[ ()/.-]"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the record says of the call: the caller's reference, why, who and when (RFC 3339). It names no person."""

    request: str
    why: str
    by: str
    at: str

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)


def parse_subject(tenant_id: object, customer_id: object) -> Subject:
    """Raises BadInputError, which never says what the customer was."""
    if not isinstance(tenant_id, str) or not TENANT_NAME.fullmatch(tenant_id):
        raise BadInputError(
            "tenant_id: expected 1 to 64 letters, digits, dots, - or _, as in the landing bucket's keys"
        )
    if customer_id is not None and (not isinstance(customer_id, str) or not customer_id.strip()):
        raise BadInputError("customer_id: expected the customer's id as text, as Silver has it")
    return Subject(tenant_id, customer_id)


def parse_ticket(request: object, why: object, by: object, at: object) -> Ticket:
    """Raises BadInputError naming the field."""
    if not isinstance(request, str) or not _REQUEST.fullmatch(request):
        raise BadInputError(
            "request: expected your reference of 3 to 64 letters, digits, dots, - or _, as a ticket's number; "
            "never the person's name or id"
        )
    for field, value in (("why", why), ("by", by)):
        if not isinstance(value, str) or not value.strip():
            raise BadInputError(f"{field}: expected text for the record")
    try:
        zoned = datetime.fromisoformat(str(at)).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise BadInputError("at: expected an instant with its zone, as 2026-11-21T09:00:00Z")
    return Ticket(request, str(why).strip(), str(by).strip(), str(at))


def record_key(request: str) -> str:
    return f"{ERASURES}/{request}.json"


def notes_folder(request: str) -> str:
    """Where attempts write down what they are about to do, so that the record is true whichever of them died."""
    return f"audit/erasing/{request}/"


def telling(value: str) -> bool:
    """Whether a value can name nobody else: a short number may as well be a price, an article or a postcode."""
    return len(value) >= 9 or "@" in value or (len(value) >= 6 and re.search(r"[A-Za-z]", value) is not None)


def identifies(value: str) -> bool:
    """Whether a restricted value that only one customer has may be looked for in text (postcodes are too short)."""
    return len(value) >= 9 or "@" in value


def pattern(names: Collection[str]) -> str | None:
    """Regular expression, of RE2 and of Python, that finds any of the names as a whole token in lower-case text.

    A telephone number in E.164 is found however it is spaced and whether its country is said. None without names.
    """
    if not names:
        return None
    kinds = "|".join(_spelt(name.lower()) for name in sorted(names))
    return f"(?:^|[^{_WORD}])(?:{kinds})(?:[^{_WORD}]|$)"


def _spelt(name: str) -> str:
    if _PHONE.fullmatch(name):
        return rf"\+?[0-9 ()/.-]{{0,9}}{f'{_SEPARATORS}*'.join(name[-8:])}"
    # RE2 knows no \- or \@ outside of classes as Python escapes them: a class of one holds anything but ^ and \
    return "".join(one if re.match(r"[0-9a-z]|[^\x00-\x7f]", one) else f"\\x{ord(one):02x}" for one in name)


@dataclass(frozen=True, slots=True)
class Note:
    """What one attempt was about to do in one zone, written before it did it.

    `objects`: per object `rows` to be removed (None where it goes whole) and `how`; `tables`: per table the version
    `before` and the `rows` that leave the newest version.
    """

    attempt: int
    zone: str
    call: Mapping[str, str]
    objects: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Mapping[str, int]]


def parse_note(value: Mapping[str, Any]) -> Note:
    return Note(value["attempt"], value["zone"], value["call"], value["objects"], value["tables"])


def merged(record: Mapping[str, Any] | None, notes: Iterable[Note]) -> dict[str, Any]:
    """A record's calls, objects and tables with those of the notes that came after it.

    An attempt that died is taken up by the next, which finds again what was not done: of one object the largest
    count is the true one. What a record already says was done, so that rows found after it are more.
    """
    closed = record["attempts"] if record else 0
    calls = list(record["calls"]) if record else []
    objects: dict[str, dict[str, Any]] = {}
    tables: dict[str, dict[str, int]] = {}
    last = closed
    for note in sorted(notes, key=lambda note: (note.attempt, note.zone)):
        if note.attempt <= closed:
            continue
        last = max(last, note.attempt)
        if note.call not in calls:
            calls.append(dict(note.call))
        for key, one in note.objects.items():
            held = objects.setdefault(key, {"zone": note.zone, **one})
            held["rows"] = _most(held["rows"], one["rows"])
        for table, said in note.tables.items():
            kept = tables.setdefault(table, dict(said))
            kept["rows"] = max(kept["rows"], said["rows"])
    before = record or {"objects": {}, "tables": {}}
    return {
        "attempts": last,
        "calls": calls,
        "objects": _added(before["objects"], objects),
        "tables": _added(before["tables"], tables),
    }


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def _added(before: Mapping[str, Mapping[str, Any]], more: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {name: dict(one) for name, one in before.items()}
    for name, one in more.items():
        held = found.get(name)
        rows = None if held is None else held["rows"]
        found[name] = {**one, "rows": one["rows"] if rows is None else rows + (one["rows"] or 0)}
    return dict(sorted(found.items()))


def zones(objects: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Per zone: objects touched, rows removed from them, and how many of the objects went whole."""
    found: dict[str, dict[str, int]] = {}
    for one in objects.values():
        zone = found.setdefault(one["zone"], {"objects": 0, "rows": 0, "whole": 0})
        zone["objects"] += 1
        zone["rows"] += one["rows"] or 0
        zone["whole"] += one["rows"] is None
    return dict(sorted(found.items()))


def rows_of(objects: Mapping[str, Mapping[str, Any]], keys: Iterable[str]) -> int:
    """How many rows were removed from these objects."""
    return sum(objects[key]["rows"] or 0 for key in keys if key in objects)
