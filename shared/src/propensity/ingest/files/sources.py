"""Reads a landed file of any format as a relation of texts, in the file's order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from propensity.ingest.domain.budgets import MAX_BYTES, MAX_LINE, check_size, over_budget
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.domain.normalisation import BLANKS, read_as, trimmed
from propensity.ingest.domain.rules import Rule
from propensity.ingest.files.landed_text import LandedText, survey, unpack
from propensity.ingest.files.staging import BREAK, FIELD, SKIPPED, copy_raw_lines, stage
from propensity.kernel.errors import BadInputError, SqlError
from propensity.kernel.sql_text import quote, text
from propensity.kernel.tenant import TENANT
from propensity.pack.domain.contract import Contract
from propensity.ports import Sql

_ABSENT = "chr(28)"  # this text is read as NULL; no staged or plain file has the byte, so '' stays ''


def _no_raw(bad: str) -> str:
    return f"select _line, null::varchar as raw from ({bad})"


@dataclass(frozen=True, slots=True)
class Source:
    """A file as a relation with one row per line of the file.

    `rows` is a SELECT in the file's order of _error and the texts. The column _error is the rule that the whole line
    breaks, or `skipped` for a line that begins no record, or NULL. With `spans` the SELECT also has _span, the number
    of lines of the record, NULL for one line.
    `names` maps a contract's column to the text column with its values. `first_line` is the line number of the first
    row. `lines` = `records` + `blank` + the lines that continue a record. `only_spaces` says that the file has no blank
    but the space.
    `rules` are rules of this kind of file, besides those of the contract.
    `contract` is the contract with this file's decimal sign and date formats. `assumed` tells what was taken from the
    file itself.
    `raw_here` is SQL over a row of `rows` for the raw line. Where `raw_here` is `null`, `raw` makes a SELECT of _line
    and raw out of a SELECT of _line and _span in line order.
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
    rules: tuple[Rule, ...] = ()
    contract: Contract | None = None
    assumed: tuple[str, ...] = ()
    raw_here: str = "null"
    raw: Callable[[str], str] = _no_raw


