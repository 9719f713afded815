"""Faults of workbooks: a bad cell costs its row, a workbook that cannot be read is refused whole, and each says why."""

from __future__ import annotations

import gzip
import io
import struct
import time
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters import sheet_scan, xlsx_package
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.domain import budgets
from propensity.kernel.errors import OvertimeError
from tests.functional.ingest.test_budgets import budgets_of
from tests.functional.ingest.test_text_formats import set_form
from tests.functional.ingest.test_workbooks import NAMES, row
from tests.kit.drops import ORDERS, PACK, Drops, csv_file, good
from tests.kit.workbooks import NO_VALUE, Odd, Page, book, error, relationships, workbook, worksheet

WHOLE = workbook(NAMES, *(row(number) for number in range(200)))
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1_000)
BOMB = worksheet('<row r="1"><c r="A1"><v>1</v></c></row>' + " " * 70_000_000)


def renamed(body: bytes, old: str, new: str) -> bytes:
    """The archive with a part under another name, or without it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as other:
        for name in archive.namelist():
            if name != old or new:
                other.writestr(new if name == old else name, archive.read(name))
    return out.getvalue()


def lying(body: bytes, part: str, size: int) -> bytes:
    """The archive that gives another size for a part: in the part's own head and in the list of parts."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        old = struct.pack("<I", archive.getinfo(part).file_size)
    return body.replace(old, struct.pack("<I", size))


def locked(body: bytes) -> bytes:
    """The archive whose parts claim to be encrypted."""
    at = body.index(b"PK\x01\x02")
    return body[: at + 8] + b"\x01" + body[at + 9 :]


def of_rows(rows: str, **parts: str | bytes) -> bytes:
    return book(Page(xml=worksheet(rows)), parts=parts)


