"""Bank Marketing (UCI 222) as a telephone centre would have dropped it: each month its list, and later the outcomes.

The file is in the order of the calls. It names month and weekday, and no year. The next year begins where a month is
earlier in the year than the one before it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

ARCHIVE = "bank-additional.zip"
MEMBER = "bank-additional/bank-additional-full.csv"
FIRST_YEAR = 2008
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# what is known when the call has ended; `month` stands in listed_on
AFTER = ("duration", "y")

Call = dict[str, str]


def calls(data: Path) -> list[Call]:
    """The file's rows, in its order."""
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(MEMBER).decode("utf-8"))))


def by_month(rows: Sequence[Call]) -> Iterator[tuple[date, list[Call]]]:
    """Each month's first day and its rows, oldest first. ValueError for a name that is no month."""
    year, before = FIRST_YEAR, 0
    for name, group in groupby(rows, key=lambda row: row["month"]):
        number = 1 + MONTHS.index(name)
        year += number < before
        before = number
        yield date(year, number, 1), list(group)


def write(rows: Sequence[Call], folder: Path) -> list[tuple[date, Path, Path]]:
    """For each month its first day, a file of leads and a file of outcomes. A lead's number is that of its row."""
    folder.mkdir(parents=True, exist_ok=True)
    made, number = [], 0
    for month, group in by_month(rows):
        numbered = [(f"L{number + place:06d}", call) for place, call in enumerate(group, start=1)]
        number += len(group)
        kept = [name for name in group[0] if name not in (*AFTER, "month")]
        leads, outcomes = folder / f"leads-{month:%Y-%m}.csv", folder / f"outcomes-{month:%Y-%m}.csv"
        _write(
            leads,
            ("lead_id", "listed_on", "position", *kept),
            (
                (lead, month, place, *(call[name] for name in kept))
                for place, (lead, call) in enumerate(numbered, start=1)
            ),
        )
        closed_on = month.replace(day=monthrange(month.year, month.month)[1])
        _write(
            outcomes,
            ("lead_id", "closed_on", *AFTER),
            ((lead, closed_on, *(call[name] for name in AFTER)) for lead, call in numbered),
        )
        made.append((month, leads, outcomes))
    return made


def _write(path: Path, header: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
