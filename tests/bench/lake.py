"""make bench AREA=lake: validation and promotion beside what DuckDB needs for the bare work."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
from deltalake import DeltaTable

from propensity.adapters.delta_tables import DeltaTables
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.lake.domain.as_of_views import current_view
from propensity.lake.silver_tables import shape_of
from propensity.pack.current import contract_of
from propensity.ports import ObjectInfo
from tests.bench.measure import Claim, by_turns, timed
from tests.fakes.folder_store import FolderStore
from tests.fakes.memory import MemoryMetrics, MemoryQueue

PACK = """
name: bench
description: Service records, and eight rules.
entity: customer_id
partition_key: tenant
buckets: 8
datasets: [service_records]
models: []
"""
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: service-records
name: Service records
version: 1.0.0
status: active
schema:
  - name: service_records
    logicalType: object
    customProperties: [{property: kind, value: event}, {property: eventTime, value: visited_at}]
    properties:
      - {name: service_id, logicalType: string, primaryKey: true, unique: true}
      - {name: customer_id, logicalType: string, required: true}
      - {name: vin, logicalType: string, logicalTypeOptions: {pattern: '[A-HJ-NPR-Z0-9]{17}'}}
      - {name: visited_at, logicalType: timestamp, required: true}
      - name: visit_kind
        logicalType: string
        quality:
          - {type: library, metric: invalidValues, mustBe: 0, arguments: {validValues: [maintenance, repair, recall]}}
      - {name: odometer_km, logicalType: integer, logicalTypeOptions: {minimum: 0, maximum: 1000000}}
      - {name: amount, logicalType: number, logicalTypeOptions: {minimum: 0}}
"""
FILES = {"pack.yaml": PACK, "contracts/service_records.yaml": CONTRACT}
COLUMNS = (
    "{'service_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'vin': 'VARCHAR', 'visited_at': 'TIMESTAMP', "
    "'visit_kind': 'VARCHAR', 'odometer_km': 'BIGINT', 'amount': 'DOUBLE'}"
)
MILLION = 1_000_000


def make_rows(path: Path, rows: int, *, first: int = 0, bad: bool = True, ragged: bool = True) -> None:
    """Service records as CSV, 74 bytes each. One in 200 is bad, in one of five ways; one way is a column too many."""
    amount = "12,50" if ragged else "12 50"
    wrong = f"case when {str(bad).lower()} and i % 200 = 7 then (i // 200) % 5 else 9 end"
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(
            f"copy (select 'V' || lpad(i::varchar, 9, '0') as service_id, 'C' || lpad((i % 90000)::varchar, 6, '0') "
            f"as customer_id, case when w = 0 then 'short' else 'WAUZZZ8K' || lpad((i % 999999)::varchar, 9, '0') end "
            f"as vin, case when w = 1 then 'soon' else strftime(timestamp '2024-01-01' "
            f"+ to_minutes((i % 500000)::bigint), '%Y-%m-%d %H:%M:%S') end as visited_at, "
            f"case when w = 2 then 'wash' else "
            f"['maintenance', 'repair', 'recall'][1 + i % 3] end as visit_kind, case when w = 3 then '-5' else "
            f"((i * 7919) % 300000)::varchar end as odometer_km, case when w = 4 then '{amount}' else "
            f"((i * 31) % 90000 / 100.0)::decimal(9, 2)::varchar end as amount "
            f"from (select i, {wrong} as w from range({first}, {first + rows}) t(i))) "
            f"to '{path}' (header, quote '', delimiter ',')"
        )


def ports(folder: Path) -> Any:
    landing = FolderStore(folder / "landing")
    return SimpleNamespace(
        pack="bench",
        pack_files=FILES,
        landing=landing,
        lake=FolderStore(folder / "lake"),
        tables=DeltaTables(str(folder / "lake")),
        sql=DuckDbSql,
        promote_queue=MemoryQueue(),
        metrics=MemoryMetrics(),
    )


class OneFile(FolderStore):
    """A landing bucket of one file, which is read where it lies: the time of S3 counts on neither side."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self._file = path

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo:
        return ObjectInfo(key, "etag", self._file.stat().st_size, datetime(2026, 1, 1, tzinfo=UTC))

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        path.hardlink_to(self._file)
        return self.head(key)


def validate(landed: Path, key: str) -> None:
    """Validate into a new lake, as a function would that never saw the file."""
    # beside the file, so that both are on one file system
    with tempfile.TemporaryDirectory(dir=landed.parent) as folder:
        tempfile.tempdir = folder
        world = ports(Path(folder))
        world.landing = OneFile(landed)
        report = validate_upload(world, Upload("landing", key, None, "etag"))
        assert report["rows_in"] == report["bronze"] + report["quarantine"] > 0, report
        tempfile.tempdir = None


def parse(landed: Path) -> None:
    """The floor: DuckDB parses with types and rejects, and writes Parquet. No line numbers of good rows, no rules."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(
            f"copy (select * from read_csv('{landed}', header = true, auto_detect = false, columns = {COLUMNS}, "
            "delim = ',', quote = '', escape = '', store_rejects = true, rejects_limit = 0, ignore_errors = true)) "
            f"to '{folder}/out.parquet' (format parquet, compression zstd, compression_level 1)"
        )
        connection.execute(f"copy (select * from reject_errors) to '{folder}/bad.parquet' (format parquet)")


