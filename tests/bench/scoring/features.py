"""Features as of a date from ten million events, beside the same SQL that runs in DuckDB with nothing around it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb

from propensity.features.build_features import build_features
from propensity.kernel.sql_text import midnight, quote, read_files, text
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.as_of_views import as_of_rows
from propensity.lake.domain.run_records import BuildItem
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.pins import pin_silver
from propensity.registry.domain.ledger import version_folder
from propensity.registry.versions import load_version
from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart, middle_cpu, most_memory
from tests.bench.scoring.capped import CAP, CappedSql
from tests.bench.scoring.customers import CUSTOMERS, EVENTS, make_lake
from tests.bench.scoring.prepare import BUCKETS, DAY, MODEL, PACK
from tests.bench.scoring.store import LinkedStore
from tests.kit.world import World

ITEM = "features_item.json"
OUT = "features/bench/as_of.parquet"


def claims(work: Path, runs: int, rows: int = CUSTOMERS) -> list[Claim]:
    """All customers in one work item, by turns with the bare SQL."""
    folder = lake_of(work, rows)
    apart(plan_item, folder)
    ours, bare = [], []
    for _ in range(runs):
        bare.append(apart(run_bare, folder, work / "bare.parquet"))
        ours.append(apart(build, folder))
    assert ours[0].result == bare[0].result, "ours and the bare SQL have other customers"
    name = f"features as of a date, {rows:,} customers from {rows * EVENTS:,} events, DuckDB capped at {CAP}"
    told = f"{ours[0].result:,} rows; bare takes {most_memory(bare):,.0f} MB"
    return [
        Claim.of(f"{name}: CPU beside the same SQL alone", middle_cpu(ours), middle_cpu(bare), 1.2, runs),
        Claim.of(f"{name}: peak memory in MB", most_memory(ours), None, None, runs, told),
    ]


def lake_of(work: Path, customers: int) -> Path:
    """The lake of so many customers, made by the first part that asks for it."""
    folder = work / f"lake-{customers}"
    if not folder.exists():
        apart(make_lake, folder, customers)
    return folder


def plan_item(folder: Path) -> None:
    """Write a work item of all buckets as of the day."""
    world = World(PACK, folder)
    version = load_version(world.lake, MODEL, 1)
    buckets = list(range(BUCKETS))
    item = BuildItem(
        run="runs/score/bench",
        index=1,
        model=MODEL,
        definition=f"{version.folder}/definition",
        as_of=[DAY],
        known_by=None,
        sources=pin_silver(world, version.definition(world.lake)).sources(buckets),
        buckets=buckets,
        bucket_count=BUCKETS,
        partition_key="tenant",
        scored=None,
        out=OUT,
    )
    world.lake.put(ITEM, dumps(item))


def build(folder: Path) -> int:
    """Build the item's features anew; the number of their rows."""
    (folder / OUT).unlink(missing_ok=True)
    ports: Any = SimpleNamespace(lake=LinkedStore(folder), sql=CappedSql)
    build_features(ports, item=ITEM)
    return _rows(folder / OUT)


def run_bare(folder: Path, out: Path) -> int:
    """Run the cut, the population's SQL and the groups' SQL in DuckDB, and write what they give; the number of rows."""
    lake = LinkedStore(folder)
    item = read_record(lake, ITEM, BuildItem)
    definition = read_definition(lake, f"{version_folder(MODEL, 1)}/definition", MODEL)
    spill = {"temp_directory": f"{folder}/spill", "memory_limit": CAP, "threads": "2"}
    with duckdb.connect(config=dict(spill)) as connection:
        connection.execute("set enable_progress_bar = false; set timezone = 'UTC'; create schema silver")
        day = date.fromisoformat(DAY)
        connection.execute(f"create macro as_of() as timestamp {text(str(midnight(day)))}")
        for dataset, source in item.sources.items():
            files = read_files([str(folder / key) for key in source.keys])
            connection.execute(f"create view silver.{quote(dataset)} as select * from {files}")
            rows = as_of_rows(source.shape, f"silver.{quote(dataset)}", day)
            connection.execute(f"create table {quote(dataset)} as {rows}")
        connection.execute(f"create temp table population as {definition.model.population.sql}")
        joined = "population p"
        for group in definition.groups:
            connection.execute(f"create temp table {quote(group.group)} as {group.sql}")
            joined += f" left join {quote(group.group)} using (tenant_id, customer_id)"
        names = ", ".join(quote(feature.name) for group in definition.groups for feature in group.features)
        connection.execute(
            f"copy (select p.tenant_id, p.customer_id, {names} from {joined}) "
            f"to {text(str(out))} (format parquet, compression zstd)"
        )
    return _rows(out)


def _rows(path: Path) -> int:
    with duckdb.connect() as connection:
        [(rows,)] = connection.execute(f"select count(*) from {read_files([str(path)])}").fetchall()
    return int(rows)
