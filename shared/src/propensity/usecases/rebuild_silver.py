"""rebuild_silver: whatever Bronze holds and Silver's logs do not carry is promoted.

Bronze is the source of truth. Over a table that is gone this restores it; over one that is whole it finds nothing to
do, which is the daily proof that no announcement was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from propensity.domain.errors import IncompleteRunError, PropensityError
from propensity.domain.landing import parse_bronze_key
from propensity.domain.runs import parse_day
from propensity.ports import Ports
from propensity.usecases.planning import pack_info
from propensity.usecases.promote_silver import BronzeFile, promote_silver

BATCH = 100  # files a commit
_WAITING = timedelta(days=15)  # a queue keeps a message for 14


def rebuild_silver(ports: Ports, *, slot: str | None = None) -> dict[str, Any]:
    """Promote every Bronze file that Silver lacks: of the two weeks before the slot's day, or of all time without one.

    A call that was cut off is simply repeated. Returns files looked at, and files and rows promoted. A file that
    cannot be promoted keeps no other from it; IncompleteRunError names it in the end.
    """
    since = parse_day(slot, "slot") - _WAITING if slot else date.min
    looked, promoted, rows = 0, 0, 0
    refused: list[str] = []
    for dataset in pack_info(ports).datasets:
        files = _files(ports, dataset, since)
        looked += len(files)
        for start in range(0, len(files), BATCH):
            for done in _promote(ports, files[start : start + BATCH], refused):
                promoted += done["files"]
                rows += done["rows"]
    ports.metrics.count("BronzeFilesMissed", promoted)
    if refused:
        raise IncompleteRunError(
            f"{len(refused)} of {looked} Bronze files cannot be promoted, {promoted} were; the first: {refused[0]}"
        )
    return {"files": looked, "promoted": promoted, "rows": rows}


def _files(ports: Ports, dataset: str, since: date) -> list[BronzeFile]:
    """In the order of their keys; of two that go under one name the first, whatever the batches are."""
    files: dict[str, BronzeFile] = {}
    for key in ports.lake.keys(f"bronze/{dataset}/"):
        if parse_bronze_key(key)[2] >= since:
            file = BronzeFile.of_key(key)
            files.setdefault(file.transaction, file)
    return list(files.values())


def _promote(ports: Ports, files: Sequence[BronzeFile], refused: list[str]) -> Iterator[dict[str, Any]]:
    """One commit; where that is refused for good, a commit a file."""
    try:
        yield promote_silver(ports, files)
    except PropensityError as error:
        if error.retryable:
            raise
        if len(files) == 1:
            refused.append(f"{files[0].bronze_key}: {error}")
            return
        for file in files:
            yield from _promote(ports, [file], refused)
