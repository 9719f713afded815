"""maintain_tables: join small files, and remove what nothing needs any more.

What a model or a run names stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from propensity.domain.registry import ROOT
from propensity.domain.runs import parse_day
from propensity.ports import Ports
from propensity.usecases.gold import GOLD, SCORES, feature_table
from propensity.usecases.planning import pack_info, silver_table
from propensity.usecases.registry import load_version, version_numbers
from propensity.usecases.run_files import read_json

RETENTION = timedelta(days=7)  # a reader, or a run that is being redriven, may be on an older version for so long
OPEN = timedelta(days=60)  # runs of the last two months may still be resumed


def maintain_tables(ports: Ports, *, slot: str, retention: timedelta = RETENTION) -> dict[str, Any]:
    """Compact, checkpoint and vacuum every table; doing it again finds nothing to do.

    Kept whatever their age: the versions that a registered model was trained on, and those that a run of the last
    two months pinned.
    """
    day = parse_day(slot, "slot")
    pinned, tables = pins(ports, day)
    fewer = {table: ports.tables.compact(table) for table in tables}
    for table in tables:
        ports.tables.vacuum(table, keep_versions=pinned.get(table, set()), retention=retention)
    return {
        "slot": day.isoformat(),
        "tables": len(tables),
        "compacted": {table: count for table, count in fewer.items() if count},
        "pinned": {table: sorted(versions) for table, versions in sorted(pinned.items())},
    }


def pins(ports: Ports, day: date) -> tuple[Mapping[str, set[int]], list[str]]:
    """Versions to keep per table, and all tables."""
    pinned: defaultdict[str, set[int]] = defaultdict(set)
    tables = {silver_table(dataset) for dataset in pack_info(ports).datasets}
    tables |= set(GOLD)
    models = {key.split("/")[1] for key in ports.lake.keys(f"{ROOT}/")}
    for model in models:
        for number in version_numbers(ports.lake, model):
            lineage = load_version(ports.lake, model, number).lineage
            tables.add(feature_table(str(lineage["feature_set"])))
            for dataset, version in lineage["silver"].items():
                pinned[silver_table(dataset)].add(int(version))
    for key in ports.lake.keys("runs/"):
        if key.endswith("/plan.json"):
            plan = read_json(ports.lake, key)
            if date.fromisoformat(plan["as_of"]) < day - OPEN:
                continue
            for dataset, version in plan["silver"].items():
                pinned[silver_table(dataset)].add(int(version))
            if plan.get("scores_version") is not None:
                pinned[SCORES].add(int(plan["scores_version"]))
    return pinned, sorted(tables)