def csv_source(sql: Sql, local: Path, landed: Landed, contract: Contract, *, careful: bool = False) -> Source:
    """The source for a CSV file. The engine splits plain text itself; other text is staged for the engine (staging.py).

    `careful` stages plain text too. Raises BadInputError for a file that cannot be read, or whose header does not fit
    the contract.
    """
    key, form = landed.key, contract.text
    unpacked = unpack(local, sql.scratch / "unpacked", form, key=key, gzipped=landed.suffix.endswith(".gz"))
    path = unpacked.path
    columns = tuple(column.name for column in contract.file_columns)
    surveyed = survey(path, form, key=key, columns=columns, fits=lambda header: fits(header, contract))
    where = f"{key}: line {surveyed.header_line or 1}"
    names, warnings = match_columns(surveyed.header, contract, where)
    width = len(surveyed.header)
    if surveyed.plain and not careful:
        read = read_fields(
            path,
            width,
            delimiter=surveyed.delimiter,
            newline=surveyed.newline,
            skip=surveyed.header_line,
            longest=MAX_LINE,
        )
        rows = f"select {_plain_error(width)} as _error, * from {read}"
        lines, blank, continued, only_spaces = surveyed.lines, 0, 0, surveyed.only_spaces
        # a short line is padded with NULLs, which concat_ws leaves out
        raw_here = (
            f"concat_ws({text(surveyed.delimiter)}, {', '.join(field(number) for number in range(1, width + 2))})"
        )
    else:
        staged = stage(surveyed, sql.scratch / "staged", key=key, delimiter=surveyed.delimiter)
        read = read_fields(staged.path, width, delimiter=FIELD)
        rows = _staged_rows(read, width, spans=staged.continued > 0)
        lines, blank, continued, only_spaces = (
            staged.lines,
            staged.blank,
            staged.continued,
            staged.only_spaces and not staged.continued,
        )
        raw_here = "null"
    check_size(f"{key}: file", lines, width, plain=surveyed.plain and not careful)
    if lines - blank - continued == 0:
        raise BadInputError(f"{where}: a header and no rows, expected at least one; send the file again")
    if blank:
        warnings = (*warnings, f"{blank} empty lines were left out")
    positions = {header: field(number) for number, header in enumerate(surveyed.header, start=1)}
    places = {column: surveyed.header.index(header) for column, header in names.items()}
    nulls = {column.name: {"", *column.null_values} for column in contract.file_columns}
    sampled = {
        column: [row[place].strip(BLANKS) for row in surveyed.sample if place < len(row)]
        for column, place in places.items()
    }
    sampled = {column: [v for v in values if v not in nulls.get(column, {""})] for column, values in sampled.items()}
    read_by, assumed = read_as(contract, sampled)
    return Source(
        contract=read_by,
        assumed=(*unpacked.assumed, *surveyed.assumed, *assumed),
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


def read_fields(
    path: Path, width: int, *, delimiter: str, newline: str = "\n", skip: int = 0, longest: int = 10 * MAX_LINE
) -> str:
    """SQL that reads `width` texts and one more text, split at every delimiter and line end."""
    columns = ", ".join(f"{text(_name(number))}: 'VARCHAR'" for number in range(1, width + 2))
    # the option takes line ends as escapes, for example \n
    end = newline.encode("unicode_escape").decode()
    # every option is given, so that the engine guesses nothing from the data
    return (
        f"read_csv({text(str(path))}, header = false, auto_detect = false, columns = {{{columns}}}, "
        f"delim = {text(delimiter)}, quote = '', escape = '', comment = '', new_line = {text(end)}, "
        f"nullstr = {_ABSENT}, null_padding = true, skip = {skip}, max_line_size = {longest})"
    )


def _plain_error(width: int) -> str:
    """SQL of _error. A short line is padded with NULLs, and a long line has a value after the last column.

    A line of blanks is no row. Where a plain file has such a line, the numbers of its rows and lines do not agree, and
    `read_upload` reads the file again, carefully.
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
    # the mark of a record over several lines is the number of its lines
    fields = [field(number) for number in range(1, width + 1)]
    values = ", ".join(f"replace({field}, {text(BREAK)}, chr(10)) as {field}" for field in fields)
    span = f"try_cast({mark} as bigint)"
    return f"select case when {span} is null then {mark} end as _error, {span} as _span, {values} from {read}"


def read_lines(path: Path) -> str:
    """SQL that reads a staged file with one text per line.

    US and the rule that the line breaks, if any, follow the text.
    """
    return read_fields(path, 1, delimiter=FIELD)


def raw_lines(sql: Sql, surveyed: LandedText, bad: str, key: str) -> str:
    """SELECT of _line and raw. `bad` is a SELECT of _line and _span in line order."""
    wanted, found = sql.scratch / "wanted.csv", sql.scratch / "raw.csv"
    # the line numbers go through a file, so that a million bad rows need no million tuples
    sql.execute(f"copy ({bad}) to {text(str(wanted))} (format csv, header false)")
    with wanted.open(encoding="ascii") as lines:
        copy_raw_lines(surveyed, _pairs(lines), found, key=key)
    read = read_fields(found, 1, delimiter=FIELD)
    return f"select {field(1)}::bigint as _line, replace({field(2)}, {text(BREAK)}, chr(10)) as raw from {read}"


def _pairs(lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    for pair in lines:
        line, _, span = pair.rstrip("\n").partition(",")
        yield int(line), int(span or 1)


def parquet_source(sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """The source for a Parquet file. A row's line is its number from 1, and its raw line is the row as JSON.

    Raises BadInputError for a file that is not Parquet, or whose schema does not fit the contract.
    """
    key = landed.key
    options = f"{text(str(local))}, hive_partitioning = false"
    bare, read = f"read_parquet({options})", f"read_parquet({options}, file_row_number = true)"
    try:
        described = sql.rows(f"describe select * from {bare}")
        written = _parquet_names(sql, local)
        [(count,)] = sql.rows(f"select count(*) from {bare}")
    except SqlError:
        # the engine's message names our scratch file and may quote values, so it is not passed on
        raise BadInputError(
            f"{key}: file: not Parquet, or cut short, expected a whole Parquet file; send it again"
        ) from None
    check_size(f"{key}: file", int(count), len(described))
    kinds = {str(row[0]): str(row[1]) for row in described}
    if "file_row_number" in map(str.casefold, kinds):
        raise BadInputError(
            f"{key}: schema: a column is named file_row_number, which the reader itself adds; leave it out"
        )
    # the engine gives the second of two columns of one name another name, and a reader would not see that it is there
    match_columns(written, contract, f"{key}: schema")
    names, warnings = match_columns(tuple(kinds), contract, f"{key}: schema")
    if count == 0:
        raise BadInputError(f"{key}: row 1: a schema and no rows, expected at least one; send the file again")
    for column, name in names.items():
        if any(mark in kinds[name] for mark in ("[", "STRUCT", "MAP", "UNION", "BLOB")):
            raise BadInputError(
                f"{key}: schema: column {column}: {kinds[name].split('(')[0]}, expected one plain value per row; "
                "send text, numbers, dates or booleans"
            )
    _check_texts(sql, bare, kinds, key)
    texts = ", ".join(
        f"{_parquet_text(name, kinds[name])} as {field(number)}" for number, name in enumerate(kinds, start=1)
    )
    positions = {name: field(number) for number, name in enumerate(kinds, start=1)}
    packed = ", ".join(f"{quote(name)} := {quote(name)}" for name in kinds)
    packed = f"to_json(struct_pack({packed}))::varchar"
    # an infinite float would be the text inf, an id that nobody has; a number column refuses the text by its type
    of_text = {column.name for column in contract.file_columns if column.logical_type == "string"}
    infinite = " or ".join(
        f"isinf({quote(name)})" for column, name in names.items() if kinds[name] in _FLOATS and column in of_text
    )
    control = " or ".join(
        f"regexp_matches({quote(name)}, {_CONTROL})" for name in names.values() if kinds[name] == "VARCHAR"
    )
    broken = [f"when {test} then '{rule}'" for rule, test in (("finite", infinite), ("control", control)) if test]
    error = f"case {' '.join(broken)} end" if broken else "null::varchar"
    return Source(
        rows=f"select {error} as _error, {packed} as _json, {texts} from {read}",
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


_FLOATS = ("DOUBLE", "FLOAT")
_SIZES = {"VARCHAR": "strlen", "BLOB": "octet_length"}
# the rule for whole lines of text allows a tab and, in quotes, line ends
_CONTROL = r"'[\x00-\x08\x0B\x0C\x0E-\x1F]'"


def _parquet_names(sql: Sql, local: Path) -> tuple[str, ...]:
    """The names of the columns as the file has them, without the names inside nested columns."""
    names = []
    inside = [1]  # how many children are still to come, at each level; the root stands alone at the first
    for name, children in sql.rows(f"select name, num_children from parquet_schema({text(str(local))})"):
        while not inside[-1]:
            inside.pop()
        inside[-1] -= 1
        if len(inside) == 2:
            names.append(str(name))
        if children:
            inside.append(int(children))
    return tuple(names)


def _check_texts(sql: Sql, bare: str, kinds: Mapping[str, str], key: str) -> None:
    """Raises BadInputError where the texts of a Parquet file are over a budget.

    Parquet keeps a text once for all rows that have it, so 2 KB of a file can be gigabytes of text in its rows. To
    count its bytes takes a fraction of a second.
    """
    sizes = [f"coalesce({_SIZES[kind]}({quote(name)}), 0)::hugeint" for name, kind in kinds.items() if kind in _SIZES]
    if not sizes:
        return
    try:
        [(longest, total)] = sql.rows(f"select max(greatest({', '.join(sizes)})), sum({' + '.join(sizes)}) from {bare}")
    except SqlError:
        raise unreadable_rows(key) from None
    if longest > MAX_LINE:
        raise over_budget(f"{key}: file", "bytes of a value", f"a value of {longest:,} bytes")
    if total > MAX_BYTES:
        raise over_budget(f"{key}: file", "bytes", f"{total:,} bytes of text")


def unreadable_rows(key: str) -> BadInputError:
    """The error for a Parquet file whose pages are damaged. It has no word of the engine's, which may quote a row."""
    return BadInputError(
        f"{key}: file: its schema can be read, its rows cannot, expected a whole Parquet file; send it again"
    )


def _parquet_text(name: str, kind: str) -> str:
    value = quote(name)
    if kind in _FLOATS:
        # a key that is stored as a float would become 1e+16 from 16 digits on
        whole = f"{value} = trunc({value}) and abs({value}) between 1e15 and 9e18"
        # NaN is how numpy, polars and Spark write a missing float
        missing = f"isnan({value})"
        return f"case when {missing} then null when {whole} then {value}::bigint::varchar else {value}::varchar end"
    return f"{value}::varchar"


def fits(header: Sequence[str], contract: Contract) -> bool:
    """Whether a header has every column that a file must bring."""
    given = {name.casefold() for name in header}
    needed = (column for column in contract.file_columns if not column.optional and column.name != TENANT)
    return all(any(name.casefold() in given for name in column.headers) for column in needed)


def match_columns(header: Sequence[str], contract: Contract, where: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The header of each column, and warnings of the columns that are left out because the contract does not name them.

    Raises BadInputError where a column is missing that the contract does not call optional, because an export that lost
    a column must not become NULLs unseen. Raises BadInputError also for headers that repeat a column.
    Upper and lower case are equal. A message names an unknown repeated header by its place, because in a file without a
    header the first line is somebody's data.
    """
    known = {header.casefold(): column.name for column in contract.file_columns for header in column.headers}
    known.setdefault(TENANT, TENANT)
    counts = Counter(name.casefold() for name in header if name)
    for name, count in counts.items():
        if count > 1:
            places = [number for number, other in enumerate(header, start=1) if other.casefold() == name]
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
        lacking = ", ".join("/".join(contract.column(name).headers) for name in missing)
        split = f", split by {contract.text.delimiter!r}" if len(header) == 1 else ""
        raise BadInputError(
            f"{where}: column {lacking} missing, expected "
            f"{', '.join(column.name for column in contract.file_columns if not column.optional)}{split} "
            f"(contract {contract.dataset} {contract.version}); export the file with every column"
        )
    return names, tuple(_extra(header, set(names.values())))


def _extra(header: Sequence[str], used: set[str]) -> Iterator[str]:
    for number, name in enumerate(header, start=1):
        if name not in used:
            # the name is not repeated: where a file has no header, or ids as member names, it is somebody's data
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            named = f"column {number} (sha256 of its name: {mark})" if name else f"column {number}, which has no name,"
            yield f"{named} is not in the contract and was left out"


def _name(number: int) -> str:
    return f"_t{number}"  # no column of a contract begins with _


def field(number: int) -> str:
    return quote(_name(number))
