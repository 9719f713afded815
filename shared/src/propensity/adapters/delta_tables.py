"""The Tables port over delta-rs: Delta tables below one root, which is an S3 bucket or a folder."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from arro3.core import RecordBatchReader
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from propensity.kernel.errors import ConflictError, NotFoundError, RetryableError
from propensity.ports import ArrowStream, DataFile, Snapshot

# delta-rs gives up after 15 retries by default, which lost 8 of 80 concurrent appends
_COMMIT_RETRIES = 100
# some commits are right only on the version they have seen, such as the commit that makes a table. delta-rs would
# rebase them onto another process's first commit, without checking the transaction names there
_NO_REBASE = 0
# delta-rs lets two compactions of the same files commit, whatever their properties say, and doubles every row. So a
# compaction marks the table's log: a transaction whose version is the time in milliseconds, and 0 at its end
_COMPACTION = "propensity.compaction"
_COMPACTS_FOR = timedelta(minutes=16)  # a function lives 15 minutes; a dead one keeps others away no longer than this
_TARGET = 100 * 1024 * 1024  # bytes; files of this size and more are left as they are
_COLUMN = "bucket"
_LEAST_HOURS = 168  # delta-rs refuses a shorter retention unless it is told not to
# metadata of the column `bucket` in the table's schema. A commit that replaces files can change the number only there,
# and such a change makes every commit that began before it fail
_BUCKETS = "propensity.buckets"
# transaction names never expire: as long as Bronze exists, the names tell which Bronze files Silver holds
_CONFIGURATION: Mapping[str, str | None] = {
    # a version that a model or a run names must stay readable, so no commit may clean up old ones
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
    # a cold function reads at most so many commits one by one, at 2 to 20 ms each
    "delta.checkpointInterval": "20",
    # statistics would keep least and greatest values, such as a person's e-mail address, in a log for ever
    "delta.dataSkippingNumIndexedCols": "0",
}


class DeltaTables:
    """Tables below `root`, a URI without a slash at its end (`s3://lake`). Credentials come from the environment."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._options = dict(storage_options or {})
        # kept so that a warm function reads only the commits since its last call, not the whole log
        self._newest: dict[str, DeltaTable] = {}

    def snapshot(
        self, table: str, *, version: int | None = None, as_of_time: datetime | None = None
    ) -> Snapshot | None:
        pinned = as_of_time if version is None else version
        opened = self._open(table) if pinned is None else self._open_at(table, pinned)
        if opened is None:
            if pinned is not None and self._open(table) is not None:
                raise NotFoundError(f"{self._uri(table)}: version or time {pinned} is not in its log")
            return None
        if as_of_time is not None and _made_after(opened, as_of_time):
            return None
        actions = _actions(opened)
        files = tuple(
            DataFile(action["path"], action["num_records"], action["size_bytes"], _partition(action))
            for action in sorted(actions, key=lambda action: str(action["path"]))
        )
        return Snapshot(table, table, opened.version(), files, _buckets(opened))

    def committed(self, table: str, transactions: Iterable[str]) -> set[str]:
        opened = self._open(table)
        return {name for name in transactions if opened is not None and opened.transaction_version(name) is not None}

    def append(
        self,
        table: str,
        data: ArrowStream,
        *,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
        buckets: int | None = None,
    ) -> int:
        def commit(opened: DeltaTable | None) -> None:
            if opened is not None and buckets is not None and _buckets(opened) not in (None, buckets):
                raise RetryableError(
                    f"{self._uri(table)}: is spread over {_buckets(opened)} buckets, the rows over {buckets}; try again"
                )
            write_deltalake(
                opened if opened is not None else self._uri(table),
                data if opened is not None or buckets is None else _recording(data, buckets),
                # with an address, delta-rs would open the table anew, maybe with names that nobody looked for
                mode="append" if opened is not None else "error",
                partition_by=list(partition_by) or None,
                schema_mode="merge",
                configuration=None if opened is not None else _CONFIGURATION,
                storage_options=self._options or None,
                commit_properties=_properties(transactions, retries=_NO_REBASE if opened is None else _COMMIT_RETRIES),
            )

        return self._commit(table, transactions, commit)

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
        delta_schema = Schema.from_arrow(RecordBatchReader.from_stream(schema).schema)
        actions = [_add(file) for file in files]

        def commit(opened: DeltaTable | None) -> None:
            if opened is None:
                opened = DeltaTable.create(
                    self._uri(table),
                    delta_schema,
                    mode="error",
                    partition_by=list(partition_by) or None,
                    configuration=_CONFIGURATION,
                    storage_options=self._options or None,
                    commit_properties=_properties((), retries=_NO_REBASE),
                )
            opened.create_write_transaction(
                list(actions),
                "append",
                delta_schema,
                list(partition_by) or None,
                commit_properties=_properties(transactions, retries=_COMMIT_RETRIES if version is None else _NO_REBASE),
            )

        return self._commit(table, transactions, commit, columns=delta_schema, version=version)

    def compact(self, table: str) -> int:
        opened = self._open(table)
        if opened is None:
            return 0
        fewer = 0
        if _has_small(opened):
            try:
                with self._alone(table, opened):
                    done = opened.optimize.compact(target_size=_TARGET, commit_properties=_properties(()))
            except CommitFailedError as error:
                raise RetryableError(f"{self._uri(table)}: {error}; a concurrent commit won, try again") from error
            fewer = int(done["numFilesRemoved"]) - int(done["numFilesAdded"])
        opened.create_checkpoint()
        return fewer

    @contextmanager
    def _alone(self, table: str, opened: DeltaTable) -> Iterator[None]:
        """A context inside which no other compaction of the table begins."""
        began, now = opened.transaction_version(_COMPACTION) or 0, _milliseconds()
        if now - began < _COMPACTS_FOR / timedelta(milliseconds=1):
            raise RetryableError(
                f"{self._uri(table)}: another compaction began {(now - began) // 1000} s ago; try again when it is "
                f"done, or {_COMPACTS_FOR // timedelta(minutes=1)} minutes after it began"
            )
        _say(opened, now)
        try:
            yield
        finally:
            opened.update_incremental()  # delta-rs cannot rebase the mark over a commit that removes files
            _say(opened, 0)

    def vacuum(self, table: str, *, keep_versions: Collection[int], retention: timedelta) -> None:
        opened = self._open(table)
        if opened is None:
            return
        hours = int(retention / timedelta(hours=1))
        # delta-rs's answer is no figure to report: the answer also names files that an earlier call removed
        opened.vacuum(
            retention_hours=hours,
            dry_run=False,
            enforce_retention_duration=hours >= _LEAST_HOURS,
            keep_versions=sorted(keep_versions),
            full=True,
        )

    def buckets(self, table: str) -> int | None:
        opened = self._open(table)
        return None if opened is None else _buckets(opened)

    def replace(self, table: str, files: Sequence[DataFile], *, version: int, buckets: int) -> int:
        def commit(opened: DeltaTable | None) -> None:
            if opened is None or opened.version() != version:
                raise RetryableError(f"{self._uri(table)}: version {version} is not its newest any more; try again")
            opened.create_write_transaction(
                [_add(file) for file in files],
                "overwrite",
                _schema(opened, buckets),
                opened.metadata().partition_columns,
                # the commit is never rebased: an append would keep old buckets, a compaction would double rows
                commit_properties=_properties((), retries=_NO_REBASE),
            )

        return self._commit(table, (), commit)

    def replace_files(self, table: str, removed: Collection[str], added: Sequence[DataFile]) -> int:
        where = self._uri(table)
        for _ in range(_COMMIT_RETRIES):
            opened = self._open(table)
            there = {str(action["path"]): action for action in _actions(opened)} if opened else {}
            if opened is None or not there.keys() >= set(removed):
                raise RetryableError(f"{where}: a file to be replaced has left the table; look again")
            try:
                # the commit is never rebased: over a compaction of the same files delta-rs would double rows
                opened.create_write_transaction(
                    [*(_remove(there[path]) for path in sorted(removed)), *(_add(file) for file in added)],
                    "append",
                    opened.schema(),
                    commit_properties=_properties((), retries=_NO_REBASE),
                )
            except CommitFailedError:
                continue
            return self._version(table)
        raise RetryableError(f"{where}: others committed {_COMMIT_RETRIES} times in between; try again")

    def _commit(
        self,
        table: str,
        transactions: Sequence[str],
        commit: Callable[[DeltaTable | None], None],
        *,
        columns: Schema | None = None,
        version: int | None = None,
    ) -> int:
        """Commit, unless the log has one of the names. `columns` that the table lacks are added to the table first.

        The names are looked for in the same handle that commits. delta-rs refuses to rebase a commit over one with the
        same name, but only over commits after the handle's version. A handle that was refreshed in between let doubles
        in.
        """
        opened, where = self._open(table), self._uri(table)
        try:
            added = 0 if opened is None or columns is None else _add_columns(opened, columns)
            if version is not None and (opened is None or opened.version() != version + added):
                raise RetryableError(f"{where}: version {version} is not its newest any more; try again")
            if opened is not None and any(opened.transaction_version(name) is not None for name in transactions):
                raise RetryableError(f"{where}: another commit carried this in the meantime; try again")
            commit(opened)
        except DeltaError as error:
            if opened is None and self._open(table) is not None:
                # another process made the table: look for the names in it, and append. Were this an error, the message
                # would go back to its queue and wait there for half an hour
                return self._commit(table, transactions, commit, columns=columns, version=version)
            if isinstance(error, CommitFailedError):
                raise RetryableError(f"{where}: {error}; a concurrent commit won, try again") from error
            raise ConflictError(f"{where}: the rows do not fit the table's schema") from error
        except OSError as error:
            raise RetryableError(f"{where}: the store does not answer, try again") from error
        return self._version(table)

    def _uri(self, table: str) -> str:
        return f"{self._root}/{table}"

    def _open(self, table: str) -> DeltaTable | None:
        """The table at its newest version."""
        cached = self._newest.get(table)
        if cached is None:
            cached = self._open_at(table, None)
            if cached is not None:
                self._newest[table] = cached
        else:
            cached.update_incremental()
        return cached

    def _open_at(self, table: str, pinned: int | datetime | None) -> DeltaTable | None:
        try:
            opened = DeltaTable(self._uri(table), storage_options=self._options or None)
            if pinned is not None:
                opened.load_as_version(pinned)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            if pinned is None:
                raise
            raise NotFoundError(f"{self._uri(table)}: version or time {pinned} is not in its log") from error
        return opened

    def _version(self, table: str) -> int:
        opened = self._open(table)
        if opened is None:
            raise RetryableError(f"{self._uri(table)}: the table was committed to, yet cannot be opened; try again")
        return opened.version()


