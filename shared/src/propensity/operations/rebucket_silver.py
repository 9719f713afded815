"""rebucket_silver: the lake's rows over another number of buckets, table by table, each in one commit.

A chunk of a table's files is read, its rows go to files of their new buckets, and a receipt says which files came of
which. When every file that the table holds has a receipt, one commit puts the new ones in the place of all. Rows that
are promoted meanwhile are more files to move, and a call that was cut off goes on from the receipts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from propensity.kernel.errors import BadInputError, IncompleteRunError, RetryableError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.domain.silver_rows import BucketRule, bucket_of_silver
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.session import download
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.definition import MOST_BUCKETS
from propensity.ports import DataFile, Ports, Snapshot, Sql

_RACES = 20  # appends that come between the last chunk and the commit


def rebucket_silver(ports: Ports, *, buckets: int) -> dict[str, Any]:
    """Spread every Silver table over so many buckets; every row and version stays, and older versions keep theirs.

    Returns which tables were rewritten, with their rows. Raises BadInputError for a number that is none,
    RetryableError where promotion keeps winning the race: called again, it goes on.
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
    """Rows of the table, or None where there was nothing to do."""
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
            continue  # rows came in between: their files are the next round's
        return snapshot.rows()
    raise RetryableError(f"{table}: promotion committed before each of {_RACES} tries; try again, it goes on from here")


def _moved(ports: Ports, dataset: str, snapshot: Snapshot, buckets: int) -> list[DataFile]:
    """Files in the new buckets that hold the rows of all files of a snapshot."""
    folder = f"rebucket/{dataset}/{buckets}"
    waiting = {file.path: file for file in snapshot.files}
    there = set(ports.lake.keys(f"{snapshot.root}/bucket="))
    moved: list[DataFile] = []
    for key in ports.lake.keys(f"{folder}/"):
        receipt = read_json(ports.lake, key)
        found = [DataFile(**file) for file in receipt["files"]]
        # files that a vacuum took since, or that compaction joined, are moved anew
        if set(receipt["sources"]) <= waiting.keys() and {f"{snapshot.root}/{file.path}" for file in found} <= there:
            moved += found
            for path in receipt["sources"]:
                del waiting[path]
    for chunk in _chunks(list(waiting.values()), ports.rows_per_item):
        moved += _move(ports, folder, snapshot, chunk, contract_of(ports, dataset), buckets)
    return moved


def _chunks(files: Sequence[DataFile], rows: int) -> list[list[DataFile]]:
    """Files joined until a chunk would hold more rows than asked; a larger file stands alone."""
    chunks: list[list[DataFile]] = []
    held = 0
    for file in sorted(files, key=lambda file: file.path):
        if chunks and held + file.rows <= rows:
            chunks[-1].append(file)
            held += file.rows
        else:
            chunks.append([file])
            held = file.rows
    return chunks


def _move(
    ports: Ports, folder: str, snapshot: Snapshot, chunk: Sequence[DataFile], contract: Contract, buckets: int
) -> list[DataFile]:
    """Write one chunk's rows into files of their new buckets, and the receipt; the files."""
    sources = [file.path for file in chunk]
    name = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]
    sql = ports.sql()
    try:
        rows = read_files(download(sql, ports.lake, [f"{snapshot.root}/{path}" for path in sources], "old"))
        files = _write(ports, sql, snapshot.root, name, _spread(rows, contract, ports, buckets))
    finally:
        sql.close()
    told = [{"path": one.path, "rows": one.rows, "size": one.size, "partition": dict(one.partition)} for one in files]
    # over a receipt whose files a vacuum took, too; two writers' receipts are equally right
    ports.lake.put(f"{folder}/{name}.json", dumps({"sources": sources, "files": told}))
    return files


def _spread(rows: str, contract: Contract, ports: Ports, buckets: int) -> str:
    rule = BucketRule(pack_info(ports).partition_key, buckets)
    source = f"(from {rows})"
    if rule.partition_key == "entity" and contract.partition_key is not None:
        # rows of a contract that had no such column yet are nobody's
        [kind] = [column.duckdb_type for column in contract.columns if column.name == contract.partition_key]
        empty = f"select null::{kind} as {quote(contract.partition_key)} where false"
        source = f"({empty} union all by name from {rows})"
    return f"select *, {bucket_of_silver(contract, rule)} as bucket from {source}"


def _write(ports: Ports, sql: Sql, root: str, name: str, query: str) -> list[DataFile]:
    out = sql.scratch / "new"
    sql.execute(f"copy ({query}) to {text(str(out))} (format parquet, compression zstd, partition_by (bucket))")
    files = []
    for path in sorted(out.rglob("*.parquet")):
        # its content is part of its name: a second writer's file of another order is another file
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        bucket = path.parent.name.removeprefix("bucket=")
        place = f"bucket={bucket}/{name}-{digest}.parquet"
        [(rows,)] = sql.rows(f"select count(*) from {read_files([str(path)])}")
        ports.lake.upload_new(f"{root}/{place}", path)
        files.append(DataFile(place, rows, path.stat().st_size, {"bucket": bucket}))
    return files