REFUSED = {
    "nothing": (b"", "file: the file is empty, expected an Excel workbook (.xlsx); send it again"),
    "a text": (csv_file(good(1)), "file: the file is no workbook, whatever its name says, expected an Excel workbook"),
    "an old .xls": (OLE, "file: the workbook is of the old format .xls, expected an Excel workbook (.xlsx)"),
    "a password": (OLE + "EncryptedPackage".encode("utf-16-le"), "file: the workbook has a password, expected"),
    "an encrypted archive": (locked(WHOLE), "file: the archive has a password"),
    "a binary workbook": (renamed(WHOLE, "xl/workbook.xml", "xl/workbook.bin"), "of the binary format .xlsb"),
    "an archive of other things": (renamed(WHOLE, "[Content_Types].xml", "a.txt"), "an archive without a workbook"),
    "no workbook part": (renamed(WHOLE, "xl/workbook.xml", ""), "an archive without a workbook"),
    "a part twice": (renamed(WHOLE, "xl/styles.xml", "xl/Workbook.xml"), "the archive has a part twice"),
    "cut short": (WHOLE[:-30], "file: the workbook is damaged or cut short, expected a whole one; send it again"),
    "cut in half": (WHOLE[: len(WHOLE) // 2], "file: the workbook is damaged or cut short"),
    "a flipped byte": (WHOLE[:900] + b"\xff\x00\xff" + WHOLE[903:], "file: the workbook is damaged or cut short"),
    "no sheets": (book(), "file: the file has no sheets"),
    "hidden sheets only": (book(Page([NAMES, row(1)], "S", "hidden")), "1 sheets, expected a sheet that is not hidden"),
    "an empty sheet": (book(Page(), Page([NAMES, row(1)], "2")), "row 1: sheet 1 of 2 is empty, expected a header"),
    "a header only": (workbook(NAMES), "row 1: a header and no rows, expected at least one; send the file again"),
    "a column missing": (workbook(NAMES[1:], row(1)[1:]), "row 1: column order_id missing, expected order_id"),
    "broken XML": (book(Page(xml="<worksheet><sheetData><row")), "damaged or cut short"),
    "an entity": (
        book(Page(xml='<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>')),
        "file: a part declares entities, which no workbook does; save it with Excel",
    ),
    "a sheet in UTF-16": (
        of_rows("", **{"xl/worksheets/sheet1.xml": worksheet('<row r="1"><c r="A1"/></row>').encode("utf-16")}),
        "file: a part is no UTF-8, expected what Excel saves; save it with Excel",
    ),
    "a sheet in another encoding": (
        book(Page(xml='<?xml version="1.0" encoding="iso-8859-1"?>' + worksheet('<row r="1"><c r="A1"/></row>'))),
        "file: a part is no UTF-8, expected what Excel saves; save it with Excel",
    ),
    "a text that is not there": (of_rows('<row r="1"><c r="A1" t="s"><v>7</v></c></row>'), "the sheet cannot be read"),
    "a cell of no sheet": (of_rows('<row r="1"><c r="ZZZZ1"><v>1</v></c></row>'), "row 1: the sheet has a cell that"),
    "a row of no sheet": (of_rows('<row r="9999999"><c><v>1</v></c></row>'), "the sheet has a row that no sheet has"),
    "a cell in another row": (of_rows('<row r="1"><c r="A2"><v>1</v></c></row>'), "has a cell in the wrong row"),
    "rows in disorder": (
        of_rows('<row r="2"><c r="A2"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>'),
        "row 1: the sheet has rows that are not in order; save it with Excel and send it again",
    ),
    "an error that Excel does not have": (workbook(NAMES, row(1, note=error("#OH!"))), "the sheet cannot be read"),
    "a bomb": (
        of_rows("", **{"xl/worksheets/sheet1.xml": BOMB}),
        "more than 67,108,864 bytes, more than 200",
    ),
    "a bomb that calls itself small": (
        lying(of_rows("", **{"xl/worksheets/sheet1.xml": BOMB[:1_000_000]}), "xl/worksheets/sheet1.xml", 1_000),
        "damaged or cut short",
    ),
    "a range of merged cells upon another": (
        book(Page([["a"] * 1000] * 1000, merged=["A1:ALL1000"] * 11)),
        "the sheet has merged ranges one upon another",
    ),
    "cells far apart": (
        of_rows('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="Z1048576"><v>1</v></c></row>'),
        "row 1048576: 1,048,576 rows times 26 columns, the budget of cells of a sheet is 10,000,000; split the sheet, "
        "delete its empty rows and columns, or send CSV",
    ),
    "columns far apart": (of_rows('<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>1</v></c></row>'), "16,384 columns"),
    "external sheets": (
        of_rows("", **{"xl/_rels/workbook.xml.rels": relationships()}),
        "1 sheets, expected a sheet that is not hidden",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_workbook_that_cannot_be_read_is_refused_whole_and_kept_with_the_reason(what: str) -> None:
    body, why = REFUSED[what]
    drops = Drops()

    report = drops.drop(body, "a.xlsx")

    assert (report["status"], report["rows_in"], report["bronze_key"]) == ("rejected", 0, None)
    assert report["why"].startswith("orders/tenant_id=t1/a.xlsx: ")
    assert why in report["why"]
    assert drops.lake.get(report["quarantine_key"]) == body
    assert report["quarantine_key"].endswith("/file.xlsx")
    assert drops.announce("orders/tenant_id=t1/a.xlsx") == report


BAD = {
    "an error of Excel": (row(2, amount=error("#N/A")), ("amount", "cell")),
    "a reference to nothing": (row(2, order_id=error("#REF!")), ("order_id", "cell")),
    "a formula without a saved value": (row(2, customer=NO_VALUE), ("customer", "formula")),
    "a number that is none": (row(2, amount=Odd("n", "<v>NaN</v>")), ("amount", "cell")),
    "a control character": (row(2, note="a_x0001_b"), (None, "control")),
    "a lone carriage return": (row(2, note="a_x000D_b"), (None, "control")),
    "a mark of the reader's own": (row(2, note="_x001E_em"), (None, "control")),
    "more text than a line may have": (row(2, note="é" * 32_000, customer="ü" * 40_000), (None, "length")),
    "a number for a time": (row(2, ordered_at=46_082), ("ordered_at", "type")),
    "text for a number": (row(2, pieces="two"), ("pieces", "type")),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_cell_costs_its_row_alone_and_the_reason_names_column_and_row(what: str) -> None:
    bad, reason = BAD[what]
    drops = Drops()

    report = drops.drop(workbook(NAMES, row(1), bad, None, row(3)), "a.xlsx")

    assert drops.bronze(report, "order_id, note, _line") == [("A1", "thanks", 2), ("A3", "thanks", 5)]
    [(line, raw, reasons)] = drops.quarantine(report)
    assert line == 3
    assert reason in reasons
    assert not {char for char in raw if char < " "} - {"\t", "\n"}
    assert report["rows_in"] == report["bronze"] + report["quarantine"] == 3


def test_a_refused_row_shows_the_cells_as_excel_does() -> None:
    drops = Drops()
    report = drops.drop(workbook(NAMES, row(1, amount=error("#N/A"), note="a\nb")), "a.xlsx")
    [(_, raw, _)] = drops.quarantine(report)
    assert raw == "A1\t17850\ta\nb\t2026-03-01 10:00:00\t2\t#N/A\tweb"


def test_an_error_is_no_value_where_the_contract_lists_it_so_and_harmless_beside_the_contract() -> None:
    null = "logicalType: number, customProperties: [{property: nullValues, value: ['#N/A']}], "
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": ORDERS.replace("logicalType: number, ", null)})
    report = drops.drop(workbook([*NAMES, "own"], [*row(1, amount=error("#N/A")), error("#REF!")]), "a.xlsx")
    assert drops.bronze(report, "amount") == [(None,)]


def test_cells_that_are_merged_with_others_are_no_values_of_their_rows() -> None:
    drops = Drops()
    rows = [row(1, customer="C7"), row(2, customer=None), row(3, customer=None), row(4)]

    report = drops.drop(workbook(NAMES, *rows, merged=["B2:B4"]), "a.xlsx")

    assert drops.bronze(report, "order_id, customer") == [("A1", "C7"), ("A4", "17850")]
    assert [(line, reasons) for line, _, reasons in drops.quarantine(report)] == [
        (3, [("customer", "merged")]),
        (4, [("customer", "merged")]),
    ]


def test_a_row_that_is_merged_into_the_row_above_it_is_no_row() -> None:
    drops = Drops()
    merged = [f"{letter}2:{letter}3" for letter in "ABCDEFG"]
    report = drops.drop(workbook(NAMES, row(1), [None] * 7, row(2), merged=merged), "a.xlsx")
    assert drops.bronze(report, "order_id, _line") == [("A1", 2), ("A2", 4)]
    assert report["blank_lines"] == 1


def test_formulas_without_values_in_a_column_of_their_own_are_told_row_by_row() -> None:
    """Programs that write formulas and compute none leave the last columns and rows empty for the reader."""
    drops = Drops()
    report = drops.drop(workbook(NAMES, row(1), row(2, channel=NO_VALUE), [NO_VALUE] * 7), "a.xlsx")
    assert drops.bronze(report, "order_id") == [("A1",)]
    assert [(line, ("channel", "formula") in reasons) for line, _, reasons in drops.quarantine(report)] == [
        (3, True),
        (4, True),
    ]


@pytest.mark.parametrize(
    ("budget", "most", "body", "where"),
    [
        ("cells of a sheet", 20, workbook(NAMES, row(1), row(2)), "row 3: "),
        ("columns", 6, workbook(NAMES, row(1)), "row 1: "),
    ],
)
def test_a_sheet_over_a_budget_is_refused_before_the_reader_loads_it(
    monkeypatch: pytest.MonkeyPatch, budget: str, most: int, body: bytes, where: str
) -> None:
    monkeypatch.setattr("propensity.adapters.calamine_workbooks.CalamineWorkbook", None)
    monkeypatch.setattr(sheet_scan, "MAX_SHEET_CELLS" if "cells" in budget else "MAX_COLUMNS", most)
    budgets_of(monkeypatch, **{budget: most})

    report = Drops().drop(body, "a.xlsx")

    assert where in report["why"]
    assert f"the budget of {budget} is {most}" in report["why"]


def test_a_workbook_that_takes_too_long_is_refused_while_its_rows_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(DuckDbSql):
        def rows(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            assert not (self.scratch / "checked.parquet").exists()
            raise OvertimeError("too long")

    drops = Drops()
    monkeypatch.setattr(drops, "sql", Slow)
    assert "the budget of seconds is 200" in drops.drop(WHOLE, "a.xlsx")["why"]


def test_a_text_that_many_cells_share_counts_once_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    body = workbook(NAMES, *(row(n, note="x" * 150) for n in range(9)))
    monkeypatch.setattr(sheet_scan, "MAX_SHEET_TEXT", 1_600)
    assert Drops().drop(body, "a.xlsx")["bronze"] == 9
    monkeypatch.setattr(sheet_scan, "MAX_SHEET_TEXT", 1_400)
    assert "characters, the budget of text of a sheet is 500,000,000" in Drops().drop(body, "a.xlsx")["why"]


def test_the_parts_of_a_workbook_have_budgets_for_what_they_unzip_to(monkeypatch: pytest.MonkeyPatch) -> None:
    body = book(Page([NAMES, row(1)]), parts={"xl/theme.xml": bytes(range(250)) * 12})
    monkeypatch.setattr(xlsx_package, "MAX_PART_BYTES", 3_000)
    assert Drops().drop(body, "a.xlsx")["bronze"] == 1
    monkeypatch.setattr(xlsx_package, "MAX_PART_BYTES", 2_999)
    assert (
        "a part unzips to 3,000 bytes, the budget of bytes of a workbook's part" in Drops().drop(body, "a.xlsx")["why"]
    )
    monkeypatch.setattr(xlsx_package, "MAX_BOOK_BYTES", 3_000)
    assert "bytes or more, the budget of bytes of a workbook is 600,000,000" in Drops().drop(body, "a.xlsx")["why"]


def test_an_archive_of_a_hundred_thousand_parts_is_refused_before_they_are_listed() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(60_000):
            archive.writestr(f"{number:0300}", b"")
    began = time.process_time()
    report = Drops().drop(out.getvalue(), "a.xlsx")
    assert "the archive has more parts than a workbook" in report["why"]
    assert time.process_time() - began < 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_damaged_byte_of_the_archive_ends_in_a_report_with_all_rows_or_none(at: int, flipped: int) -> None:
    report = Drops().drop(WHOLE[:at] + bytes([WHOLE[at] ^ flipped]) + WHOLE[at + 1 :], "a.xlsx")
    assert report["status"] == "rejected" or report["rows_in"] == report["bronze"] + report["quarantine"] == 200


TOKENS = [b"<v>", b"</c>", b"'", b"&#0;", b"-1", b"9" * 20]
PARTS = {
    name: zipfile.ZipFile(io.BytesIO(WHOLE)).read(name)
    for name in ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml")
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PARTS)), st.data())
def test_whatever_stands_in_the_parts_the_end_is_a_report(name: str, data: st.DataObject) -> None:
    part = PARTS[name]
    at = data.draw(st.integers(0, len(part) - 1))
    new = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(TOKENS)))
    changed = part[:at] + new + part[at + data.draw(st.integers(0, 9)) :]

    report = Drops().drop(book(Page([NAMES]), parts={**PARTS, name: changed}), "a.xlsx")

    assert report["rows_in"] == report["bronze"] + report["quarantine"]
    assert report["status"] == "accepted" or report["why"]


def test_a_fault_of_the_reader_itself_ends_in_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panic(path: object) -> None:
        raise PanicException("somebody's value")

    monkeypatch.setattr("propensity.adapters.calamine_workbooks.CalamineWorkbook.from_path", panic)
    report = Drops().drop(WHOLE, "a.xlsx")
    assert report["why"].endswith(
        "file: the sheet cannot be read, expected what Excel saves; save it with Excel and send it again"
    )


def test_a_workbook_in_gzip_is_an_unknown_kind_of_file() -> None:
    assert "unknown kind of file" in Drops().drop(gzip.compress(WHOLE), "a.xlsx.gz")["why"]


def test_the_setting_of_an_encoding_does_not_touch_a_workbook() -> None:
    drops: Any = Drops()
    set_form(drops, encoding="windows-1252", delimiter=";")
    report = drops.drop(workbook(NAMES, row(1, note="Größe")), "a.xlsx")
    assert drops.bronze(report, "note") == [("Größe",)]


def test_the_budgets_of_a_workbook_fit_the_memory_of_the_function() -> None:
    # measured with 10,000,000 cells: 75 bytes a cell, and one byte or more per character of a copied text
    assert budgets.MAX_SHEET_CELLS * 75 + budgets.MAX_SHEET_TEXT + budgets.MAX_BOOK_BYTES < budgets.MAX_MEMORY
