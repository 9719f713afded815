"""DuckDB with a cap on its memory. What is more lies on disk, as in a function that is small for its work."""

from __future__ import annotations

from propensity.adapters.duckdb_sql import DuckDbSql

CAP = "2GB"


class CappedSql(DuckDbSql):
    """The product's session, whose instance takes no more memory than the cap."""

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__(seconds)
        self.execute(f"set memory_limit = '{CAP}'")
