"""The Workbooks port over python-calamine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from propensity.adapters.sheet_scan import Scan, scan_sheet
from propensity.adapters.xlsx_package import Package, open_package
from propensity.kernel.errors import BadInputError
from propensity.ports import Cell, OddCell, Sheet

_MERGED = OddCell("merged")


class CalamineWorkbooks:
    def sheet(self, path: Path, name: str | None, *, where: str) -> Sheet:
        package = open_package(path, where)
        number = _choose(package, name)
        scan = scan_sheet(package, package.sheets[number].path)
        rows = _rows(path, package.sheets[number].name, scan, where) if scan.last_row else iter(())
        return Sheet(number + 1, len(package.sheets), scan.columns, rows)


def _choose(package: Package, name: str | None) -> int:
    """The place of the sheet to read, from 0."""
    sheets = package.sheets
    if name is None:
        found = [number for number, sheet in enumerate(sheets) if sheet.cells and not sheet.hidden]
        wanted = "a sheet that is not hidden"
    else:
        # Excel takes two names that differ in case alone for one
        found = [n for n, sheet in enumerate(sheets) if sheet.cells and sheet.name.casefold() == name.casefold()]
        wanted = f"the sheet {name!r} of the setting text_format"
    if not found:
        raise BadInputError(
            f"{package.where}: file: {len(sheets)} sheets, expected {wanted} among them; mend the workbook or the "
            "setting"
        )
    return found[0]


def _rows(path: Path, name: str, scan: Scan, where: str) -> Iterator[Sequence[Cell]]:
    """The sheet's rows from row 1 to the last one, as wide as the scan says."""
    try:
        with CalamineWorkbook.from_path(path) as book:
            sheet = book.get_sheet_by_name(name)
    except CalamineError as error:
        raise _unreadable(where) from error
    except BaseException as error:
        # a fault of the reader itself is no Exception of Python
        if type(error).__name__ != "PanicException":
            raise
        raise _unreadable(where) from error
    start, end = sheet.start, sheet.end
    if start is None or end is None:
        start, end = (0, scan.first_column - 1), (-1, scan.first_column - 2)
    left, right = start[1] + 1 - scan.first_column, scan.last_column - 1 - end[1]
    if left < 0 or right < 0 or end[0] >= scan.last_row:
        raise _unreadable(where)
    read: Iterator[Any] = chain(sheet.iter_rows(), repeat([""] * (end[1] - start[1] + 1)))
    odd = scan.odd_cells()
    row, column, cell = next(odd, (0, 0, _MERGED))
    merged = _Merged(scan)
    for number in range(1, scan.last_row + 1):
        # the row that stands for what lies below is one list for all of them, and cells are marked in place
        cells: list[Cell] = list(next(read))
        if left or right:
            cells = [*[""] * left, *cells, *[""] * right]
        merged.mark(number, cells)
        while row == number:
            cells[column - scan.first_column] = cell
            row, column, cell = next(odd, (0, 0, _MERGED))
        yield cells


def _unreadable(where: str) -> BadInputError:
    return BadInputError(
        f"{where}: file: the sheet cannot be read, expected what Excel saves; save it with Excel and send it again"
    )


class _Merged:
    """The merged ranges of a sheet, row by row."""

    def __init__(self, scan: Scan) -> None:
        self._waiting = sorted(scan.merged, reverse=True)
        self._open: list[tuple[int, int, int, int]] = []
        self._first = scan.first_column

    def mark(self, row: int, cells: list[Cell]) -> None:
        """Mark the cells of a row that are merged with another one, where they have nothing of their own."""
        while self._waiting and self._waiting[-1][0] <= row:
            self._open.append(self._waiting.pop())
        if not self._open:
            return
        for top, left, _, right in self._open:
            for column in range(max(left, self._first), right + 1):
                if (row, column) != (top, left) and cells[column - self._first] == "":
                    cells[column - self._first] = _MERGED
        self._open = [one for one in self._open if one[2] > row]
