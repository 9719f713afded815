"""Looks through the XML of one sheet before a reader loads it: its size, and what the reader does not tell.

python-calamine gives an empty text for an error of Excel and for a formula without a saved value (tried with 0.9.1). It
also makes room for every cell between the first and the last one, and copies a shared text into each cell that has it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from propensity.adapters.xlsx_package import Package
from propensity.ingest.domain.budgets import MAX_COLUMNS, MAX_SHEET_CELLS, MAX_SHEET_TEXT, over_budget
from propensity.kernel.errors import BadInputError
from propensity.ports import OddCell

_MAX_ROW, _MAX_COLUMN = 1_048_576, 16_384  # of a sheet of Excel
_MAX_ERRORS = 100  # different errors; Excel has about twenty
_DIGITS = "0123456789"
_FORMULA, _ERRORS = 0, 1  # codes of odd cells; an error's text has the place `code - 1` in the list


@dataclass(slots=True)
class Scan:
    """What a sheet has. Rows and columns count from 1, and `last_row` is 0 for a sheet without a cell.

    `odd` has (row << 24 | column << 8 | code) of each error and each formula without a value, in the sheet's order.
    `merged` has (first row, first column, last row, last column) of each merged range.
    """

    last_row: int = 0
    first_column: int = _MAX_COLUMN
    last_column: int = 0
    odd: array[int] = field(default_factory=lambda: array("Q"))
    errors: list[str] = field(default_factory=list)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)

    @property
    def columns(self) -> int:
        return max(0, self.last_column - self.first_column + 1)

    def odd_cells(self) -> Iterator[tuple[int, int, OddCell]]:
        """(row, column, cell) of each odd cell, by row and column."""
        found = sorted(self.odd) if any(a > b for a, b in zip(self.odd, self.odd[1:], strict=False)) else self.odd
        formula, errors = OddCell("formula"), [OddCell("error", text) for text in self.errors]
        for one in found:
            code = one & 0xFF
            yield one >> 24, one >> 8 & 0xFFFF, formula if code == _FORMULA else errors[code - _ERRORS]


def scan_sheet(package: Package, part: str) -> Scan:
    """Look through a sheet's part. Raises BadInputError for damaged XML, or for a sheet over a budget."""
    lengths = _lengths(package) if package.strings else array("Q")
    scanner = _Scanner(package.where, lengths)
    package.parse(part, scanner.start, scanner.parser)
    scanner.finish()
    return scanner.scan


