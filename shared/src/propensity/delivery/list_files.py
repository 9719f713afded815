"""The files of a list: the rows of each, in their order, as the destination takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Literal

from propensity.delivery.domain.list_sql import ORDER
from propensity.delivery.domain.order import ExportOrder, ExportPlan, export_folder
from propensity.delivery.domain.receipt import ListFile
from propensity.delivery.list_sources import ListSources
from propensity.delivery.members import file_column
from propensity.kernel.sql_text import quote, text
from propensity.lake.kept_files import keep_first
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


def rows_of_files(sql: Sql, sources: ListSources, files: Mapping[str, Rows]) -> None:
    """Make table `row` from table `decided`: the rows of the files, by the stem of the files that they belong to."""
    columns = ", ".join(file_column(number) for number in range(len(sources.destination.columns)))
    parts = []
    for stem, rows in files.items():
        sql.execute(
            f"create temp table row_of_{stem} as select tenant_id, customer_id, {columns}, {text(stem)} as stem, "
            f"'add' as operation, row_number() over (order by {ORDER}) as nth_of_files "
            f"from decided where {_ADDED[rows]}"
        )
        if rows != "whole":
            _remove(sql, sources, rows, stem)
        parts.append(f"select * from row_of_{stem}")
    sql.execute(f"create temp table row as {' union all '.join(parts)}")


# a customer whose row at the destination reads otherwise by now is taken away as it was sent, and added as it is now
_ADDED = {
    "whole": "arm = 'exported'",
    "removals": "false",
    "changes": "arm = 'exported' and not exists (select 1 from list_last l "
    "where l.customer_id = decided.customer_id and (l.sent is null or l.sent = decided.sending))",
}


def _remove(sql: Sql, sources: ListSources, rows: Rows, stem: str) -> None:
    """Put the removals before the additions: whoever comes back in other words is removed first.

    A removal has the values that were sent. Where nobody kept them, it has the values of now.
    """
    source = "list_last" if rows == "changes" else "subject"
    gone = "d.arm is distinct from 'exported'"
    if rows == "changes":
        gone = f"({gone} and coalesce(l.sent, d.sending) is not null) or l.sent <> d.sending"
    names = [file_column(number) for number in range(len(sources.destination.columns))]
    values = ", ".join(f"coalesce(l.sent, d.sending)->>'$.{name}' as {name}" for name in names)
    sql.execute(
        f"create temp table removal_of_{stem} as select {text(sources.tenant)} as tenant_id, customer_id, {values}, "
        f"{text(stem)} as stem, 'remove' as operation, "
        "row_number() over (order by md5(customer_id), customer_id) as nth_of_files "
        f"from {source} l left join decided d using (customer_id) where {gone}"
    )
    sql.execute(
        f"update row_of_{stem} set nth_of_files = nth_of_files + (select count(*) from removal_of_{stem}); "
        f"insert into row_of_{stem} by name select * from removal_of_{stem}"
    )


def write_files(
    ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan, destination: Destination, stems: Mapping[str, bool]
) -> tuple[ListFile, ...]:
    """Write table `row` as files `<stem>-0001.<format>` and on, of at most `max_rows` rows each.

    `stems` says of which files the rows have an operation. Files without any row are one file with its header.
    """
    return tuple(
        file
        for stem, operation in stems.items()
        for file in _files(ports, sql, order, plan, destination, stem, operation=operation)
    )


def _files(
    ports: Ports,
    sql: Sql,
    order: ExportOrder,
    plan: ExportPlan,
    destination: Destination,
    stem: str,
    *,
    operation: bool,
) -> Iterator[ListFile]:
    kind = order.request.format or destination.format
    chosen = [_cell(kind, destination, file_column(n), column.name) for n, column in enumerate(destination.columns)]
    if operation:
        chosen.append(f"operation as {quote(destination.operation)}")
    [(total,)] = sql.rows(f"select count(*) from row where stem = {text(stem)}")
    for part, start in enumerate(range(0, max(int(total), 1), destination.max_rows), start=1):
        name = plan.named(f"{stem}-{part:04d}.{kind}")
        path = sql.scratch / name
        part_of = f"stem = {text(stem)} and nth_of_files > {start} and nth_of_files <= {start + destination.max_rows}"
        query = f"select {', '.join(chosen)} from row where {part_of} order by nth_of_files"
        sql.execute(f"copy ({query}) to {text(str(path))} ({_FORMATS[kind]})")
        if kind == "csv" and destination.spreadsheet:
            path.write_bytes(_BOM + path.read_bytes())
        # an earlier try may have written this file under another release: the receipt tells of the one that stands
        keep_first(ports.lake, f"{export_folder(order.tenant_id, order.export)}/{name}", path)
        with path.open("rb") as body:
            digest = hashlib.file_digest(body, "sha256").hexdigest()
        count = min(destination.max_rows, int(total) - start)
        yield ListFile(file=name, rows=count, bytes=path.stat().st_size, sha256=digest)


def _cell(kind: str, destination: Destination, value: str, name: str) -> str:
    if kind == "csv" and destination.spreadsheet:
        guarded = f"regexp_matches({value}::varchar, {text(_FORMULA)}) and typeof({value}) = 'VARCHAR'"
        return f"case when {guarded} then '''' || {value}::varchar else {value}::varchar end as {quote(name)}"
    return f"{value} as {quote(name)}"
