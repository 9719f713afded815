"""make retail-data, on small workbooks of the same form as those that UCI serves."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow.parquet as pq
import pytest

from tests.kit.world import World
from tests.stack import retail_data, scenarios

EPOCH = datetime.fromisoformat("1899-12-30")
NAMES = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
AT = datetime.fromisoformat("2010-01-04 09:26")
LATER = datetime.fromisoformat("2010-12-01 08:26")


def workbook(path: Path, *sheets: Sequence[tuple[object, ...]]) -> Path:
    """Write an .xlsx by hand: texts inline, and dates as numbers of days with the style of a date."""

    def cell(value: object) -> str:
        match value:
            case None:
                return "<c/>"
            case datetime():
                return f'<c s="1"><v>{(value - EPOCH).total_seconds() / 86_400!r}</v></c>'
            case str():
                return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    numbers = range(1, len(sheets) + 1)
    listed = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    linked = "".join(
        f'<Relationship Id="r{n}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    style = f'<Relationship Id="s" Type="{RELATIONS}/styles" Target="styles.xml"/>'
    book = f'<Relationship Id="b" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types"/>')
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{book}</Relationships>')
        archive.writestr(
            "xl/workbook.xml", f'<workbook {NAMES} xmlns:r="{RELATIONS}"><sheets>{listed}</sheets></workbook>'
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{linked}{style}</Relationships>',
        )
        formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs>'
        archive.writestr("xl/styles.xml", f"<styleSheet {NAMES}>{formats}</styleSheet>")
        for number, rows in zip(numbers, sheets, strict=True):
            body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            sheet = f"<worksheet {NAMES}><sheetData>{body}</sheetData></worksheet>"
            archive.writestr(f"xl/worksheets/sheet{number}.xml", sheet)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """UCI 502 as a workbook, and UCI 352 in its zip."""
    first = [
        retail_data.BOTH_YEARS.columns,
        (489434, 85048, '15CM "GLASS" BALL, 20 LIGHTS', 12, AT, 6.95, 13085, "United Kingdom"),
        ("C489449", "22087", None, -12, AT, 2.95, 16321, "Australia"),
        ("A506401", "B", "Adjust bad debt", 1, AT, -53594.36, None, "United Kingdom"),
    ]
    second = [
        retail_data.ONE_YEAR.columns,
        (536365, "85123A", "WHITE HOLDER", 6, LATER, 2.55, 17850, "United Kingdom"),
        (536365, "85123A", "WHITE HOLDER", 6, LATER, 2.55, 17850, "United Kingdom"),
        (536366, 22633, 20713, 6, LATER.replace(day=2), 1.85, None, "EIRE"),
    ]
    workbook(tmp_path / "online_retail_II.xlsx", first, second)
    made = workbook(tmp_path / "made.xlsx", second)
    with zipfile.ZipFile(tmp_path / "online+retail.zip", "w") as archive:
        archive.write(made, "Online Retail.xlsx")
    made.unlink()
    return tmp_path


def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["make retail-data", "--folder", str(folder)])
    return retail_data.main()


def test_both_files_are_made_with_every_row_and_the_loop_takes_them(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert make(folder, monkeypatch) == 0
    assert "year_2009_2010.parquet: 3 rows" in capsys.readouterr().out
    assert pq.read_table(folder / retail_data.FIRST_YEAR).to_pylist()[0] == {
        "Invoice": "489434",
        "StockCode": "85048",
        "Description": '15CM "GLASS" BALL, 20 LIGHTS',
        "Quantity": 12,
        "InvoiceDate": "2010-01-04 09:26:00",
        "Price": 6.95,
        "Customer ID": 13085,
        "Country": "United Kingdom",
    }
    with tarfile.open(folder / retail_data.SECOND_YEAR) as archive:
        assert archive.getnames() == ["by-day/2010-12-01.csv", "by-day/2010-12-02.csv"]
    scenario = scenarios.retail(folder, tmp_path_factory.mktemp("work"))
    world = World("retail", tmp_path_factory.mktemp("lake"))
    reports = world.load(scenario.history)
    assert [(report["bronze"], report["quarantine"]) for report in reports] == [(3, 0), (2, 0), (1, 0)]
    found = world.query(
        "select invoice, stock_code, description, customer_id, occurrence from s order by all", s="silver/invoice_lines"
    )
    assert found == [
        ("489434", "85048", '15CM "GLASS" BALL, 20 LIGHTS', "13085", 1),
        ("536365", "85123A", "WHITE HOLDER", "17850", 1),
        ("536365", "85123A", "WHITE HOLDER", "17850", 2),
        ("536366", "22633", "20713", None, 1),
        ("A506401", "B", "Adjust bad debt", None, 1),
        ("C489449", "22087", None, "16321", 1),
    ]


def test_a_missing_workbook_is_named_with_where_to_get_it_and_what_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "online+retail.zip").unlink()
    assert make(folder, monkeypatch) == 1
    said = capsys.readouterr().err
    assert f"{folder} lacks Online Retail.xlsx (UCI 352, https://archive.ics.uci.edu/dataset/352)" in said
    assert "It has online_retail_II.xlsx with the columns Invoice, StockCode, " in said
    (folder / "online_retail_II.xlsx").unlink()
    assert make(folder, monkeypatch) == 1
    said = capsys.readouterr().err
    assert "lacks online_retail_II.xlsx (UCI 502" in said
    assert "It has no workbook" in said


@pytest.mark.parametrize("there", [[], [retail_data.FIRST_YEAR], [retail_data.SECOND_YEAR]])
def test_a_demo_names_each_file_that_its_folder_lacks(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(SystemExit) as refused:
        scenarios.make("retail", tmp_path, tmp_path / "work")
    said = str(refused.value)
    assert f"DATA={tmp_path} lacks" in said
    assert f"make retail-data FOLDER={tmp_path}" in said
    for name in (retail_data.FIRST_YEAR, retail_data.SECOND_YEAR):
        assert (name in said) == (name not in there)


def test_a_demo_without_a_folder_says_that_it_needs_one(tmp_path: Path) -> None:
    for pack in ("retail", "leads"):
        with pytest.raises(SystemExit, match=f"PACK={pack} needs DATA=<folder>"):
            scenarios.make(pack, None, tmp_path)
    with pytest.raises(SystemExit, match=f"DATA={tmp_path} lacks bank-additional.zip"):
        scenarios.make("leads", tmp_path, tmp_path)