def _lengths(package: Package) -> array[int]:
    """The number of characters of each shared text, what stands beside it in phonetic script included."""
    lengths = array("Q")
    parser = expat.ParserCreate()

    def start(name: str, _: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "si":
            lengths.append(0)
            if len(lengths) > MAX_SHEET_CELLS:
                raise over_budget(f"{package.where}: file", "cells of a sheet", "more shared texts than that")

    def text(data: str) -> None:
        if lengths:
            lengths[-1] += len(data)

    parser.CharacterDataHandler = text
    parser.buffer_text = True
    package.parse(str(package.strings), start, parser)
    return lengths


class _Scanner:
    """The handler of a sheet's elements. It runs once per element, so it does little for most of them."""

    def __init__(self, where: str, lengths: array[int]) -> None:
        self.where, self.scan, self.parser = where, Scan(), expat.ParserCreate()
        self.parser.buffer_text = True
        self._lengths = lengths
        self._names: dict[str, str] = {}  # by name with its prefix, the name without it
        self._row = self._column = 0
        self._digits = ""
        self._cells = self._texts = self._merged_area = 0
        self._attributes: dict[str, str] = {}
        self._pending = self._formula = self._valued = False
        self._data: list[str] = []
        self._columns: dict[str, int] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        plain = self._names.get(name) or self._name(name)
        if plain == "c":
            if self._pending:
                self._end_cell()
            self._cells += 1
            self._column += 1
            self._attributes = attributes
        elif plain == "v" or plain == "is":
            self._place()
            kind = self._attributes.get("t")
            if self._formula or kind == "s" or kind == "e":
                self._pending = self._valued = True
                self.parser.CharacterDataHandler = self._data.append
        elif plain == "f":
            self._pending = self._formula = True
        elif plain == "row":
            if self._pending:
                self._end_cell()
            self._row = self._number(attributes["r"]) if "r" in attributes else self._row + 1
            self._digits = str(self._row)
            self._column = 0
            self._check()
        elif plain == "mergeCell":
            self._merge(attributes.get("ref", ""))

    def _name(self, name: str) -> str:
        if len(self._names) > 1_000:
            raise self._wrong("has elements that no sheet has")
        self._names[name] = plain = name.rpartition(":")[2] or name
        return plain

    def finish(self) -> None:
        if self._pending:
            self._end_cell()
        self._check()

    def _number(self, digits: str) -> int:
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:8]) <= _MAX_ROW) or len(digits) > 7:
            raise self._wrong("has a row that no sheet has")
        return int(digits)

    def _wrong(self, what: str) -> BadInputError:
        return BadInputError(f"{self.where}: row {self._row}: the sheet {what}; save it with Excel and send it again")

    def _column_of(self, letters: str) -> int:
        column = 0
        for letter in letters.upper():
            column = column * 26 + ord(letter) - 64
        if not (letters.isascii() and letters.isalpha() and len(letters) <= 3 and column <= _MAX_COLUMN):
            raise self._wrong("has a cell that no sheet has")
        self._columns[letters] = column
        return column

    def _at(self, reference: str) -> tuple[int, int]:
        """(row, column) of a reference like B7."""
        letters = reference.rstrip(_DIGITS)
        return self._number(reference[len(letters) :]), self._columns.get(letters) or self._column_of(letters)

    def _place(self) -> None:
        reference = self._attributes.get("r")
        if reference:
            letters = reference.rstrip(_DIGITS)
            self._column = self._columns.get(letters) or self._column_of(letters)
            if reference[len(letters) :] != self._digits:
                raise self._wrong("has a cell in the wrong row")
        scan = self.scan
        if self._row != scan.last_row:
            if self._row < scan.last_row:
                raise self._wrong("has rows that are not in order")
            scan.last_row = self._row
        if self._column > scan.last_column:
            scan.last_column = self._column
            self._check()
        if self._column < scan.first_column:
            scan.first_column = self._column

    def _end_cell(self) -> None:
        """End a cell that has a formula, an error or a shared text."""
        self.parser.CharacterDataHandler = None
        text = "".join(self._data).strip()
        kind, code = self._attributes.get("t", ""), None
        if kind == "e" and self._valued:
            if text not in self.scan.errors:
                if len(self.scan.errors) == _MAX_ERRORS:
                    raise self._wrong("has errors that Excel does not have")
                self.scan.errors.append(text)
            code = _ERRORS + self.scan.errors.index(text)
        elif kind == "s" and text.isascii() and text.isdigit() and int(text[:9]) < len(self._lengths):
            self._texts += self._lengths[int(text[:9])]
            if self._texts > MAX_SHEET_TEXT:
                raise over_budget(f"{self.where}: row {self._row}", "text of a sheet", f"{self._texts:,} characters")
        elif self._formula and not text and kind != "str":
            # the result '' is saved as a value of the kind str
            self._place()
            code = _FORMULA
        if code is not None:
            self.scan.odd.append(self._row << 24 | self._column << 8 | code)
        self._pending = self._formula = self._valued = False
        self._data.clear()

    def _merge(self, reference: str) -> None:
        first, _, last = reference.partition(":")
        if not last:
            return
        top, left = self._at(first)
        bottom, right = self._at(last)
        scan = self.scan
        bottom, right = min(bottom, scan.last_row), min(right, scan.last_column)
        if bottom >= top and right >= left:
            self._merged_area += (bottom - top + 1) * (right - left + 1)
            if self._merged_area > MAX_SHEET_CELLS:
                raise self._wrong("has merged ranges one upon another")
            scan.merged.append((top, left, bottom, right))

    def _check(self) -> None:
        scan = self.scan
        if self._cells > MAX_SHEET_CELLS:
            raise over_budget(f"{self.where}: row {self._row}", "cells of a sheet", f"{self._cells:,} cells or more")
        if scan.columns > MAX_COLUMNS:
            raise over_budget(f"{self.where}: row {self._row}", "columns", f"{scan.columns:,} columns")
        if scan.last_row * scan.columns > MAX_SHEET_CELLS:
            raise over_budget(
                f"{self.where}: row {self._row}",
                "cells of a sheet",
                f"{scan.last_row:,} rows times {scan.columns:,} columns",
            )
