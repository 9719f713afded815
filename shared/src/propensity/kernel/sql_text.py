"""Pieces of SQL as text: identifiers, literals, instants, and files as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time


def quote(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A DuckDB string literal."""
    return "'" + value.replace("'", "''") + "'"


def among(column: str, values: Sequence[str]) -> str:
    """SQL that is true where `column`, itself SQL, is one of the values. Without values the SQL is `false`."""
    return f"{column} in ({', '.join(map(text, values))})" if values else "false"


def instant(day: date) -> str:
    """Midnight UTC of a day, as a TIMESTAMPTZ literal."""
    return f"timestamptz '{day.isoformat()} 00:00:00+00'"


def read_files(paths: Sequence[str], *, filename: bool = False) -> str:
    """SQL that reads local Parquet files as one table. A column that an older file lacks is NULL in its rows."""
    listed = ", ".join(text(path) for path in paths)
    named = ", filename = '_file'" if filename else ""
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false{named})"


def midnight(day: date) -> datetime:
    """Midnight of a day without a time zone, for the `as_of()` macro."""
    return datetime.combine(day, time())
