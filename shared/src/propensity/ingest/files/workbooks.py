"""Reads one sheet of an Excel workbook as a relation of texts, one row per row of the sheet.

Each cell becomes the text that a CSV file would have: dates as ISO 8601, numbers with a decimal point and whole numbers
without one. The texts are staged as quoted CSV is (staging.py). A cell that says nothing sure is staged with RS and a
letter before its text, and a rule of its column then makes the row bad:

e: an error of Excel. f: a formula without a saved value. m: a cell that is merged with another one.
d: a whole number of more than 15 digits in a column of text or whole numbers, of which Excel keeps 15 digits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import batched, chain, islice
from pathlib import Path

from propensity.ingest.domain.budgets import MAX_LINE
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.domain.normalisation import BLANKS, read_as
from propensity.ingest.domain.rules import Rule
from propensity.ingest.files.landed_text import CONTROL
from propensity.ingest.files.sources import Source, fits, match_columns, read_fields
from propensity.ingest.files.sources import field as column_of
from propensity.ingest.files.staging import BREAK, FIELD, SKIPPED
from propensity.kernel.errors import BadInputError
from propensity.kernel.sql_text import text
from propensity.pack.domain.contract import Column, Contract
from propensity.ports import Cell, OddCell, Sheet, Sql, Workbooks

_ODD = "\x1e"  # RS; no cell keeps it, because it is a control character
_RULES = {
    "e": ("cell", "a value, not an error such as #N/A"),
    "f": ("formula", "a formula with its saved value; open the workbook in Excel and save it"),
    "m": ("merged", "a cell of its own, not one that is merged with others"),
    "d": ("digits", "text where a number has more than 15 digits, because Excel keeps 15"),
}
_TITLE_ROWS = 10  # a header is looked for in so many rows that are not empty
_SAMPLED = 1_000
_AT_ONCE = 10_000  # rows between two looks at the clock
# Excel shows no more of a number's digits, and saves zeros for the others
_KEPT_DIGITS = 15
_EXACT = 2**53  # above it not every whole number is a float
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")
_PROBE = date(2026, 3, 1)

type _Row = tuple[int, Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class _Header:
    """The column names and their row, 0 without one. `rows` are the rows after it."""

    names: tuple[str, ...]
    row: int
    rows: Iterator[_Row]
    assumed: tuple[str, ...]


def workbook_source(workbooks: Workbooks, sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """The source for a workbook. A row's line is its row in the sheet.

    Raises BadInputError for a workbook that cannot be read, or whose header does not fit the contract.
    """
    key = landed.key
    sheet = workbooks.sheet(local, contract.text.sheet, where=key)
    header = _find_header(sheet, contract, key)
    names, warnings = match_columns(header.names, contract, f"{key}: row {header.row or 1}")
    places = {column: header.names.index(name) for column, name in names.items()}
    sample = list(islice(header.rows, _SAMPLED))
    read_by, assumed = read_as(contract, _texts_of(sample, places, contract))
    read_by = _with_dates(read_by)
    known = {column.name: column for column in read_by.file_columns}
    columns = {place: known[name] for name, place in places.items() if name in known}
    staged = _Stage(len(header.names), columns)
    path = sql.scratch / "staged"
    staged.write(sql, path, chain(sample, header.rows))
    if staged.records == 0:
        raise BadInputError(
            f"{key}: row {header.row or 1}: a header and no rows, expected at least one; send the file again"
        )
    if staged.blank:
        warnings = (*warnings, f"{staged.blank} empty rows were left out")
    width = len(header.names)
    fields = [column_of(number) for number in range(1, width + 1)]
    values = fields
    if staged.breaks:
        values = [f"replace({one}, {text(BREAK)}, chr(10)) as {one}" for one in fields]
    mark = f"nullif({column_of(width + 1)}, '')"
    return Source(
        rows=f"select {mark} as _error, {', '.join(values)} from {read_fields(path, width, delimiter=FIELD)}",
        names={column: column_of(place + 1) for column, place in places.items()},
        first_line=header.row + 1,
        lines=staged.records + staged.blank,
        records=staged.records,
        blank=staged.blank,
        only_spaces=staged.only_spaces,
        warnings=warnings,
        rules=tuple(staged.rules()),
        contract=read_by,
        assumed=(*header.assumed, *assumed, *staged.told()),
        raw_here=f"regexp_replace(concat_ws(chr(9), {', '.join(fields)}), '{_ODD}.', '', 'g')",
    )


def _find_header(sheet: Sheet, contract: Contract, key: str) -> _Header:
    """Find the header: the first row that fits the contract among the first ten rows with something in them.

    Where none fits, the first of them is the header, or the sheet has none and the settings say so.
    """
    rows = enumerate(sheet.rows, start=1)
    seen: list[_Row] = []
    filled: list[tuple[int, tuple[str, ...]]] = []
    read = f"sheet {sheet.number} of {sheet.of} was read" + (", as the settings say" if contract.text.sheet else "")
    for number, cells in rows:
        seen.append((number, list(cells)))
        names = tuple(_name(cell) for cell in cells)
        if not any(names):
            continue
        filled.append((number, names))
        if fits(names, contract):
            said = [read, f"row {number} is the header"]
            if len(filled) > 1:
                said.append(f"rows {filled[0][0]} to {number - 1} stand before the header and were left out")
            return _Header(names, number, rows, tuple(said))
        if len(filled) == _TITLE_ROWS:
            break
    if not filled:
        raise BadInputError(
            f"{key}: row 1: sheet {sheet.number} of {sheet.of} is empty, expected a header and rows; name the sheet in "
            "the tenant's text_format, or send the file again"
        )
    if not contract.text.header:
        names = tuple(column.name for column in contract.file_columns)
        names = (*names, *[""] * (sheet.columns - len(names)))
        said = [read, "the sheet has no header, as the settings say"]
        return _Header(names, 0, _widened(chain(seen, rows), len(names)), tuple(said))
    number, names = filled[0]
    after = [row for row in seen if row[0] > number]
    return _Header(names, number, chain(after, rows), (read, f"row {number} is the header"))


def _widened(rows: Iterable[_Row], width: int) -> Iterator[_Row]:
    for number, cells in rows:
        yield number, [*cells, *[""] * (width - len(cells))]


def _name(cell: Cell) -> str:
    """The text of a cell of the header."""
    if isinstance(cell, OddCell):
        return cell.text
    return " ".join(_written(cell).strip(BLANKS).split())


def _texts_of(rows: Sequence[_Row], places: dict[str, int], contract: Contract) -> dict[str, list[str]]:
    """By column, the values of rows that are stored as text. Only their form has to be found out."""
    found = {}
    for column in contract.file_columns:
        if column.name in places:
            place, nulls = places[column.name], {"", *column.null_values}
            texts = (cell.strip(BLANKS) for _, cells in rows if isinstance(cell := cells[place], str))
            found[column.name] = [value for value in texts if value not in nulls]
    return found


def _with_dates(contract: Contract) -> Contract:
    """The contract whose columns with formats read the text of a date cell too."""
    columns = [
        replace(column, formats=tuple(dict.fromkeys((*column.formats, *_DATES)))) if column.formats else column
        for column in contract.columns
    ]
    return replace(contract, columns=tuple(columns))


def _written(cell: Cell) -> str:
    """The text of a cell with a value, as a CSV file would have it."""
    match cell:
        case bool():
            return "TRUE" if cell else "FALSE"
        case str():
            return cell
        case int() | float():
            if math.isfinite(cell) and cell == int(cell) and abs(cell) < 9e18:
                return str(int(cell))
            return repr(cell)
        case datetime():
            return cell.isoformat(sep=" ")
        case date() | time():
            return cell.isoformat()
        case timedelta():
            seconds = round(cell.total_seconds())
            sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
            return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    raise TypeError(type(cell).__name__)


def _reads_otherwise(column: Column) -> str | None:
    """The column's format that reads an ISO date as another day (%Y-%d-%m), None without one."""
    for form in column.formats:
        with suppress(ValueError):
            if datetime.strptime(f"{_PROBE} +0000", f"{form} %z").date() != _PROBE:
                return form
    return None