def validation(work: Path, runs: int) -> list[Claim]:
    key = "service_records/tenant_id=t1/a.csv"
    small = work / "1m.csv"
    make_rows(small, MILLION)
    ours, floor = by_turns(lambda: timed(validate, small, key)[0], lambda: timed(parse, small)[0], runs)
    claims = [Claim.of("1,000,000 rows validated, 8 rules, against DuckDB's typed parse", ours, floor, 2.5, runs)]
    large = work / "10m.csv"
    make_rows(large, 10 * MILLION)
    zipped = work / "10m.csv.gz"
    with large.open("rb") as raw, gzip.open(zipped, "wb", compresslevel=1) as out:
        shutil.copyfileobj(raw, out, 1 << 20)
    for path, name in ((large, "10,000,000 rows"), (zipped, "10,000,000 rows, gzip")):
        seconds, memory = timed(validate, path, key + (".gz" if path.suffix == ".gz" else ""))
        if path is large:
            claims.append(Claim.of(f"{name}, a tenth of the time against 1,000,000", seconds / 10, ours, 1.25, 1))
        claims.append(Claim.of(f"{name}, peak memory in GB", memory / 1024, None, 1.5, 1))
    return claims


def announce(world: Any, landed: Path, name: str) -> list[BronzeFile]:
    """Validate a file; the message for the promote queue."""
    key = f"service_records/tenant_id={name}/a.csv"
    target: Path = world.landing._root / key
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(landed, target)
    validate_upload(world, Upload("landing", key, None, world.landing.head(key).etag))
    files = [BronzeFile.parse(message) for message in world.promote_queue.messages]
    world.promote_queue.messages.clear()
    return files


def read_bucket(folder: Path, bucket: int) -> None:
    """Read a bucket's whole current view into a sum."""
    world = ports(folder)
    shape = shape_of(contract_of(world, "service_records"))
    snapshot = world.tables.snapshot("silver/service_records")
    paths = ", ".join(f"'{folder}/lake/{key}'" for key in snapshot.file_keys(bucket=str(bucket)))
    with DuckDbSql() as sql:
        sql.execute(f"create view s as select * from read_parquet([{paths}], union_by_name = true)")
        sql.rows(f"select count(*), sum(amount) from ({current_view(shape, 's')})")


def promotion(work: Path, runs: int) -> list[Claim]:
    folder = work / "promotion"
    world = ports(folder)
    base = []
    for part in range(5):
        make_rows(work / "part.csv", MILLION, first=part * MILLION, bad=False)
        base += announce(world, work / "part.csv", f"t{part}")
    start = time.perf_counter()
    promote_silver(world, base)
    first = time.perf_counter() - start
    seconds = []
    for number in range(100):
        make_rows(work / "part.csv", 10_000, first=number * 10_000, bad=False)
        files = announce(world, work / "part.csv", "t0")
        start = time.perf_counter()
        promote_silver(world, files)
        seconds.append(time.perf_counter() - start)
    append = sorted(seconds[:10])[5]
    [bucket] = {
        int(file.partition["bucket"])
        for file in world.tables.snapshot("silver/service_records").files
        if file.rows <= 10_000
    }
    compacted = work / "compacted"
    shutil.copytree(folder / "lake", compacted / "lake")
    start = time.perf_counter()
    DeltaTable(str(compacted / "lake/silver/service_records")).optimize.compact()
    cost = time.perf_counter() - start
    after, flat = by_turns(
        lambda: timed(partial(read_bucket, folder, bucket))[0],
        lambda: timed(partial(read_bucket, compacted, bucket))[0],
        runs,
    )
    return [
        Claim.of("10,000 rows promoted into 5,000,000, against their first load", append, first, 0.03, 10),
        Claim.of("a bucket read after 100 appends, against compacted", after, flat, 1.6, runs),
        Claim.of("compaction of that, seconds", cost, None, None, 1),
    ]


def small_files(work: Path) -> list[Claim]:
    folder = work / "small"
    world = ports(folder)
    make_rows(work / "small.csv", 50, bad=False)
    start = time.perf_counter()
    waiting: list[BronzeFile] = []
    for number in range(1_000):
        waiting += announce(world, work / "small.csv", f"t{number:04d}")
        if len(waiting) == 100:
            promote_silver(world, waiting)
            waiting = []
    seconds = time.perf_counter() - start
    snapshot = world.tables.snapshot("silver/service_records")
    commits = snapshot.version + 1
    assert snapshot.rows() == 50_000
    return [
        Claim.of("1,000 files of 1,000 tenants, files a second", 1_000 / seconds, None, None, 1),
        Claim.of("their commits", commits, None, 60, 1),
    ]


def claims(work: Path, runs: int) -> list[Claim]:
    return [*small_files(work), *validation(work, runs), *promotion(work, runs)]
