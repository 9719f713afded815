"""The Sql port over DuckDB: one in-process session, spilling to a scratch folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import duckdb

from propensity.domain.errors import PropensityError, ResourceError, SqlError
from propensity.ports import ArrowStream


class DuckDbSql:
    """A session in UTC whose scratch folder goes when it is closed. Use as a context manager or call `close`."""

    def __init__(self, *, memory_limit: str | None = None, threads: int | None = None) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="propensity-"))
        config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(self.scratch / "spill")}
        if memory_limit:
            config["memory_limit"] = memory_limit
        if threads:
            config["threads"] = threads
        self._connection = duckdb.connect(config=config)
        self._settle()

    def _settle(self) -> None:
        # a log is no terminal: a bar in it is noise
        self._connection.execute("set timezone = 'UTC'; set enable_progress_bar = false")

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        self._run(sql, parameters)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._run(sql, parameters).fetchall()

    def stream(self, sql: str) -> ArrowStream:
        try:
            stream: ArrowStream = self._connection.sql(sql)
        except duckdb.Error as error:
            raise _sql_error(error) from error
        return stream

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _run(self, sql: str, parameters: Sequence[object]) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, list(parameters))
        except duckdb.Error as error:
            raise _sql_error(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# errors of the SQL itself, whose text quotes the SQL; the text of any other may quote a row
_OF_THE_TEXT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)


def _sql_error(error: duckdb.Error) -> PropensityError:
    kind = type(error).__name__
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error):
        return ResourceError(f"{kind}: the function is too small for this; raise its memory or ephemeral storage")
    if isinstance(error, _OF_THE_TEXT):
        return SqlError(f"{kind}: {error}", str(error))
    return SqlError(f"{kind} while running SQL; its text is left out, because it may quote a row", str(error))
