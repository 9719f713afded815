"""Appending rows to a Gold table once, however often the step is retried."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.kernel.errors import RetryableError
from propensity.ports import Ports, Sql


def append_once(
    ports: Ports,
    sql: Sql,
    table: str,
    query: str,
    transaction: str,
    partition_by: Sequence[str] = (),
    *,
    also: Sequence[str] = (),
) -> bool:
    """Append a query's rows to a table, in a commit that carries a transaction name.

    Returns False, and appends nothing, where the table's log already has the transaction name. The commit carries the
    names `also` too: raises RetryableError where another commit had one of them.
    """
    if transaction in ports.tables.committed(table, [transaction]):
        return False
    try:
        ports.tables.append(table, sql.stream(query), partition_by=partition_by, transactions=[transaction, *also])
    except RetryableError:
        # another commit came first: it has the same rows, and all is done, or it has other rows, and the caller must
        # retry
        if transaction in ports.tables.committed(table, [transaction]):
            return False
        raise
    return True