def _actions(opened: DeltaTable) -> list[dict[str, Any]]:
    return list(opened.get_add_actions(flatten=True).to_struct_array().to_pylist())


def _has_small(opened: DeltaTable) -> bool:
    """Whether a partition has two files that could be joined."""
    small = Counter(tuple(_partition(file).items()) for file in _actions(opened) if file["size_bytes"] < _TARGET)
    return any(count > 1 for count in small.values())


def _say(opened: DeltaTable, compacting_since: int) -> None:
    """Make a commit without files, as a mark. Of two marks that begin at once, delta-rs refuses one."""
    mark = _properties((_COMPACTION,), version=compacting_since)
    opened.create_write_transaction([], "append", opened.schema(), commit_properties=mark)
    opened.update_incremental()


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _partition(action: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.removeprefix("partition."): str(value) for name, value in action.items() if name.startswith("partition.")
    }


def _add(file: DataFile) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values=dict(file.partition),
        modification_time=0,
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _add_columns(opened: DeltaTable, schema: Schema) -> int:
    """Add the columns that the table lacks, in a commit of their own. Returns the number of commits: 0 or 1.

    Fields inside a struct cannot be added.
    """
    # a commit of files leaves the schema as it is: readers would not see new columns, and compaction would drop them
    known = {field.name for field in opened.schema().fields}
    new = [field for field in schema.fields if field.name not in known]
    if new:
        opened.alter.add_columns(new, commit_properties=_properties(()))
    return 1 if new else 0


