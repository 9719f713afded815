"""Ports for objects, for tables, and for SQL over both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """The facts that a store knows about one object. `last_modified` is in UTC, and `size` is in bytes."""

    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None = None


class ObjectReader(Protocol):
    """Objects to read. To read a key that is not there raises NotFoundError."""

    def get(self, key: str) -> bytes: ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under a prefix, in lexical order."""


class ObjectStore(ObjectReader, Protocol):
    """One bucket of objects."""

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo: ...

    def get(self, key: str, version_id: str | None = None) -> bytes: ...

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo: ...

    def put(self, key: str, body: bytes) -> None:
        """Write an object, and replace the object that is there."""

    def put_new(self, key: str, body: bytes) -> bool:
        """Write an object only where no object of this key exists (If-None-Match: *). False where one exists."""

    def upload_new(self, key: str, path: Path) -> bool:
        """Write a local file under a key, under the condition of `put_new`."""

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        """Write a local file over an object. Raises RetryableError where the object no longer has the given etag."""

    def remove(self, key: str, version_id: str | None = None) -> None:
        """Remove one version of an object for good. Without `version_id`, remove all versions of the object.

        An object that does not exist is no error.
        """

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under a prefix, ordered by key; `version_id` is None."""

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every version under a prefix that can still be read, ordered by key.

        The list also has the versions of objects that were overwritten or deleted.
        """


class ArrowStream(Protocol):
    """Anything with the Arrow C stream interface. Each request for its rows gives all of them again."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class Sql(Protocol):
    """One DuckDB session in UTC, with a scratch folder of its own."""

    scratch: Path

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def stream(self, sql: str) -> ArrowStream: ...

    def close(self) -> None:
        """Drop the session and everything in its scratch folder."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Close the session, whatever happened in it."""


class SqlFactory(Protocol):
    def __call__(self, seconds: float | None = None) -> Sql:
        """Open a session. Once it has been open for `seconds`, its SQL is stopped and raises OvertimeError."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table. `path` is relative to the table's root."""

    path: str
    rows: int
    size: int
    partition: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as of one version. `root` is the table's prefix in the lake.

    `buckets` is the number of buckets that the table's rows are spread over. It is None where the table does not say.
    """

    table: str
    root: str
    version: int
    files: tuple[DataFile, ...]
    buckets: int | None = None

    def file_keys(self, **partition: str) -> list[str]:
        """The lake's keys of the files that have the given partition values."""
        return [
            f"{self.root}/{file.path}"
            for file in self.files
            if all(file.partition.get(name) == value for name, value in partition.items())
        ]

    def rows(self) -> int:
        return sum(file.rows for file in self.files)


class Tables(Protocol):
    """The port for Delta tables in the lake. `table` is a table's prefix in the lake, for example `silver/sales`."""

    def snapshot(
        self, table: str, *, version: int | None = None, as_of_time: datetime | None = None
    ) -> Snapshot | None:
        """The table at `version`, else at the newest version not after `as_of_time`, else at its newest version.

        The result is None where there is no table, or where there was none at that time. Raises NotFoundError for a
        version that never existed.
        """

    def committed(self, table: str, transactions: Iterable[str]) -> set[str]:
        """The given transaction names that the table's log already holds."""

    def append(
        self,
        table: str,
        data: ArrowStream,
        *,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
        buckets: int | None = None,
    ) -> int:
        """Append rows in one commit that carries the transaction names. Returns the version that the commit made.

        New nullable columns are added to the table's schema. The table records `buckets`: the number of buckets that
        column `bucket` was computed with. Raises RetryableError, having committed nothing, where the log already holds
        one of the names, or where the table is spread over another number of buckets.
        """

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
        """Make Parquet files that already lie in the lake part of the table, in one commit.

        The other rules are those of `append`. New columns are added first, in a commit of their own that adds no row.
        With a `version`, raises RetryableError, having added no row, where anything else was committed after it.
        """

    def compact(self, table: str) -> int:
        """Join small files, partition by partition, and write a checkpoint. Returns how many files fewer the table has.

        No row is lost, and no version of a row. Without a table the call does nothing. Raises RetryableError, having
        joined nothing, where another compaction is at work on the table, or where one was killed less than 16 minutes
        ago.
        """

    def vacuum(self, table: str, *, keep_versions: Collection[int], retention: timedelta) -> None:
        """Remove files that left the table longer than `retention` ago, unless a version that is kept needs them.

        Files that were never committed are removed too, after the same time.
        """

    def buckets(self, table: str) -> int | None:
        """The number of buckets of the newest version, read without a look at its files.

        None where there is no table.
        """

    def replace(self, table: str, files: Sequence[DataFile], *, version: int, buckets: int) -> int:
        """Replace all files of the table by these files, in one commit that also records `buckets`.

        The files lie in the lake and fit the table's schema. The transaction names stay. Returns the version that the
        commit made. Raises RetryableError, having committed nothing, where anything was committed after `version`.
        """

    def replace_files(self, table: str, removed: Collection[str], added: Sequence[DataFile]) -> int:
        """Replace some files of the table (by path) by others, in one commit. Returns the version that the commit made.

        Earlier versions keep their files. Raises RetryableError, having committed nothing, where a file to be removed
        is no longer in the newest version.
        """
