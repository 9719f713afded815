"""The port for workbooks of Excel: one sheet as rows of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class OddCell:
    """A cell that has no value of its own.

    `error` is an error of Excel, whose `text` is #N/A for example. `formula` is a formula without a saved value.
    `merged` is a cell that is merged with the cell that has the value.
    """

    kind: Literal["error", "formula", "merged"]
    text: str = ""


# a cell without anything is an empty text; a datetime is a date too, and neither has a zone
type Cell = str | bool | int | float | date | time | timedelta | OddCell


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet. `number` is its place among the workbook's `of` sheets, from 1.

    `rows` can be read once. The first row is row 1 of the sheet; each row has `columns` cells, from the first column
    that has something in any row.
    """

    number: int
    of: int
    columns: int
    rows: Iterator[Sequence[Cell]]


class Workbooks(Protocol):
    def sheet(self, path: Path, name: str | None, *, where: str) -> Sheet:
        """The sheet of this name, else the first sheet with cells that is not hidden.

        Raises BadInputError, which begins with `where`, for a file that is no whole workbook in the format .xlsx, for
        one that is over a budget, and where there is no such sheet.
        """