def _remove(action: Mapping[str, Any]) -> RemoveAction:
    return RemoveAction(
        path=action["path"],
        data_change=True,
        deletion_timestamp=_milliseconds(),
        size=action["size_bytes"],
        partition_values=dict(_partition(action)),
    )


def _buckets(opened: DeltaTable) -> int | None:
    found = [field.metadata.get(_BUCKETS) for field in opened.schema().fields if field.name == _COLUMN]
    return int(found[0]) if found and found[0] is not None else None


def _schema(opened: DeltaTable, buckets: int) -> Schema:
    """The table's schema, in which the number of buckets is recorded."""
    fields = [
        Field(field.name, field.type, nullable=field.nullable, metadata={**field.metadata, _BUCKETS: str(buckets)})
        if field.name == _COLUMN
        else field
        for field in opened.schema().fields
    ]
    return Schema(fields)


def _recording(data: ArrowStream, buckets: int) -> RecordBatchReader:
    """The same rows, with a schema that records the number of buckets. A table's first commit needs such a schema."""
    reader = RecordBatchReader.from_stream(data)
    place = reader.schema.get_field_index(_COLUMN)
    field = reader.schema.field(place).with_metadata({_BUCKETS: str(buckets)})
    schema = reader.schema.set(place, field)
    return RecordBatchReader.from_batches(schema, (batch.with_schema(schema) for batch in reader))


def _made_after(opened: DeltaTable, moment: datetime) -> bool:
    """Whether the table was made after a moment. For any earlier moment delta-rs gives the table's first version."""
    return bool(moment.timestamp() * 1000 < opened.metadata().created_time)


def _properties(names: Sequence[str], *, version: int = 1, retries: int = _COMMIT_RETRIES) -> CommitProperties:
    return CommitProperties(
        max_commit_retries=retries,
        app_transactions=[Transaction(app_id=name, version=version) for name in names] or None,
    )


def storage_options(environment: Mapping[str, str]) -> dict[str, str]:
    """The delta-rs options for an S3 endpoint that is not AWS itself. There are no options for AWS."""
    endpoint: Any = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return {}
    options = {"AWS_ENDPOINT_URL": endpoint}
    if endpoint.startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    return options
