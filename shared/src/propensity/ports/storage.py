"""Objects, tables and SQL over them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of one object. `last_modified` is in UTC, `size` in bytes."""

    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None = None


class ObjectStore(Protocol):
    """One bucket. Reading a key that is not there raises NotFoundError."""

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo: ...

    def get(self, key: str, version_id: str | None = None) -> bytes: ...

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo: ...

    def put(self, key: str, body: bytes) -> None:
        """Write, replacing what is there."""

    def put_new(self, key: str, body: bytes) -> bool:
        """Write only where nothing is (If-None-Match: *). False where something was."""

    def upload_new(self, key: str, path: Path) -> bool:
        """`put_new` of a local file."""

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        """`put` of a local file. Raises RetryableError where the object is not the one of the etag any more."""

    def remove(self, key: str, version_id: str | None = None) -> None:
        """Remove one version of an object for good, or every one of them. Nothing where there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under a prefix, in lexical order."""

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        """What is known of every object under a prefix, by key; `version_id` is not told."""

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every version that can still be read under a prefix, by key; of objects overwritten or deleted too."""


class ArrowStream(Protocol):
    """Anything that speaks the Arrow C stream interface, and gives its rows each time it is asked for them."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class Sql(Protocol):
    """One DuckDB session with a scratch folder of its own. Sessions are UTC."""

    scratch: Path

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def stream(self, sql: str) -> ArrowStream: ...

    def close(self) -> None:
        """Drop the session and everything in its scratch folder."""


class SqlFactory(Protocol):
    def __call__(self) -> Sql: ...


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table. `path` is relative to the table's root."""

    path: str
    rows: int
    size: int
    partition: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as of one version. `root` is the table's prefix in the lake bucket.

    `buckets` is how many buckets its rows are spread over, None where the table does not say.
    """

    table: str
    root: str
    version: int
    files: tuple[DataFile, ...]
    buckets: int | None = None

    def file_keys(self, **partition: str) -> list[str]:
        """Lake keys of the files whose partition values equal those given."""
        return [
            f"{self.root}/{file.path}"
            for file in self.files
            if all(file.partition.get(name) == value for name, value in partition.items())
        ]

    def rows(self) -> int:
        return sum(file.rows for file in self.files)


class Tables(Protocol):
    """Delta tables in the lake bucket; `table` is the prefix below it, e.g. `silver/sales`."""

    def snapshot(
        self, table: str, *, version: int | None = None, as_of_time: datetime | None = None
    ) -> Snapshot | None:
        """The newest version, that version, or the newest not after a time.

        None where there is no table, or was none at that time. Raises NotFoundError for a version that never was.
        """

    def committed(self, table: str, transactions: Iterable[str]) -> set[str]:
        """Which of these transaction names the table's log already carries."""

    def append(
        self,
        table: str,
        data: ArrowStream,
        *,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
        buckets: int | None = None,
    ) -> int:
        """Append in one commit that carries the transaction names; the version it made.

        New nullable columns are added to the table's schema. `buckets` is what column `bucket` was computed with:
        the table remembers it. Raises RetryableError, having committed nothing, where the log carries one of the
        names already, or the table is spread over another number of buckets.
        """

    def add_files(
        self,
        table: str,
        files: Sequence[DataFile],
        *,
        schema: ArrowStream,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
    ) -> int:
        """Make Parquet files that are already in the bucket part of the table, in one commit; else as `append`.

        New columns are added first, in a commit of their own that adds no row.
        """

    def compact(self, table: str) -> int:
        """Join small files, partition by partition, and write a checkpoint; how many files fewer there are.

        No row and no version of one is lost. Nothing for a table that is not there. Raises RetryableError, having
        joined nothing, where another compaction is at work on the table, or was killed there less than 16 minutes ago.
        """

    def vacuum(self, table: str, *, keep_versions: Collection[int], retention: timedelta) -> None:
        """Remove files that left the table longer than `retention` ago and belong to none of the versions kept.

        Files that were never committed go too, after that time.
        """

    def buckets(self, table: str) -> int | None:
        """`Snapshot.buckets` of the newest version, without its files. None where there is no table."""

    def replace(self, table: str, files: Sequence[DataFile], *, version: int, buckets: int) -> int:
        """Put these files in the place of all that the table holds, in one commit that also records `buckets`.

        The files lie in the bucket and fit the table's schema. Transaction names stay. Returns the version it made.
        Raises RetryableError, having committed nothing, where anything was committed after `version`.
        """

    def replace_files(self, table: str, removed: Collection[str], added: Sequence[DataFile]) -> int:
        """Take files (paths) out of the table and put others in their place, in one commit; the version it made.

        Earlier versions keep what they had. Raises RetryableError, having committed nothing, where one of the removed
        is not in the newest version any more.
        """
