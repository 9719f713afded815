"""The files of a list: the rows of each, in their order, as the destination takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from propensity.delivery.domain.list_sql import ORDER
from propensity.delivery.domain.order import ExportOrder, export_folder
from propensity.delivery.domain.receipt import ListFile
from propensity.delivery.list_sources import ListSources
from propensity.delivery.members import file_column
from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.destination_spec import Destination
from propensity.ports import Ports, Sql

_FORMULA = r"^[=+\-@\t\r]"  # OWASP, "CSV Injection": what a spreadsheet takes for a formula
_BOM = b"\xef\xbb\xbf"
_FORMATS = {
    "csv": "format csv, header, delimiter ',', quote '\"', escape '\"'",
    "jsonl": "format json",
    "parquet": "format parquet, compression zstd",
}
# The rows of files: the whole list, the changes since the last list, or the removals of a recall.
Rows = Literal["whole", "changes", "removals"]


def write_files(
    ports: Ports, sql: Sql, order: ExportOrder, sources: ListSources, rows: Rows, stem: str
) -> tuple[ListFile, ...]:
    """Write rows of table `decided` as files `<stem>-0001.<format>` and on, of at most `max_rows` rows each.

    Files without any row are one file with its header.
    """
    columns = ", ".join(file_column(number) for number in range(len(sources.destination.columns)))
    sql.execute(
        "create or replace temp table row as "
        f"select {columns}, 'add' as operation, row_number() over (order by {ORDER}) as nth "
        f"from decided where {_ADDED[rows]}"
    )
    if rows != "whole":
        _remove(sql, sources, rows)
    return tuple(_files(ports, sql, order, sources, rows, stem))


# a customer whose row at the destination reads otherwise by now is taken away as it was sent, and added as it is now
_ADDED = {
    "whole": "arm = 'exported'",
    "removals": "false",
    "changes": "arm = 'exported' and not exists (select 1 from list_last l "
    "where l.customer_id = decided.customer_id and (l.sent is null or l.sent = decided.sending))",
}


def _remove(sql: Sql, sources: ListSources, rows: Rows) -> None:
    """Put the removals into table `row`, before the additions: whoever comes back in other words is removed first.

    A removal has the values that were sent. Where nobody kept them, it has the values of now.
    """
    source = "list_last" if rows == "changes" else "subject"
    gone = "d.arm is distinct from 'exported'"
    if rows == "changes":
        gone = f"({gone} and coalesce(l.sent, d.sending) is not null) or l.sent <> d.sending"
    names = [file_column(number) for number in range(len(sources.destination.columns))]
    values = ", ".join(f"coalesce(l.sent, d.sending)->>'$.{name}' as {name}" for name in names)
    sql.execute(
        "create or replace temp table removal as "
        f"select {values}, 'remove' as operation, row_number() over (order by md5(customer_id), customer_id) as nth "
        f"from {source} l left join decided d using (customer_id) where {gone}"
    )
    sql.execute(
        "update row set nth = nth + (select count(*) from removal); insert into row by name select * from removal"
    )


def count_changes(sql: Sql) -> tuple[int, int]:
    """How many rows of table `row` are additions, and how many removals."""
    found = dict(sql.rows("select operation, count(*) from row group by 1"))
    return int(found.get("add", 0)), int(found.get("remove", 0))


def _files(
    ports: Ports, sql: Sql, order: ExportOrder, sources: ListSources, rows: Rows, stem: str
) -> Iterator[ListFile]:
    destination = sources.destination
    kind = order.request.format or destination.format
    chosen = [_cell(kind, destination, file_column(n), column.name) for n, column in enumerate(destination.columns)]
    if rows != "whole":
        chosen.append(f"operation as {quote(destination.operation)}")
    [(total,)] = sql.rows("select count(*) from row")
    for part, start in enumerate(range(0, max(int(total), 1), destination.max_rows), start=1):
        name = f"{stem}-{part:04d}.{kind}"
        path = sql.scratch / name
        part_of = f"nth > {start} and nth <= {start + destination.max_rows}"
        query = f"select {', '.join(chosen)} from row where {part_of} order by nth"
        sql.execute(f"copy ({query}) to {text(str(path))} ({_FORMATS[kind]})")
        if kind == "csv" and destination.spreadsheet:
            path.write_bytes(_BOM + path.read_bytes())
        ports.lake.upload_new(f"{export_folder(order.tenant_id, order.export)}/{name}", path)
        with path.open("rb") as body:
            digest = hashlib.file_digest(body, "sha256").hexdigest()
        count = min(destination.max_rows, int(total) - start)
        yield ListFile(file=name, rows=count, bytes=path.stat().st_size, sha256=digest)


def _cell(kind: str, destination: Destination, value: str, name: str) -> str:
    if kind == "csv" and destination.spreadsheet:
        guarded = f"regexp_matches({value}::varchar, {text(_FORMULA)}) and typeof({value}) = 'VARCHAR'"
        return f"case when {guarded} then '''' || {value}::varchar else {value}::varchar end as {quote(name)}"
    return f"{value} as {quote(name)}"
