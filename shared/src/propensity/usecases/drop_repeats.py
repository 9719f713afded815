"""Exact repeats of Silver's rows are dropped: what one export said and the next one said again, known at the same time.

A repeat equals another row in all but where it came from. Only rows with one known_at are that: a row that comes again
with a later arrival may put back what another row had changed in between, even where that one has yet to come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from propensity.domain.errors import IncompleteRunError, RetryableError
from propensity.domain.views import SilverShape, exact_repeats_dropped, read_files, text
from propensity.ports import DataFile, Ports, Snapshot
from propensity.usecases.planning import contract_of, shape_of, silver_table
from propensity.usecases.silver_session import download

_RACES = 20  # appends that come between the rewriting of a bucket and its commit


def drop_repeats(ports: Ports, dataset: str) -> int:
    """Rewrite the buckets of a dataset that hold exact repeats; how many rows went. The first arrival of each stays.

    A bucket of one file is taken to be without. One whose commit keeps losing to promotion stays for the next time.
    """
    table, shape = silver_table(dataset), shape_of(contract_of(ports, dataset))
    snapshot = ports.tables.snapshot(table)
    if snapshot is None:
        return 0
    return sum(_bucket(ports, shape, table, bucket) for bucket in sorted({_place(file) for file in snapshot.files}))


def _bucket(ports: Ports, shape: SilverShape, table: str, bucket: str) -> int:
    written: dict[tuple[str, ...], DataFile | None] = {}
    for _ in range(_RACES):
        snapshot = ports.tables.snapshot(table)
        old = [file for file in snapshot.files if _place(file) == bucket] if snapshot else []
        if snapshot is None or len(old) < 2:
            break
        sources = tuple(file.path for file in old)
        if sources not in written:
            written[sources] = _rewrite(ports, shape, snapshot, old, bucket)
        new = written[sources]
        if new is None:
            break
        others = [file for file in snapshot.files if _place(file) != bucket]
        try:
            ports.tables.replace(table, [*others, new], version=snapshot.version, buckets=snapshot.buckets)
        except RetryableError:
            continue
        return sum(file.rows for file in old) - new.rows
    return 0


def _place(file: DataFile) -> str:
    return file.partition["bucket"]


def _rewrite(
    ports: Ports, shape: SilverShape, snapshot: Snapshot, old: Sequence[DataFile], bucket: str
) -> DataFile | None:
    """A bucket's rows without repeats as one file, put into the table's folder; None where it has none."""
    sql = ports.sql()
    try:
        rows = read_files(download(sql, ports.lake, [f"{snapshot.root}/{file.path}" for file in old], "old"))
        identity = ", ".join(shape.identity)
        [(distinct,)] = sql.rows(f"select count(*) from (select distinct {identity} from {rows})")
        if distinct == sum(file.rows for file in old):
            return None
        path = sql.scratch / "new.parquet"
        query = exact_repeats_dropped(shape, rows)
        sql.execute(f"copy ({query}) to {text(str(path))} (format parquet, compression zstd)")
        [(kept,)] = sql.rows(f"select count(*) from {read_files([str(path)])}")
        if kept != distinct:
            raise IncompleteRunError(f"{snapshot.table}, bucket {bucket}: {kept} rows left, expected {distinct}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        place = f"bucket={bucket}/distinct-{digest}.parquet"
        ports.lake.upload_new(f"{snapshot.root}/{place}", path)
        return DataFile(place, kept, path.stat().st_size, {"bucket": bucket})
    finally:
        sql.close()
