"""maintain_tables: join small files, and remove what nothing needs any more.

What a model or a run names stays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from propensity.lake.domain.run_names import parse_day
from propensity.ports import Ports
from propensity.registry.pinned import pinned_versions

RETENTION = timedelta(days=7)  # a reader, or a run that is being redriven, may be on an older version for so long


def maintain_tables(ports: Ports, *, slot: str, retention: timedelta = RETENTION) -> dict[str, Any]:
    """Compact, checkpoint and vacuum every table; doing it again finds nothing to do.

    Kept whatever their age: the versions that a registered model was trained on, and those that a run of the last
    two months pinned.
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
