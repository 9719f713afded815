"""Workbooks of Excel (.xlsx) for tests, written part by part, so that a test can have any fault."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
# the formats of cells: none, a date, a date and time, a time, and hours that may pass 24
FORMATS = (0, 14, 22, 21, 46)


@dataclass(frozen=True, slots=True)
class Odd:
    """A cell that is written as it stands: its kind and what is inside it."""

    kind: str
    inside: str


NO_VALUE = Odd("n", "<f>SUM(A1:A2)</f><v></v>")  # what programs write that cannot compute


def error(text: str) -> Odd:
    return Odd("e", f"<f>1/0</f><v>{text}</v>")


def formula(value: float | str) -> Odd:
    return Odd("str" if isinstance(value, str) else "n", f"<f>A1</f><v>{escape(str(value))}</v>")


@dataclass(frozen=True, slots=True)
class Page:
    """A sheet. `rows` stand one below the other, from `first` on; a row may be None."""

    rows: Sequence[Sequence[Any] | None] = ()
    name: str = "Sheet"
    state: str = "visible"
    merged: Sequence[str] = ()
    first: int = 1
    xml: str | None = None


def book(*pages: Page, date1904: bool = False, parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """A workbook of these sheets. `parts` are written over the parts of the same path."""
    strings: dict[str, int] = {}
    epoch = moment(1904, 1, 1) if date1904 else moment(1899, 12, 30)
    sheets = [page.xml if page.xml is not None else sheet_xml(page, strings, epoch) for page in pages]
    listed = "".join(
        f'<sheet name={quoteattr(page.name)} sheetId="{n}" state="{page.state}" r:id="r{n}"/>'
        for n, page in enumerate(pages, start=1)
    )
    related = [related_to(f"r{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(pages) + 1)]
    related += [related_to("s", "sharedStrings", "sharedStrings.xml"), related_to("f", "styles", "styles.xml")]
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in FORMATS)
    shared = "".join(f'<si><t xml:space="preserve">{escape(one)}</t></si>' for one in strings)
    written: dict[str, str | bytes] = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": relationships(related_to("b", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><workbookPr date1904="{int(date1904)}"/>'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relationships(*related),
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs>{styles}</cellXfs></styleSheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{shared}</sst>',
        **{f"xl/worksheets/sheet{n}.xml": sheet for n, sheet in enumerate(sheets, start=1)},
        **(parts or {}),
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, part in written.items():
            archive.writestr(path, part)
    return body.getvalue()


def workbook(*rows: Sequence[Any] | None, **page: Any) -> bytes:
    """A workbook of one sheet."""
    return book(Page(rows, **page))


def moment(*parts: int) -> datetime:
    """A time without a zone, as Excel has them."""
    year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
    return datetime.combine(date(year, month, day), time(hour, minute, second))


def related_to(name: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"/>'


def relationships(*related: str) -> str:
    return f'<Relationships xmlns="{PACKAGE}/relationships">{"".join(related)}</Relationships>'


def sheet_xml(page: Page, strings: dict[str, int], epoch: datetime) -> str:
    lines = []
    for number, row in enumerate(page.rows, start=page.first):
        cells = "".join(cell_xml(f"{letters(n)}{number}", value, strings, epoch) for n, value in enumerate(row or ()))
        lines.append(f'<row r="{number}">{cells}</row>' if row is not None else "")
    merged = "".join(f'<mergeCell ref="{one}"/>' for one in page.merged)
    return worksheet("".join(lines), f"<mergeCells>{merged}</mergeCells>")


def worksheet(rows: str, after: str = "") -> str:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData>{after}</worksheet>'


def letters(column: int) -> str:
    """The letters of a column, from 0: A, …, Z, AA."""
    return (letters(column // 26 - 1) if column > 25 else "") + chr(65 + column % 26)


def cell_xml(place: str, value: Any, strings: dict[str, int], epoch: datetime) -> str:
    match value:
        case None:
            return ""
        case Odd():
            return f'<c r="{place}" t="{value.kind}">{value.inside}</c>'
        case bool():
            return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
        case str():
            return f'<c r="{place}" t="s"><v>{strings.setdefault(value, len(strings))}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{value!r}</v></c>'
        case datetime():
            return f'<c r="{place}" s="2"><v>{(value - epoch) / timedelta(days=1)!r}</v></c>'
        case date():
            return f'<c r="{place}" s="1"><v>{(value - epoch.date()).days}</v></c>'
        case time():
            seconds = value.hour * 3600 + value.minute * 60 + value.second
            return f'<c r="{place}" s="3"><v>{seconds / 86_400!r}</v></c>'
        case timedelta():
            return f'<c r="{place}" s="4"><v>{value / timedelta(days=1)!r}</v></c>'
    raise TypeError(type(value).__name__)
