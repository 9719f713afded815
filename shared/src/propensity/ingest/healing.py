"""The rows that a revalidation heals were not good before, and are good now. It takes back no row that is in Bronze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from propensity.ingest.domain.file_report import BrokenRule, FileReport
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.files.checking import FIRST_LINES, Checked
from propensity.kernel.errors import BadInputError, IncompleteRunError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.session import download
from propensity.pack.domain.contract import Contract, Occurrence
from propensity.ports import Ports, Sql

_RELATION = "earlier"


@dataclass(frozen=True, slots=True)
class Earlier:
    """The `rows` of a landed file that reports before put into Bronze.

    `relation` names the table of their _line and the columns that decide occurrences. `refused` counts the rows that
    today's contract would refuse; they stay in Bronze.
    """

    rows: int
    refused: int = 0
    relation: str = _RELATION


def load_earlier(ports: Ports, sql: Sql, contract: Contract, history: Sequence[FileReport]) -> Earlier | None:
    """The rows that are in Bronze by a file's reports. The result is None where there are no such rows."""
    keys = [report.bronze_key for report in history if report.bronze and report.bronze_key]
    if not keys:
        return None
    paths = download(sql, ports.lake, keys, "earlier")
    # only the columns that are needed are read; they are cast to today's types where an older contract had others
    names = (*contract.occurrence.within, contract.occurrence.column) if contract.occurrence else ()
    columns = {name: contract.column(name).duckdb_type for name in names}
    typed = "".join(f", null::{kind} as {quote(name)}" for name, kind in columns.items())
    cast = "".join(f", try_cast({quote(name)} as {kind}) as {quote(name)}" for name, kind in columns.items())
    sql.execute(
        f"create or replace temp table {_RELATION} as select _line{cast} from "
        f"(select null::bigint as _line{typed} where false union all by name select * from {read_files(paths)})"
    )
    [(rows, lines)] = sql.rows(f"select count(*), count(distinct _line) from {_RELATION}")
    if rows != lines:
        raise IncompleteRunError(
            f"{keys[0]}: {rows} rows of {lines} lines over {len(keys)} Bronze files of one content, expected each line "
            "once; nothing was written: a defect, keep the files"
        )
    return Earlier(int(rows))


def heal(sql: Sql, landed: Landed, contract: Contract, earlier: Earlier, checked: Checked) -> tuple[Checked, Earlier]:
    """The checked rows without the rows in Bronze, and `earlier` with the number of its rows that would be bad today.

    Raises BadInputError where the contract splits the file into other lines than it was split into for Bronze.
    """
    known = f"(select _line from {earlier.relation})"
    good, bad, refused = f"(select * from ({checked.good_rows}) where _line not in {known})", "", 0
    still_bad, reasons = 0, checked.reasons
    if checked.bad:
        path = sql.scratch / "still_bad.parquet"
        rows = f"select * from ({checked.bad_rows}) where line not in {known} order by line"
        sql.execute(f"copy ({rows}) to {text(str(path))} (format parquet)")
        bad = f"select * from read_parquet({text(str(path))})"
        [(still_bad,)] = sql.rows(f"select count(*) from ({bad})")
        refused, reasons = checked.bad - still_bad, _reasons(sql, bad)
    [(healed,)] = sql.rows(f"select count(*) from {good}")
    if earlier.rows + healed + still_bad != checked.good + checked.bad:
        raise BadInputError(
            f"{landed.key}: contract {contract.version} splits the file into other rows than those that are in Bronze "
            f"({checked.good + checked.bad}; {earlier.rows} in Bronze, {healed} good and {still_bad} bad beside them); "
            "what is in Bronze stays, send the rest as a file of its own"
        )
    rows = f"select * from {good}"
    if contract.occurrence:
        rows = _numbered(contract.occurrence, good, earlier.relation)
    left = replace(
        checked, good_rows=f"{rows} order by _line", bad_rows=bad, good=healed, bad=still_bad, reasons=reasons
    )
    return left, replace(earlier, refused=refused)


def _numbered(occurrence: Occurrence, good: str, earlier: str) -> str:
    """SELECT of the healed rows with their occurrence numbers, which continue after those of equal rows in Bronze."""
    number, within = quote(occurrence.column), [quote(name) for name in occurrence.within]
    same = " and ".join(f"g.{name} is not distinct from e.{name}" for name in within)
    equals = ", ".join(f"g.{name}" for name in within)
    most = f"(select {', '.join(within)}, max({number}) as most from {earlier} group by all)"
    counted = f"coalesce(e.most, 0) + row_number() over (partition by {equals} order by g.{number})"
    return f"select g.* replace ({counted} as {number}) from {good} g left join {most} e on {same}"


def _reasons(sql: Sql, bad: str) -> tuple[BrokenRule, ...]:
    """The rules that the bad rows break, in order of their numbers of rows, the greatest number first."""
    entries = f"(select line, unnest(reasons) as entry from ({bad}))"
    return tuple(
        BrokenRule(column=column, rule=rule, message=message, severity="reject_row", rows=rows, first_lines=lines)
        for column, rule, message, rows, lines in sql.rows(
            f'select entry."column", entry.rule, entry.message, count(*), min(line, {FIRST_LINES}) from {entries} '
            "group by all order by 4 desc, 1, 2"
        )
    )
