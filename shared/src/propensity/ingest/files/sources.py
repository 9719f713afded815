"""A landed file as a relation of texts, in the file's order, whatever kind of file it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.domain.rules import trimmed
from propensity.ingest.files.landed_text import MAX_LINE, LandedText, survey, unpack
from propensity.ingest.files.staging import BREAK, FIELD, SKIPPED, copy_raw_lines, stage
from propensity.kernel.errors import BadInputError, SqlError
from propensity.kernel.sql_text import quote, text
from propensity.kernel.tenant import TENANT
from propensity.pack.domain.contract import Contract
from propensity.ports import Sql

_ABSENT = "chr(28)"  # what reads as NULL: a byte that no staged or plain file holds, so that '' stays ''
MAX_ROWS = 200_000_000  # a Parquet file of a few megabytes may claim billions of equal rows


def _no_raw(bad: str) -> str:
    return f"select _line, null::varchar as raw from ({bad})"


@dataclass(frozen=True, slots=True)
class Source:
    """`rows`: SELECT in the file's order of _error (the rule a whole line breaks, `skipped`, or NULL), the texts, and
    where `spans` also _span (lines of the record, NULL for one); one row per line of the file.

    `names` maps a contract's column to the text column that brings it; `first_line` is the number of the first row;
    `raw_here` is SQL over the row for its raw line, `null` where it is not there any more; then `raw`, given a SELECT
    of _line and _span in order, makes a SELECT of _line and raw. `only_spaces`: no other blank than the space stands
    in the file.
    """

    rows: str
    names: dict[str, str]
    first_line: int = 1
    lines: int = 0
    records: int = 0
    blank: int = 0
    only_spaces: bool = False
    spans: bool = False
    warnings: tuple[str, ...] = ()
    raw_here: str = "null"
    raw: Callable[[str], str] = _no_raw


def csv_source(sql: Sql, local: Path, landed: Landed, contract: Contract, *, careful: bool = False) -> Source:
    """Raises BadInputError for a file that cannot be read, or whose header does not fit the contract.

    Plain text the engine splits itself, unless `careful`; anything else is staged for it (staging.py).
    """
    key, form = landed.key, contract.text
    path = unpack(local, sql.scratch / "unpacked", form, key=key, gzipped=landed.suffix.endswith(".gz"))
    surveyed = survey(path, form, key=key)
    where = f"{key}: line {surveyed.header_line}"
    names, warnings = match_columns(surveyed.header, contract, where)
    width = len(surveyed.header)
    if surveyed.plain and not careful:
        read = _read_csv(
            path,
            width,
            delimiter=form.delimiter,
            newline=surveyed.newline,
            skip=surveyed.header_line,
            longest=MAX_LINE,
        )
        rows = f"select {_plain_error(width)} as _error, * from {read}"
        lines, blank, continued, only_spaces = surveyed.lines, 0, 0, surveyed.only_spaces
        # what was padded is NULL, which concat_ws leaves out
        raw_here = f"concat_ws({text(form.delimiter)}, {', '.join(field(number) for number in range(1, width + 2))})"
    else:
        staged = stage(surveyed, sql.scratch / "staged", key=key, delimiter=form.delimiter)
        read = _read_csv(staged.path, width, delimiter=FIELD)
        rows = _staged_rows(read, width, spans=staged.continued > 0)
        lines, blank, continued, only_spaces = (
            staged.lines,
            staged.blank,
            staged.continued,
            staged.only_spaces and not staged.continued,
        )
        raw_here = "null"
    if lines - blank - continued == 0:
        raise BadInputError(f"{where}: a header and no rows, expected at least one; send the file again")
    if blank:
        warnings = (*warnings, f"{blank} empty lines were left out")
    positions = {header: field(number) for number, header in enumerate(surveyed.header, start=1)}
    return Source(
        rows=rows,
        names={column: positions[header] for column, header in names.items()},
        first_line=surveyed.header_line + 1,
        lines=lines,
        records=lines - blank - continued,
        blank=blank,
        only_spaces=only_spaces,
        spans=continued > 0,
        warnings=warnings,
        raw_here=raw_here,
        raw=lambda bad: raw_lines(sql, surveyed, bad, key),
    )


def _read_csv(
    path: Path, width: int, *, delimiter: str, newline: str = "\n", skip: int = 0, longest: int = 10 * MAX_LINE
) -> str:
    """SQL that reads so many texts and one more, split at every delimiter and line end."""
    columns = ", ".join(f"{text(_name(number))}: 'VARCHAR'" for number in range(1, width + 2))
    end = newline.encode("unicode_escape").decode()  # the option spells it with backslashes
    # everything is named, so that nothing is guessed from the data
    return (
        f"read_csv({text(str(path))}, header = false, auto_detect = false, columns = {{{columns}}}, "
        f"delim = {text(delimiter)}, quote = '', escape = '', comment = '', new_line = {text(end)}, "
        f"nullstr = {_ABSENT}, null_padding = true, skip = {skip}, max_line_size = {longest})"
    )


def _plain_error(width: int) -> str:
    """A short line is padded with NULLs, a long one has a value behind the last column.

    Blanks alone are no row; where the engine meets some, rows and lines no longer agree, and the file is read with
    care.
    """
    empty = f"{field(2)} is null and {trimmed(field(1), only_spaces=False)} = ''"
    if width == 1:
        return f"case when {empty} then {text(SKIPPED)} when {field(2)} is not null then 'columns' end"
    wrong = f"{field(width)} is null or {field(width + 1)} is not null"
    return f"case when {wrong} then case when {empty} then {text(SKIPPED)} else 'columns' end end"


def _staged_rows(read: str, width: int, *, spans: bool) -> str:
    mark = f"nullif({field(width + 1)}, '')"
    if not spans:
        return f"select {mark} as _error, * from {read}"
    # where a record runs over several lines, the mark is their number
    fields = [field(number) for number in range(1, width + 1)]
    values = ", ".join(f"replace({field}, {text(BREAK)}, chr(10)) as {field}" for field in fields)
    span = f"try_cast({mark} as bigint)"
    return f"select case when {span} is null then {mark} end as _error, {span} as _span, {values} from {read}"


def read_lines(path: Path) -> str:
    """SQL that reads a staged file of one text per line, and what is wrong with it behind US."""
    return _read_csv(path, 1, delimiter=FIELD)


def raw_lines(sql: Sql, surveyed: LandedText, bad: str, key: str) -> str:
    wanted, found = sql.scratch / "wanted.csv", sql.scratch / "raw.csv"
    # through a file: a million bad rows need no million tuples
    sql.execute(f"copy ({bad}) to {text(str(wanted))} (format csv, header false)")
    with wanted.open(encoding="ascii") as lines:
        copy_raw_lines(surveyed, _pairs(lines), found, key=key)
    read = _read_csv(found, 1, delimiter=FIELD)
    return f"select {field(1)}::bigint as _line, replace({field(2)}, {text(BREAK)}, chr(10)) as raw from {read}"


def _pairs(lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    for pair in lines:
        line, _, span = pair.rstrip("\n").partition(",")
        yield int(line), int(span or 1)


def parquet_source(sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """A Parquet file's line is its row's number from 1; its raw line the row as JSON.

    Raises BadInputError for a file that is no Parquet or has another schema.
    """
    key = landed.key
    read = f"read_parquet({text(str(local))}, hive_partitioning = false, file_row_number = true)"
    try:
        described = sql.rows(f"describe select * exclude (file_row_number) from {read}")
        [(count,)] = sql.rows(f"select count(*) from {read}")
    except SqlError:
        # the engine's words name our scratch file, and may quote values
        raise BadInputError(
            f"{key}: file: not Parquet, or cut short, expected a whole Parquet file; send it again"
        ) from None
    kinds = {str(row[0]): str(row[1]) for row in described}
    names, warnings = match_columns(tuple(kinds), contract, f"{key}: schema")
    if count == 0:
        raise BadInputError(f"{key}: row 1: a schema and no rows, expected at least one; send the file again")
    if count > MAX_ROWS:
        raise BadInputError(f"{key}: row {MAX_ROWS}: {count} rows, expected at most {MAX_ROWS}; split the file")
    for column, name in names.items():
        if any(mark in kinds[name] for mark in ("[", "STRUCT", "MAP", "UNION", "BLOB")):
            raise BadInputError(
                f"{key}: schema: column {column}: {kinds[name].split('(')[0]}, expected one plain value per row; "
                "send text, numbers, dates or booleans"
            )
    texts = ", ".join(
        f"{_parquet_text(name, kinds[name])} as {field(number)}" for number, name in enumerate(kinds, start=1)
    )
    positions = {name: field(number) for number, name in enumerate(kinds, start=1)}
    packed = ", ".join(f"{quote(name)} := {quote(name)}" for name in kinds)
    packed = f"to_json(struct_pack({packed}))::varchar"
    return Source(
        rows=f"select null::varchar as _error, {packed} as _json, {texts} from {read}",
        names={column: positions[name] for column, name in names.items()},
        first_line=1,
        lines=int(count),
        records=int(count),
        blank=0,
        only_spaces=False,
        spans=False,
        warnings=warnings,
        raw_here="_json",
        raw=lambda bad: (
            f"select file_row_number + 1 as _line, {packed} as raw from {read} "
            f"where file_row_number + 1 in (select _line from ({bad}))"
        ),
    )


def _parquet_text(name: str, kind: str) -> str:
    value = quote(name)
    if kind in ("DOUBLE", "FLOAT"):
        # a key kept as a float would read 1e+16 from 16 digits on
        whole = f"{value} = trunc({value}) and abs({value}) between 1e15 and 9e18"
        return f"case when {whole} then {value}::bigint::varchar else {value}::varchar end"
    return f"{value}::varchar"


def match_columns(header: Sequence[str], contract: Contract, where: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which header brings which column, and what to warn of: columns that the contract does not name are left out.

    A column that is missing makes the file unreadable unless the contract calls it optional: an export that
    lost a column should not quietly become NULLs. Headers are compared without regard to case. A header that the
    contract does not know is told by its place: in a file without a header it would be somebody's data.
    """
    known = {one.casefold(): column.name for column in contract.file_columns for one in column.headers}
    known.setdefault(TENANT, TENANT)
    counts = Counter(name.casefold() for name in header if name)
    for name, count in counts.items():
        if count > 1:
            places = [number for number, one in enumerate(header, start=1) if one.casefold() == name]
            what = f"{known[name]!r}" if name in known else f"{places[0]}"
            raise BadInputError(
                f"{where}: column {what} stands {count} times in the header, at {', '.join(map(str, places))}, "
                "expected once; name each column once"
            )
    names: dict[str, str] = {}
    for name in header:
        column = known.get(name.casefold())
        if column is None:
            continue
        if column in names:
            raise BadInputError(f"{where}: column {column}: two headers bring it, expected one; send one of them")
        names[column] = name
    missing = [
        column.name
        for column in contract.file_columns
        if column.name not in names and not column.optional and column.name != TENANT
    ]
    if missing:
        told = ", ".join("/".join(contract.column(name).headers) for name in missing)
        split = f", split by {contract.text.delimiter!r}" if len(header) == 1 else ""
        raise BadInputError(
            f"{where}: column {told} missing, expected "
            f"{', '.join(column.name for column in contract.file_columns if not column.optional)}{split} "
            f"(contract {contract.dataset} {contract.version}); export the file with every column"
        )
    return names, tuple(_extra(header, set(names.values())))


def _extra(header: Sequence[str], used: set[str]) -> Iterator[str]:
    for number, name in enumerate(header, start=1):
        if name not in used:
            named = f"column {number} {name[:60]!r}" if name else f"column {number}, which has no name,"
            yield f"{named} is not in the contract and was left out"


def _name(number: int) -> str:
    return f"_t{number}"  # no property begins with _


def field(number: int) -> str:
    return quote(_name(number))
