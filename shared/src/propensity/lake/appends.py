"""Scoring runs that were committed, and appending rows about one to a Gold table once, whatever is retried."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.kernel.errors import RetryableError
from propensity.ports import Ports, Sql


def append_once(
    ports: Ports, sql: Sql, table: str, query: str, transaction: str, partition_by: Sequence[str] = ()
) -> bool:
    """Append a query's rows under a transaction name; False where the log has it already."""
    if transaction in ports.tables.committed(table, [transaction]):
        return False
    try:
        ports.tables.append(table, sql.stream(query), partition_by=partition_by, transactions=[transaction])
    except RetryableError:
        # lost the race: to the same rows, or to a stranger and then the caller's retry is right
        if transaction in ports.tables.committed(table, [transaction]):
            return False
        raise
    return True
