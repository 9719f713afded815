"""make retail-data FOLDER=…: make the retail demo's two files from the workbooks that UCI serves."""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineWorkbook

from tests.stack.scenarios import RETAIL

FIRST_YEAR, SECOND_YEAR = RETAIL
PAGE = "https://archive.ics.uci.edu/dataset"


class RetailDataError(Exception):
    """A workbook is missing, or is another one. The message says which, where, and where to get it."""


@dataclass(frozen=True, slots=True)
class Workbook:
    """A workbook of UCI: its number there, its usual name, and the columns of its first sheet."""

    number: int
    name: str
    columns: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return f"{self.name} (UCI {self.number}, {PAGE}/{self.number}), as it is or in the zip that UCI serves"


BOTH_YEARS = Workbook(
    502,
    "online_retail_II.xlsx",
    ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"),
)
ONE_YEAR = Workbook(
    352,
    "Online Retail.xlsx",
    ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"),
)
TYPES = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.string(), pa.float64(), pa.int64(), pa.string())


def sheets(folder: Path) -> Iterator[tuple[str, Any]]:
    """(where, first sheet) of each workbook of the folder, also of those inside its zip files."""
    for path in sorted(folder.glob("*.xlsx")):
        yield path.name, CalamineWorkbook.from_path(path).get_sheet_by_index(0)
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".xlsx"):
                    body = io.BytesIO(archive.read(name))
                    yield f"{path.name}: {name}", CalamineWorkbook.from_filelike(body).get_sheet_by_index(0)


def find(folder: Path, books: Sequence[Workbook]) -> dict[int, Any]:
    """The first sheet of each workbook, found by its columns. RetailDataError naming each one that is missing."""
    found: dict[int, Any] = {}
    seen = []
    for where, sheet in sheets(folder):
        header = tuple(str(cell).strip() for cell in next(sheet.iter_rows(), []))
        seen.append(f"{where} with the columns {', '.join(header)}")
        found |= {book.number: sheet for book in books if header == book.columns}
    missing = [book.wanted for book in books if book.number not in found]
    if missing:
        there = "; ".join(seen) or "no workbook"
        raise RetailDataError(f"{folder} lacks {' and '.join(missing)}. It has {there}.")
    return found


def rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a sheet, with the types of TYPES; a number that stands for a text loses its `.0`."""
    cells = sheet.iter_rows()
    next(cells)
    for number, (invoice, stock, description, quantity, at, price, customer, country) in enumerate(cells, start=2):
        if not isinstance(at, datetime):
            raise RetailDataError(f"row {number}: InvoiceDate is {type(at).__name__}, expected a date with a time")
        yield (
            as_text(invoice),
            as_text(stock),
            as_text(description),
            int(quantity),
            # a workbook holds a time as a fraction of a day, which is a little off
            (at + timedelta(milliseconds=500)).strftime("%Y-%m-%d %H:%M:%S"),
            float(price),
            None if customer == "" else int(customer),
            as_text(country),
        )


def as_text(cell: Any) -> str | None:
    if cell == "":
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def write_first_year(sheet: Any, path: Path) -> int:
    """Write the first sheet of UCI 502 under its own column names; how many rows."""
    schema = pa.schema(list(zip(BOTH_YEARS.columns, TYPES, strict=True)))
    columns = list(zip(*rows(sheet), strict=True)) or [()] * len(TYPES)
    table = pa.table([pa.array(values, kind) for values, kind in zip(columns, TYPES, strict=True)], schema=schema)
    pq.write_table(table, path, compression="zstd")
    return int(table.num_rows)


def write_second_year(sheet: Any, path: Path) -> int:
    """Write UCI 352 as one CSV file for each day of InvoiceDate; how many rows."""
    days: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows(sheet):
        days[row[4][:10]].append(row)
    with tarfile.open(path, "w:xz") as archive:
        for day in sorted(days):
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(ONE_YEAR.columns)
            writer.writerows(days[day])
            body = text.getvalue().encode()
            entry = tarfile.TarInfo(f"by-day/{day}.csv")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return sum(map(len, days.values()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make retail-data", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="holds the two workbooks, and gets the two files")
    folder: Path = parser.parse_args().folder
    try:
        found = find(folder, (BOTH_YEARS, ONE_YEAR))
        first = write_first_year(found[BOTH_YEARS.number], folder / FIRST_YEAR)
        second = write_second_year(found[ONE_YEAR.number], folder / SECOND_YEAR)
    except RetailDataError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(f"{folder / FIRST_YEAR}: {first:,} rows\n{folder / SECOND_YEAR}: {second:,} rows")
    print(f"make demo PACK=retail DATA={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
