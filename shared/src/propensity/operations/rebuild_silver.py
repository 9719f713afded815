"""rebuild_silver: whatever Bronze holds and Silver's logs do not carry is promoted.

Bronze is the source of truth. Over a table that is gone this restores it; over one that is whole it finds nothing to
do, which is the daily proof that no announcement was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from propensity.ingest.domain.landing_keys import parse_bronze_key
from propensity.ingest.promote_silver import BronzeFile, announcement, promote_silver, promotion
from propensity.ingest.register import history
from propensity.kernel.errors import IncompleteRunError, PropensityError
from propensity.lake.domain.run_names import parse_day
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import pack_info
from propensity.ports import Ports

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
        names, files = _missing(ports, dataset, since)
        looked += names
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


def _missing(ports: Ports, dataset: str, since: date) -> tuple[int, list[BronzeFile]]:
    """How many promotions Bronze's names stand for, and the files of those that Silver's log does not carry.

    Which file it is, and from when its rows are known, the register of landings says: a validation or replay that was
    overtaken leaves a file in Bronze that stands for nothing.
    """
    named = [parse_bronze_key(key) for key in ports.lake.keys(f"bronze/{dataset}/")]
    names = {promotion(one.content_id, one.healed_by): one for one in named if one.day >= since}
    there = ports.tables.committed(silver_table(dataset), names)
    files: dict[str, BronzeFile] = {}
    for one in [one for name, one in names.items() if name not in there]:
        for report in history(ports.lake, dataset, one.tenant_id, one.content_id, one.day):
            if report.bronze:
                file = BronzeFile.parse(announcement(report))
                if file.transaction not in there:
                    files[file.transaction] = file
    return len(names), list(files.values())


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
