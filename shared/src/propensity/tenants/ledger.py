"""A tenant's record over an object store: an append-only ledger, one object a line, by conditional puts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from propensity.kernel.errors import BadInputError, RetryableError
from propensity.lake.json_objects import dumps
from propensity.ports import ObjectStore
from propensity.tenants.domain.record import ROOT, Line, ledger, line_key, next_line

_RACES = 20


def lines(store: ObjectStore, tenant_id: str) -> list[Line]:
    """Oldest first; none for a tenant without a record."""
    return [_line(store, key) for key in store.keys(ledger(tenant_id))]


def line_for(store: ObjectStore, tenant_id: str, arrived: datetime) -> Line | None:
    """The line that decides on a file that arrived then, None where none does: a listing, and as a rule one read."""
    for key in reversed(list(store.keys(ledger(tenant_id)))):
        line = _line(store, key)
        if line.files_from <= arrived:
            return line
    return None


def last_lines(store: ObjectStore) -> list[Line]:
    """The last line of every tenant with a record, by name."""
    last = {key.split("/")[1]: key for key in store.keys(f"{ROOT}/") if "/record/" in key}
    return [_line(store, key) for _, key in sorted(last.items())]


def closed_periods(store: ObjectStore) -> dict[str, list[list[str | None]]]:
    """By tenant, the periods in which its files were refused: RFC 3339 instants, the end None while one is open."""
    by_tenant: dict[str, list[Line]] = {}
    for key in store.keys(f"{ROOT}/"):
        if "/record/" in key:
            line = _line(store, key)
            by_tenant.setdefault(line.tenant_id, []).append(line)
    return {tenant: found for tenant, known in sorted(by_tenant.items()) if (found := _closed(known))}


def _closed(known: Sequence[Line]) -> list[list[str | None]]:
    found: list[list[str | None]] = []
    for line in sorted(known, key=lambda line: line.number):
        is_open = bool(found) and found[-1][1] is None
        if line.refuses and not is_open:
            found.append([line.files_from.isoformat(), None])
        elif not line.refuses and is_open:
            found[-1][1] = line.files_from.isoformat()
    return found


def append_line(
    store: ObjectStore, tenant_id: str, body: Mapping[str, Any], datasets: Sequence[str], *, by: str, at: str
) -> Line:
    """The tenant's last line after the request; one that says nothing new adds none.

    Raises as `next_line`, and RetryableError where others keep winning the race.
    """
    for _ in range(_RACES):
        known = list(store.keys(ledger(tenant_id)))
        last = _line(store, known[-1]) if known else None
        line = next_line(last, tenant_id, body, datasets, by=by, at=at)
        if line is last:
            return line
        if store.put_new(line_key(tenant_id, line.number), dumps(line.model_dump())):
            return line
    raise RetryableError(f"tenant {tenant_id}: its record is being written by others; try again")


def refuse_closed(store: ObjectStore, tenant_id: str, arrived: datetime, what: str) -> None:
    """Raises BadInputError where the tenant was suspended or offboarded when a file arrived.

    Its arrival decides and not the moment of asking: every delivery of a file's event comes to one answer.
    """
    line = line_for(store, tenant_id, arrived)
    if line and line.refuses:
        raise BadInputError(
            f"{what}: tenant {tenant_id} is {line.state} since {line.at}, and its files are kept but not taken in; "
            "make it active, then send the file again"
        )


def _line(store: ObjectStore, key: str) -> Line:
    return Line.model_validate_json(store.get(key))
