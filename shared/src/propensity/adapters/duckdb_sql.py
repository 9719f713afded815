"""The Sql port over DuckDB. Its sessions run inside the process, and write to disk where memory is short."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import duckdb

from propensity.kernel.errors import OvertimeError, PropensityError, ResourceError, SqlError
from propensity.ports import ArrowStream


class DuckDbSql:
    """A session in UTC, with a database of its own in the process's one instance, and a scratch folder.

    Closing the session removes its database and its scratch folder. So use the session as a context manager, or call
    `close`. An instance per session would take eight times as long to open and close, and a small file would wait for
    it in a warm function.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="propensity-"))
        self._database = f"session_{next(_number)}"
        self._instance = _instance()
        self._connection = self._instance.cursor()
        # a progress bar is noise in a log
        self._connection.execute(
            f"attach ':memory:' as {self._database}; use {self._database}; "
            "set timezone = 'UTC'; set enable_progress_bar = false"
        )
        self._overtime = threading.Event()
        self._timer = threading.Timer(seconds, self._stop) if seconds is not None else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        self._run(sql, parameters)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._run(sql, parameters).fetchall()

    def stream(self, sql: str) -> ArrowStream:
        try:
            stream: ArrowStream = self._connection.sql(sql)
        except duckdb.Error as error:
            raise self._failed(error) from error
        return stream

    def _stop(self) -> None:
        self._overtime.set()
        self._connection.interrupt()

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer.join()  # it must not interrupt a connection that is closed
        orders = self._instance.cursor()
        try:
            [(used,)] = orders.execute("select sum(memory_usage_bytes) from duckdb_memory()").fetchall()
            # a closed connection has no open transaction, so that the database can be detached however its SQL ended
            self._connection.close()
            orders.execute(f"detach {self._database}")
        except duckdb.Error:
            _instance.cache_clear()  # this instance takes no more orders; the next session opens another
        else:
            if used > _LARGE:
                _instance.cache_clear()  # an instance gives its memory back only when it ends
        orders.close()
        del self._instance
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _run(self, sql: str, parameters: Sequence[object]) -> duckdb.DuckDBPyConnection:
        if self._overtime.is_set():
            raise OvertimeError(_OVERTIME)
        try:
            return self._connection.execute(sql, list(parameters))
        except duckdb.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: duckdb.Error) -> PropensityError:
        if isinstance(error, _OF_THE_INSTANCE):
            _instance.cache_clear()
        if self._overtime.is_set():
            return OvertimeError(_OVERTIME)
        return _sql_error(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_OVERTIME = "the SQL session was open longer than it may; send less at once"
_LARGE = 64_000_000  # above so many bytes in use, the instance is not kept for the next session
_number = itertools.count()


@functools.cache
def _instance() -> duckdb.DuckDBPyConnection:
    # DuckDB makes this folder when it needs disk; the folder's name differs between processes
    spill = Path(tempfile.gettempdir()) / f"propensity-spill-{os.getpid()}"
    instance = duckdb.connect(":memory:", config={"temp_directory": str(spill)})
    # DuckDB respects a container's quota, but not a process's limit to some cores. With more threads than cores, work
    # takes a fifth longer, because threads wait for one another
    instance.execute(f"set threads = least(current_setting('threads'), {os.process_cpu_count() or 1})")
    return instance


# after these errors an instance answers no more
_OF_THE_INSTANCE = (duckdb.FatalException, duckdb.InternalException)
# errors in the SQL itself: their text quotes the SQL. The text of any other error may quote a row
_OF_THE_TEXT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)


def _sql_error(error: duckdb.Error) -> PropensityError:
    kind = type(error).__name__
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error):
        return ResourceError(f"{kind}: the function is too small for this; raise its memory or ephemeral storage")
    if isinstance(error, _OF_THE_TEXT):
        return SqlError(f"{kind}: {error}", str(error))
    return SqlError(f"{kind} while running SQL; its text is left out, because it may quote a row", str(error))
