"""Reads gold/identities, which says which customers are one person, and which live in one household."""

from __future__ import annotations

from datetime import date

from propensity.identity.domain.queries import IDENTITY_COLUMNS, newest_identities
from propensity.kernel.sql_text import quote, read_files
from propensity.lake.gold_tables import IDENTITIES
from propensity.lake.session import download
from propensity.ports import Ports, Sql


def load_identities(ports: Ports, sql: Sql, table: str, *, version: int | None = None) -> None:
    """Create a table of all rows of gold/identities, with IDENTITY_COLUMNS: of a version of it, else of the newest.

    The table is empty where no identities were resolved yet.
    """
    columns = ", ".join(f"{name} {kind}" for name, kind in IDENTITY_COLUMNS)
    sql.execute(f"create or replace table {table} ({columns})")
    snapshot = ports.tables.snapshot(IDENTITIES, version=version)
    if snapshot is not None and snapshot.files:
        paths = download(sql, ports.lake, snapshot.file_keys(), "identities")
        names = ", ".join(name for name, _ in IDENTITY_COLUMNS)
        sql.execute(f"insert into {table} select {names} from {read_files(paths)}")


def current_identities(ports: Ports, sql: Sql, table: str, *, before: date | None = None) -> None:
    """Create a table of the newest row per tenant and customer.

    With `before`, the newest row of an earlier day is taken. A customer without a row was never resolved and is joined
    with nobody. `birth_id` makes the id that such a customer would have.
    """
    load_identities(ports, sql, f"{quote(table + '_history')}")
    sql.execute(
        f"create or replace table {quote(table)} as {newest_identities(quote(table + '_history'), before)}; "
        f"drop table {quote(table + '_history')}"
    )
