"""A landed file as a relation of texts: `record`, `line`, `error`, and one text per column as the file has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from propensity.domain.contract import Contract
from propensity.domain.errors import BadInputError, SqlError
from propensity.domain.landing import Landed
from propensity.domain.views import quote, text
from propensity.ports import Sql
from propensity.usecases.staging import stage

TENANT = "tenant_id"


@dataclass(frozen=True, slots=True)
class Source:
    """`rows`: SELECT of record, line, error and texts; `raw`: SELECT of record and the raw line.

    `names` maps a contract's column to the text column that brings it.
    """

    rows: str
    raw: str
    names: dict[str, str]
    records: int
    blank: int
    warnings: tuple[str, ...]


def csv_source(sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """Raises BadInputError for a file that cannot be read, or whose header does not fit the contract."""
    staged = stage(local, sql.scratch / "staged", key=landed.key, gzipped=landed.suffix.endswith(".gz"))
    where = f"{landed.key}: line {staged.header_line}"
    names, warnings = match_columns(staged.header, contract, where)
    if staged.records == 0:
        raise BadInputError(f"{landed.key}: line {staged.header_line}: a header and no rows; send the file again")
    if staged.blank:
        warnings = (*warnings, f"{staged.blank} empty lines were left out")
    read = (
        f"read_csv({text(str(staged.path))}, header = false, auto_detect = false, columns = {{'staged': 'VARCHAR'}}, "
        "delim = chr(1), quote = '', escape = '', new_line = '\\n', max_line_size = 16000000, strict_mode = true)"
    )
    # the number is given in the same SELECT as the read: there it follows the file's order (FACTS.md)
    sql.execute(
        "create temp table staged as select row_number() over () as record, "
        f"string_split(staged, chr(30)) as parts from {read}"
    )
    [(count,)] = sql.rows("select count(*) from staged")
    if count != staged.records:
        raise SqlError(f"{landed.key}: {staged.records} records staged, {count} read back; a defect of the reader")
    width = len(staged.header)
    columns = ", ".join(
        f"replace(fields[{number}], chr(29), chr(10)) as {quote(_text_name(number))}" for number in range(1, width + 1)
    )
    rows = (
        "select record, line, case when parted_error <> '' then parted_error "
        f"when len(fields) <> {width} then 'columns' end as error, {columns} from ("
        "select record, coalesce(parts[2]::bigint, record + 1) as line, coalesce(parts[3], '') as parted_error, "
        "string_split(parts[1], chr(31)) as fields from staged)"
    )
    raw = (
        "select record, coalesce(replace(parts[4], chr(29), chr(10)), replace(parts[1], chr(31), ',')) as raw from staged"
    )
    positions = {header: number for number, header in enumerate(staged.header, start=1)}
    mapped = {column: _text_name(positions[header]) for column, header in names.items()}
    return Source(rows, raw, mapped, staged.records, staged.blank, warnings)


def parquet_source(sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """A Parquet file's line is its row's number; its raw line the row as JSON."""
    read = f"read_parquet({text(str(local))}, hive_partitioning = false, file_row_number = true)"
    try:
        described = sql.rows(f"describe select * exclude (file_row_number) from {read}")
        [(count,)] = sql.rows(f"select count(*) from {read}")
    except SqlError as error:
        raise BadInputError(f"{landed.key}: not a Parquet file, or cut short: {error}; send it again") from error
    header = tuple(str(row[0]) for row in described)
    names, warnings = match_columns(header, contract, f"{landed.key}: schema")
    if count == 0:
        raise BadInputError(f"{landed.key}: a schema and no rows; send the file again")
    nested = [name for name, kind, *_ in described if any(mark in str(kind) for mark in ("[", "STRUCT", "MAP"))]
    used = [name for name in names.values() if name in nested]
    if used:
        raise BadInputError(f"{landed.key}: column {used[0]}: a nested type, expected one value per row")
    texts = ", ".join(f"{quote(name)}::varchar as {quote(_text_name(number))}" for number, name in enumerate(header, 1))
    rows = f"select file_row_number + 1 as record, file_row_number + 1 as line, null::varchar as error, {texts} from {read}"
    packed = ", ".join(f"{quote(name)} := {quote(name)}" for name in header)
    raw = f"select file_row_number + 1 as record, to_json(struct_pack({packed}))::varchar as raw from {read}"
    positions = {name: number for number, name in enumerate(header, start=1)}
    mapped = {column: _text_name(positions[name]) for column, name in names.items()}
    return Source(rows, raw, mapped, int(count), 0, warnings)


def match_columns(header: Sequence[str], contract: Contract, where: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which header brings which column, and what to warn of: columns that the contract does not name are left out.

    A column that is missing makes the file unreadable unless the contract calls it optional: an export that
    lost a column should not quietly become NULLs.
    """
    twice = sorted(name for name, count in Counter(name.casefold() for name in header).items() if count > 1)
    if twice:
        raise BadInputError(f"{where}: column {twice[0]!r} stands twice in the header; name each column once")
    by_name = {name.casefold(): name for name in header}
    names, missing = {}, []
    for column in contract.file_columns:
        found = sorted({by_name[one.casefold()] for one in column.headers if one.casefold() in by_name})
        if len(found) > 1:
            raise BadInputError(f"{where}: columns {' and '.join(found)} both bring {column.name}; send one of them")
        if found:
            names[column.name] = found[0]
        elif not column.optional and column.name != TENANT:
            missing.append(column.name)
    if missing:
        expected = ", ".join(column.name for column in contract.file_columns)
        raise BadInputError(
            f"{where}: column {', '.join(missing)} missing, expected {expected} "
            f"(contract {contract.dataset} {contract.version})"
        )
    if TENANT in by_name:
        names.setdefault(TENANT, by_name[TENANT])
    extra = sorted(set(header) - set(names.values()))
    return names, tuple(f"column {name!r} is not in the contract and was left out" for name in extra)


def _text_name(number: int) -> str:
    return f"text_{number}"
