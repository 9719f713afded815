"""maintain_tables: join small files of every table, and remove files that nothing needs any more.

A file stays if a registered model or an open run pins the table version that the file belongs to.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from propensity.lake.domain.run_names import parse_day
from propensity.ports import Ports
from propensity.registry.pinned import pinned_versions

RETENTION = timedelta(days=7)  # a reader or a redriven run may still read a version of seven days ago


def maintain_tables(ports: Ports, *, slot: str, retention: timedelta = RETENTION) -> dict[str, Any]:
    """Compact, checkpoint and vacuum every table; a second call finds nothing to do.

    Three kinds of table versions are kept at any age: those that a registered model was trained on, those that a run of
    the last two months pinned, and those that have the features of the newest batches, with which the next run is
    compared.
    """
    day = parse_day(slot, "slot")
    pinned, tables = pinned_versions(ports, day)
    fewer = {table: ports.tables.compact(table) for table in tables}
    for table in tables:
        ports.tables.vacuum(table, keep_versions=pinned.get(table, set()), retention=retention)
    return {
        "slot": day.isoformat(),
        "tables": len(tables),
        "compacted": {table: count for table, count in fewer.items() if count},
        "pinned": {table: sorted(versions) for table, versions in sorted(pinned.items())},
    }
