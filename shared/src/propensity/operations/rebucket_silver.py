"""rebucket_silver: spread the rows of Silver over another number of buckets, table by table, each in one commit.

A table's files are read in chunks. The rows of a chunk go to new files in their new buckets, and a receipt lists the
old files and the new ones. When every file of the table has a receipt, one commit replaces all old files by the new
ones. Rows that are promoted meanwhile lie in further files, which are moved too. A call that was cut off goes on from
the receipts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from propensity.kernel.errors import BadInputError, IncompleteRunError, RetryableError
from propensity.kernel.spec import Record
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.domain.silver_rows import BucketRule, bucket_of_silver
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.session import download
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.definition import MOST_BUCKETS
from propensity.ports import DataFile, Ports, Snapshot, Sql

_RACES = 20  # tries to commit; a try is lost where rows were appended between the last chunk and the commit


class MoveReceipt(Record):
    """The receipt of a chunk: the paths of the old files, and the new files that hold their rows."""

    sources: Sequence[str]
    files: Sequence[DataFile]


def rebucket_silver(ports: Ports, *, buckets: int) -> dict[str, Any]:
    """Spread every Silver table over `buckets` buckets.

    All rows and row versions stay, and older table versions keep their buckets. Returns the tables that were rewritten,
    with their rows. Raises BadInputError for a number out of range, and RetryableError where promotion keeps winning
    the race; another call then goes on from the receipts.
    """
    if type(buckets) is not int or not 1 <= buckets <= MOST_BUCKETS:
        raise BadInputError(f"buckets is {buckets!r}, expected a whole number from 1 to {MOST_BUCKETS}")
    rewritten: dict[str, int] = {}
    for dataset in pack_info(ports).datasets:
        rows = _rebucket(ports, dataset, buckets)
        if rows is not None:
            rewritten[silver_table(dataset)] = rows
    return {"buckets": buckets, "rewritten": rewritten}


def _rebucket(ports: Ports, dataset: str, buckets: int) -> int | None:
    """Rewrite one table; return the number of its rows, or None where there was nothing to do."""
    table = silver_table(dataset)
    for _ in range(_RACES):
        snapshot = ports.tables.snapshot(table)
        if snapshot is None or snapshot.buckets == buckets:
            return None
        files = _moved(ports, dataset, snapshot, buckets)
        if sum(file.rows for file in files) != snapshot.rows():
            raise IncompleteRunError(
                f"{table}: {snapshot.rows()} rows at version {snapshot.version}, "
                f"{sum(file.rows for file in files)} in new buckets; nothing was committed, a defect"
            )
        try:
            ports.tables.replace(table, files, version=snapshot.version, buckets=buckets)
        except RetryableError:
            continue  # rows were promoted in between, so the next round moves their files too
        return snapshot.rows()
    raise RetryableError(f"{table}: promotion committed before each of {_RACES} tries; try again, it goes on from here")


def _moved(ports: Ports, dataset: str, snapshot: Snapshot, buckets: int) -> list[DataFile]:
    """Return new files that hold the rows of all files of a snapshot, in the new buckets."""
    folder = f"rebucket/{dataset}/{buckets}"
    waiting = {file.path: file for file in snapshot.files}
    present = set(ports.lake.keys(f"{snapshot.root}/bucket="))
    moved: list[DataFile] = []
    for key in ports.lake.keys(f"{folder}/"):
        receipt = read_record(ports.lake, key, MoveReceipt)
        # rows are moved again where a vacuum removed the new files, or where compaction joined the old ones
        if (
            set(receipt.sources) <= waiting.keys()
            and {f"{snapshot.root}/{file.path}" for file in receipt.files} <= present
        ):
            moved += receipt.files
            for path in receipt.sources:
                del waiting[path]
    for chunk in _chunks(list(waiting.values()), ports.rows_per_item):
        moved += _move(ports, folder, snapshot, chunk, contract_of(ports, dataset), buckets)
    return moved


def _chunks(files: Sequence[DataFile], rows: int) -> list[list[DataFile]]:
    """Return files in chunks of `rows` rows at most; a file of more rows is a chunk of its own."""
    chunks: list[list[DataFile]] = []
    filled = 0  # the number of rows in the last chunk
    for file in sorted(files, key=lambda file: file.path):
        if chunks and filled + file.rows <= rows:
            chunks[-1].append(file)
            filled += file.rows
        else:
            chunks.append([file])
            filled = file.rows
    return chunks


def _move(
    ports: Ports, folder: str, snapshot: Snapshot, chunk: Sequence[DataFile], contract: Contract, buckets: int
) -> list[DataFile]:
    """Write the rows of a chunk into files of their new buckets, and write the receipt; return the new files."""
    sources = [file.path for file in chunk]
    name = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]
    with ports.sql() as sql:
        rows = read_files(download(sql, ports.lake, [f"{snapshot.root}/{path}" for path in sources], "old"))
        files = _write(ports, sql, snapshot.root, name, _spread(rows, contract, ports, buckets))
    # This write overwrites a receipt whose files a vacuum removed. Where two writers write a receipt, either receipt is
    # right.
    ports.lake.put(f"{folder}/{name}.json", dumps(MoveReceipt(sources=sources, files=files).model_dump()))
    return files


def _spread(rows: str, contract: Contract, ports: Ports, buckets: int) -> str:
    """Return a SELECT of the rows, each with its new bucket in the column `bucket`."""
    rule = BucketRule(pack_info(ports).partition_key, buckets)
    source = f"(from {rows})"
    if rule.partition_key == "entity" and contract.partition_key is not None:
        # Rows from before the contract had the column get null in the column, because they belong to no customer.
        [kind] = [column.duckdb_type for column in contract.columns if column.name == contract.partition_key]
        empty = f"select null::{kind} as {quote(contract.partition_key)} where false"
        source = f"({empty} union all by name from {rows})"
    return f"select *, {bucket_of_silver(contract, rule)} as bucket from {source}"


def _write(ports: Ports, sql: Sql, root: str, name: str, query: str) -> list[DataFile]:
    """Write the rows of a query to one new file per bucket."""
    out = sql.scratch / "new"
    sql.execute(f"copy ({query}) to {text(str(out))} (format parquet, compression zstd, partition_by (bucket))")
    files = []
    for path in sorted(out.rglob("*.parquet")):
        # The name holds the content's hash. A second writer, whose rows come in another order, therefore writes another
        # file.
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        bucket = path.parent.name.removeprefix("bucket=")
        place = f"bucket={bucket}/{name}-{digest}.parquet"
        [(rows,)] = sql.rows(f"select count(*) from {read_files([str(path)])}")
        ports.lake.upload_new(f"{root}/{place}", path)
        files.append(DataFile(place, rows, path.stat().st_size, {"bucket": bucket}))
    return files