@dataclass(slots=True)
class _Stage:
    """Writes the staged file. `columns` are the contract's columns by their place in the row."""

    width: int
    columns: dict[int, Column]
    records: int = 0
    blank: int = 0
    breaks: bool = False
    only_spaces: bool = True
    odd: Counter[tuple[int, str]] = field(default_factory=Counter)
    numbers: Counter[int] = field(default_factory=Counter)
    dates: Counter[int] = field(default_factory=Counter)

    def write(self, sql: Sql, path: Path, rows: Iterable[_Row]) -> None:
        with path.open("wb") as out:
            for some in batched(rows, _AT_ONCE, strict=False):
                out.write(b"".join([self._line(cells) for _, cells in some]))
                sql.rows("select 1")  # the session says when its time is over

    def rules(self) -> Iterator[Rule]:
        for place, mark in sorted(self.odd):
            name, expected = _RULES[mark]
            broken = f"starts_with({column_of(place + 1)}, {text(_ODD + mark)})"
            yield Rule(self.columns[place].name, name, expected, broken)

    def told(self) -> Iterator[str]:
        for place, column in sorted(self.columns.items()):
            if self.numbers[place]:
                yield (
                    f"column {column.name} holds numbers, not text, in {self.numbers[place]} rows; zeros in front, if "
                    "there were any, are not in the workbook"
                )
            if self.dates[place]:
                yield f"column {column.name} holds dates, not text, in {self.dates[place]} rows; they became ISO 8601"

    def _line(self, cells: Sequence[Cell]) -> bytes:
        """The staged line of a row, with its line end."""
        odd: list[int] = []
        texts = []
        for place, cell in enumerate(cells):
            if type(cell) is str:
                texts.append(cell)
                continue
            one = self._other(place, cell)
            if one.startswith(_ODD):
                odd.append(place)
            texts.append(one)
        line = FIELD.join(texts).encode()
        # a row that has nothing but its part of a merged cell has no value, too
        if not line.translate(None, _EMPTY) and not any(one.strip(BLANKS) and one != f"{_ODD}m" for one in texts):
            self.blank += 1
            return f"{FIELD * self.width}{SKIPPED}\n".encode()
        self.records += 1
        self.only_spaces = self.only_spaces and line.isascii() and b"\t" not in line
        if len(line) - len(line.translate(None, _CAREFUL)) != self.width - 1 + len(odd):
            return self._careful(texts, odd)
        return line + b"\n" if len(line) <= MAX_LINE else self._marked(texts, "length")

    def _careful(self, texts: Sequence[str], odd: Sequence[int]) -> bytes:
        """The staged line of a row with line breaks or control characters inside a cell."""
        self.only_spaces = False
        wrong, clean = False, []
        for place, one in enumerate(texts):
            sign, body = (one[:2], one[2:]) if place in odd else ("", one)
            body = body.replace("\r\n", "\n")
            self.breaks = self.breaks or "\n" in body
            if body.translate(_NO_CONTROL) != body:
                wrong = True
                body = "".join(char if char >= " " or char in "\t\n" else f"\\x{ord(char):02x}" for char in body)
            clean.append(sign + body.replace("\n", BREAK))
        line = FIELD.join(clean).encode()
        if wrong or len(line) > MAX_LINE:
            return self._marked(clean, "control" if wrong else "length")
        return line + b"\n"

    def _marked(self, texts: Sequence[str], rule: str) -> bytes:
        """The staged line of a row that breaks a rule for whole lines: its beginning in the first column."""
        shown = "\t".join(texts)[: MAX_LINE // 4]
        self.breaks = self.breaks or BREAK in shown
        return f"{shown}{FIELD * self.width}{rule}\n".encode()

    def _other(self, place: int, cell: Cell) -> str:
        """The text of a cell that is no text."""
        column = self.columns.get(place)
        if isinstance(cell, OddCell) or (isinstance(cell, float) and not math.isfinite(cell)):
            shown, mark = (cell.text, cell.kind[0]) if isinstance(cell, OddCell) else ("#NUM!", "e")
            if column is None or shown in column.null_values:
                return shown
            self.odd[place, mark] += 1
            return f"{_ODD}{mark}{shown}"
        if column is None:
            return _written(cell)
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return self._number(place, column, cell)
        if isinstance(cell, date):
            if column.logical_type == "string":
                self.dates[place] += 1
            form = _reads_otherwise(column)
            return cell.strftime(form) if form else _written(cell)
        return _written(cell)

    def _number(self, place: int, column: Column, number: float) -> str:
        if column.logical_type == "string":
            self.numbers[place] += 1
        shown = _written(number)
        if column.logical_type in ("string", "integer") and abs(number) >= 10**_KEPT_DIGITS and number == int(number):
            whole = str(abs(int(number)))
            if abs(number) > _EXACT or not whole[_KEPT_DIGITS:].strip("0"):
                self.odd[place, "d"] += 1
                return f"{_ODD}d{shown}"
        return shown.replace(".", ",") if column.decimal == "," else shown


_CAREFUL = CONTROL + b"\n\r"
_EMPTY = _CAREFUL + b"\t m"
_NO_CONTROL = dict.fromkeys(code for code in range(32) if code not in (9, 10))
