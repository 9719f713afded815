"""Reads and writes tenants' records. A record is an append-only ledger of one object per line.

A conditional put writes each line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from propensity.kernel.errors import BadInputError, ForbiddenError, NotFoundError, RetryableError
from propensity.lake.json_objects import dumps
from propensity.ports import ObjectStore
from propensity.tenants.domain.record import TENANTS, RecordLine, line_key, next_line, record_prefix

_RACES = 20  # attempts to write a line while other calls write theirs


def lines(store: ObjectStore, tenant_id: str) -> list[RecordLine]:
    """The lines of a tenant, the oldest first. The list is empty for a tenant without a record."""
    return [_line(store, key) for key in store.keys(record_prefix(tenant_id))]


def line_for(store: ObjectStore, tenant_id: str, arrived: datetime) -> RecordLine | None:
    """The line that decides on a file by its time of arrival. None where no line decides.

    The search takes a listing and mostly one read.
    """
    for key in reversed(list(store.keys(record_prefix(tenant_id)))):
        line = _line(store, key)
        if line.files_from <= arrived:
            return line
    return None


def last_lines(store: ObjectStore) -> list[RecordLine]:
    """The last line of every tenant with a record, sorted by tenant."""
    last = {key.split("/")[1]: key for key in store.keys(f"{TENANTS}/") if "/record/" in key}
    return [_line(store, key) for _, key in sorted(last.items())]


def closed_periods(store: ObjectStore) -> dict[str, list[list[str | None]]]:
    """The periods [start, end] in which each tenant's files were refused, as RFC 3339 instants.

    The end of a period that goes on is None.
    """
    by_tenant: dict[str, list[RecordLine]] = {}
    for key in store.keys(f"{TENANTS}/"):
        if "/record/" in key:
            line = _line(store, key)
            by_tenant.setdefault(line.tenant_id, []).append(line)
    return {tenant: periods for tenant, known in sorted(by_tenant.items()) if (periods := _closed(known))}


def _closed(known: Sequence[RecordLine]) -> list[list[str | None]]:
    periods: list[list[str | None]] = []
    for line in sorted(known, key=lambda line: line.number):
        is_open = bool(periods) and periods[-1][1] is None
        if line.refuses and not is_open:
            periods.append([line.files_from.isoformat(), None])
        elif not line.refuses and is_open:
            periods[-1][1] = line.files_from.isoformat()
    return periods


def append_record_line(
    store: ObjectStore, tenant_id: str, body: Mapping[str, Any], datasets: Sequence[str], *, by: str, at: str
) -> RecordLine:
    """Append the line that a request asks for. Returns the tenant's last line after the request.

    A request that changes nothing adds no line. Raises the errors of `next_line`, and RetryableError where other calls
    were faster 20 times.
    """
    for _ in range(_RACES):
        known = list(store.keys(record_prefix(tenant_id)))
        last = _line(store, known[-1]) if known else None
        line = next_line(last, tenant_id, body, datasets, by=by, at=at)
        if line is last:
            return line
        if store.put_new(line_key(tenant_id, line.number), dumps(line.model_dump())):
            return line
    raise RetryableError(f"tenant {tenant_id}: its record is being written by others; try again")


def refuse_closed(store: ObjectStore, tenant_id: str, arrived: datetime, what: str) -> RecordLine | None:
    """The line of the tenant's record that decides on a file, None without one. `what` names the file.

    Raises BadInputError where the tenant was suspended or offboarded when the file arrived.
    The time of the file's arrival decides, and the time of this call does not. So every delivery of the file's event
    gets the same answer.
    """
    line = line_for(store, tenant_id, arrived)
    if line and line.refuses:
        raise BadInputError(
            f"{what}: tenant {tenant_id} is {line.state} since {line.at}, and its files are kept but not taken in; "
            "make it active, then send the file again"
        )
    return line


def refuse_unknown_or_gone(store: ObjectStore, tenant_id: str, datasets: Sequence[str]) -> None:
    """Raise an error for a tenant that gets no answers about its customers.

    The rule: a tenant is known when it has a record, or when a file came of it. NotFoundError for a tenant that is not
    known, ForbiddenError for one that is offboarded. RetryableError where a line is listed and cannot be read.
    """
    keys = list(store.keys(record_prefix(tenant_id)))
    if not keys:
        if not any(any(store.keys(f"validation/{dataset}/tenant_id={tenant_id}/")) for dataset in datasets):
            raise NotFoundError(f"tenant {tenant_id}: has no record, and nothing came of it; PUT it, or mend the name")
        return
    try:
        line = _line(store, keys[-1])
    except NotFoundError as error:
        raise RetryableError(f"tenant {tenant_id}: its record is listed and cannot be read; try again") from error
    if line.state == "offboarded":
        raise ForbiddenError(f"tenant {tenant_id}: is offboarded since {line.at}, and gets no scores")


def _line(store: ObjectStore, key: str) -> RecordLine:
    return RecordLine.model_validate_json(store.get(key))
