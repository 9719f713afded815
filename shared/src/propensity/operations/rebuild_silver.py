"""rebuild_silver: promote every file of Bronze that is missing in Silver's logs.

Bronze is the source of truth. A table that is gone is restored from Bronze. For a table that is whole there is nothing
to do, which proves every day that no announcement of a file was lost.
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

BATCH = 100  # the number of files that one commit promotes
_WAITING = timedelta(days=15)  # a queue keeps a message for 14 days, and one more day is looked at


def rebuild_silver(ports: Ports, *, slot: str | None = None) -> dict[str, Any]:
    """Promote the Bronze files that Silver lacks: all of them, or with a slot the files since 15 days before its day.

    A call that was cut off is simply made again. Returns how many files were looked at, and how many files and rows
    were promoted. A file that cannot be promoted does not stop the others. IncompleteRunError names the first such file
    at the end.
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
    """Return (how many promotions the keys of Bronze stand for, the files whose promotion Silver's log lacks).

    The register of landings says which file counts for a promotion, and from when its rows are known. A validation or
    revalidation that another one overtook leaves a file in Bronze that counts for nothing.
    """
    keys = [parse_bronze_key(key) for key in ports.lake.keys(f"bronze/{dataset}/")]
    names = {promotion(key.content_id, key.healed_by): key for key in keys if key.day >= since}
    committed = ports.tables.committed(silver_table(dataset), names)
    files: dict[str, BronzeFile] = {}
    for key in [key for name, key in names.items() if name not in committed]:
        for report in history(ports.lake, dataset, key.tenant_id, key.content_id, key.day):
            if report.bronze:
                file = BronzeFile.parse(announcement(report))
                if file.transaction not in committed:
                    files[file.transaction] = file
    return len(names), list(files.values())


def _promote(ports: Ports, files: Sequence[BronzeFile], refused: list[str]) -> Iterator[dict[str, Any]]:
    """Promote files in one commit. Where that commit is refused for good, each file gets a commit of its own."""
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
