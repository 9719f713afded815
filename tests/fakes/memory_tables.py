"""The Tables port in memory, over a MemoryStore: versions, transactions and schemas as Delta keeps them."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propensity.kernel.errors import ConflictError, NotFoundError, RetryableError
from propensity.ports import ArrowStream, DataFile, Snapshot
from tests.fakes.memory import MemoryStore


@dataclass
class _Table:
    schema: pa.Schema
    versions: list[tuple[DataFile, ...]] = field(default_factory=list)
    buckets: list[int | None] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    transactions: set[str] = field(default_factory=set)


class MemoryTables:
    """Tables whose versions have the times of the store's clock, which moves with every write."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._tables: dict[str, _Table] = {}
        self._lock = threading.Lock()

    def snapshot(
        self, table: str, *, version: int | None = None, as_of_time: datetime | None = None
    ) -> Snapshot | None:
        log = self._tables.get(table)
        if log is None:
            return None
        if version is None:
            version = len(log.versions) - 1
            if as_of_time is not None:
                version = sum(time <= as_of_time for time in log.times) - 1
                if version < 0:
                    return None
        if version >= len(log.versions):
            raise NotFoundError(f"{table}: version {version} is not in its log")
        return Snapshot(table, table, version, log.versions[version], log.buckets[version])

    def committed(self, table: str, transactions: Iterable[str]) -> set[str]:
        log = self._tables.get(table)
        return {name for name in transactions if log is not None and name in log.transactions}

    def append(
        self,
        table: str,
        data: ArrowStream,
        *,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
        buckets: int | None = None,
    ) -> int:
        rows = pa.RecordBatchReader.from_stream(data).read_all()
        with self._lock:
            number = len(self._tables[table].versions) if table in self._tables else 0
            files = []
            grouped = rows.select(list(partition_by)).group_by(list(partition_by)).aggregate([])
            for values in grouped.to_pylist() or [{}]:
                part = rows
                for name, value in values.items():
                    part = part.filter(pc.equal(part[name], value))
                partition = {name: str(value) for name, value in values.items()}
                part = part.drop_columns(list(partition_by))
                files.append(self._put(table, f"part-{number:05d}", part, partition))
            return self._commit(table, rows.schema, files, transactions, buckets)

    def add_files(
        self,
        table: str,
        files: Sequence[DataFile],
        *,
        schema: ArrowStream,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
        version: int | None = None,
    ) -> int:
        names = {name for file in files for name in file.partition}
        if names - set(partition_by):
            raise ConflictError(f"{table}: files are partitioned by {sorted(names)}, the table by {partition_by}")
        with self._lock:
            log = self._tables.get(table)
            if version is not None and (log is None or len(log.versions) - 1 != version):
                raise RetryableError(f"{table}: version {version} is not its newest any more; try again")
            return self._commit(table, pa.RecordBatchReader.from_stream(schema).schema, files, transactions)

    def compact(self, table: str) -> int:
        with self._lock:
            log = self._tables.get(table)
            if log is None:
                return 0
            by_partition: dict[tuple[tuple[str, str], ...], list[DataFile]] = {}
            for file in log.versions[-1]:
                by_partition.setdefault(tuple(sorted(file.partition.items())), []).append(file)
            after: list[DataFile] = []
            for partition, files in by_partition.items():
                if len(files) == 1:
                    after += files
                    continue
                parts = [pq.read_table(io.BytesIO(self._store.get(f"{table}/{file.path}"))) for file in files]
                rows = pa.concat_tables(parts, promote_options="default")
                after.append(self._put(table, f"compact-{len(log.versions):05d}", rows, dict(partition)))
            fewer = len(log.versions[-1]) - len(after)
            self._add_version(log, after, log.buckets[-1])
            return fewer

    def buckets(self, table: str) -> int | None:
        log = self._tables.get(table)
        return log.buckets[-1] if log else None

    def replace(self, table: str, files: Sequence[DataFile], *, version: int, buckets: int) -> int:
        with self._lock:
            log = self._tables.get(table)
            if log is None or len(log.versions) - 1 != version:
                raise RetryableError(f"{table}: version {version} is not its newest any more; try again")
            self._add_version(log, files, buckets)
            return version + 1

    def vacuum(self, table: str, *, keep_versions: Collection[int], retention: timedelta) -> None:
        """A version's retention begins when the next one was made. Now is the time of the newest version."""
        log = self._tables.get(table)
        if log is None:
            return
        now = log.times[-1]
        last = len(log.versions) - 1
        kept = {
            file.path
            for number, files in enumerate(log.versions)
            if number == last or number in keep_versions or now - log.times[number + 1] < retention
            for file in files
        }
        gone = {file.path for files in log.versions for file in files} - kept
        for path in gone:
            self._store.remove(f"{table}/{path}")

    def replace_files(self, table: str, removed: Collection[str], added: Sequence[DataFile]) -> int:
        with self._lock:
            log = self._tables.get(table)
            there = {file.path: file for file in log.versions[-1]} if log else {}
            if log is None or not there.keys() >= set(removed):
                raise RetryableError(f"{table}: a file to be replaced has left the table; look again")
            after = {path: file for path, file in there.items() if path not in removed}
            after |= {file.path: file for file in added}
            self._add_version(log, (after[path] for path in sorted(after)), log.buckets[-1])
            return len(log.versions) - 1

    def _put(self, table: str, name: str, rows: pa.Table, partition: dict[str, str]) -> DataFile:
        body = io.BytesIO()
        pq.write_table(rows, body)
        path = "".join(f"{key}={value}/" for key, value in partition.items()) + f"{name}.parquet"
        self._store.put(f"{table}/{path}", body.getvalue())
        return DataFile(path, rows.num_rows, len(body.getvalue()), partition)

    def _add_version(self, log: _Table, files: Iterable[DataFile], buckets: int | None) -> None:
        log.versions.append(tuple(sorted(files, key=lambda file: file.path)))
        log.buckets.append(buckets)
        log.times.append(self._store.touch())

    def _commit(
        self,
        table: str,
        schema: pa.Schema,
        files: Sequence[DataFile],
        transactions: Sequence[str],
        buckets: int | None = None,
    ) -> int:
        log = self._tables.get(table)
        if log is None:
            log = _Table(schema)
        recorded = log.buckets[-1] if log.buckets else buckets
        if None not in (recorded, buckets) and recorded != buckets:
            raise RetryableError(f"{table}: is spread over {recorded} buckets, the rows over {buckets}; try again")
        if log.transactions & set(transactions):
            raise RetryableError(f"{table}: another commit carried this in the meantime; try again")
        try:
            merged = pa.unify_schemas([log.schema, schema])
        except pa.ArrowTypeError as error:
            raise ConflictError(f"{table}: {error}; the rows do not fit the table's schema") from error
        before = {file.path: file for file in (log.versions[-1] if log.versions else ())}
        log.schema = merged
        self._add_version(log, (before | {file.path: file for file in files}).values(), recorded)
        log.transactions |= set(transactions)
        self._tables[table] = log
        return len(log.versions) - 1
