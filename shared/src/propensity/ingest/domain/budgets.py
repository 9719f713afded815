"""The budgets of one landed file, in one place. A file over a budget is refused whole, and the budget is named.

The figures follow from the function that validates: 4 GB of disk, 300 s, and the memory of a medium function. The disk
holds the landed file, its text, the staged text and the checked rows at one time.
"""

from __future__ import annotations

from collections.abc import Mapping

from propensity.kernel.errors import BadInputError

MAX_COLUMNS = 2_000  # columns of a header or members of JSON objects; a real export has tens
MAX_ROWS = 5_000_000  # rows of Parquet, which 258 KB can hold in any number, or lines that Python has to look at
MAX_PLAIN_ROWS = 20_000_000  # lines of CSV without quotes and odd characters, which the engine splits itself
MAX_CELLS = 200_000_000  # rows times columns; each column costs time and disk in every row, even an empty one
MAX_BYTES = 1_000_000_000  # the landed file, and its text when unzipped
MAX_LINE = 131_072  # bytes of a line, or of a value of Parquet; Python's csv module takes no longer value
MAX_RATIO = 200  # unzipped over zipped size: gzip reaches 1,000 on zeros, real exports measured 5 to 30
FREE_OF_RATIO = 64 * 1024**2  # bytes; a file that unzips to at most this size may have any ratio
MAX_SHEET_CELLS = 10_000_000  # a sheet's last row times its columns; the reader of workbooks holds all of them
MAX_SHEET_TEXT = 500_000_000  # characters; the reader copies a shared text into each cell that has it
MAX_BOOK_BYTES = 600_000_000  # all parts of a workbook, unzipped; 10,000,000 cells measured 450,000,000
MAX_PART_BYTES = 64 * 1024**2  # a part of a workbook other than a sheet, the shared texts and pictures
MAX_MEMORY = 3_000_000_000  # bytes of the function that validates (MediumMemory); the engine spills to disk before
MAX_SECONDS = 200  # of reading and checking; the function has 300 s, and the report must still be written

_SPENT: Mapping[str, tuple[int, str]] = {
    "columns": (MAX_COLUMNS, "leave out the columns that the contract does not name"),
    "rows": (MAX_ROWS, "split the file"),
    "plain rows": (MAX_PLAIN_ROWS, "split the file"),
    "cells": (MAX_CELLS, "split the file, or leave out the columns that the contract does not name"),
    "cells of a sheet": (MAX_SHEET_CELLS, "split the sheet, delete its empty rows and columns, or send CSV"),
    "text of a sheet": (MAX_SHEET_TEXT, "split the sheet, or send CSV"),
    "bytes of a workbook": (MAX_BOOK_BYTES, "leave out the other sheets and pictures, or send CSV"),
    "bytes of a workbook's part": (MAX_PART_BYTES, "copy the sheet into a new workbook, or send CSV"),
    "bytes": (MAX_BYTES, "split the file"),
    "bytes of a value": (MAX_LINE, "shorten the value, or leave out its column if the contract does not name it"),
    "seconds": (MAX_SECONDS, "split the file"),
    "memory": (MAX_MEMORY, "split the file"),
}


def over_budget(where: str, budget: str, found: str, most: float | None = None) -> BadInputError:
    """The error for a file over a budget. `where` is the key and the place, `found` says what the file has.

    `most` is the budget where it is not the one above: a trial has fewer seconds.
    """
    whole, remedy = _SPENT[budget]
    most = whole if most is None else most
    return BadInputError(f"{where}: {found}, the budget of {budget} is {most:,}; {remedy}")


def check_size(where: str, rows: int, columns: int, *, plain: bool = False) -> None:
    """Raises BadInputError for a file of more columns, rows or cells than the budgets allow.

    `plain` says that the engine splits the file's lines itself.
    """
    for budget, found in (("columns", columns), ("plain rows" if plain else "rows", rows), ("cells", rows * columns)):
        if found > _SPENT[budget][0]:
            raise over_budget(where, budget, f"{found:,} {budget} or more")
