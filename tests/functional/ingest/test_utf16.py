"""Text in UTF-16: taken where a byte order mark or the tenant's record says so, told, and never half read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from propensity.ingest.files import landed_text
from tests.functional.ingest.test_text_formats import european, set_form
from tests.kit.drops import HEADER, Drops, csv_file, good

MARKS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
ROWS = [good(number).replace("thanks", "Größe ☂ 𝄞") for number in range(3)]


def unicode_text(order: str, body: bytes) -> bytes:
    """What Excel saves as "Unicode text" for `utf-16-le`: a mark, then two bytes per letter."""
    return MARKS[order] + body.decode().encode(order)


@pytest.mark.parametrize("order", MARKS)
def test_a_byte_order_mark_makes_utf16_certain_and_is_told(order: str) -> None:
    drops = Drops()
    body = unicode_text(order, csv_file(*ROWS))

    report = drops.drop(body)

    assert drops.bronze(report, "order_id, note, _line") == [(f"A{n}", "Größe ☂ 𝄞", n + 2) for n in range(3)]
    assert report["assumed"] == [f"the text is {order}, as its byte order mark says"]
    zipped = drops.drop(gzip.compress(body), "a.csv.gz")
    assert drops.bronze(zipped, "order_id, note, _line") == drops.bronze(report, "order_id, note, _line")


def test_excel_s_unicode_text_is_read_with_its_tabs_and_line_ends() -> None:
    body = european(("2026-03-01", "9,50"), delimiter="\t").replace(b"thanks", b'"a\tb"').replace(b"\n", b"\r\n")
    drops = Drops()

    report = drops.drop(unicode_text("utf-16-le", body))

    assert drops.bronze(report, "note, amount, _line") == [("a\tb", 9.5, 2)]
    assert report["assumed"][:2] == [
        "the text is utf-16-le, as its byte order mark says",
        "values are split by '\\t', as the header shows",
    ]


@pytest.mark.parametrize("order", MARKS)
def test_utf16_without_a_mark_is_read_where_the_tenant_s_record_says_so(order: str) -> None:
    drops = Drops()
    set_form(drops, encoding=order)

    report = drops.drop(csv_file(*ROWS).decode().encode(order))

    assert drops.bronze(report, "order_id, note") == [(f"A{n}", "Größe ☂ 𝄞") for n in range(3)]
    assert report["assumed"] == []


def test_a_mark_overrules_the_tenant_s_record() -> None:
    drops = Drops()
    set_form(drops, encoding="windows-1252")
    bodies = {"utf-16-le": unicode_text("utf-16-le", csv_file(*ROWS)), "utf-8": b"\xef\xbb\xbf" + csv_file(*ROWS)}
    for encoding, body in bodies.items():
        report = drops.drop(body, f"{encoding}.csv")
        assert [note for (note,) in drops.bronze(report, "note")] == ["Größe ☂ 𝄞"] * 3
        assert report["assumed"] == [f"the text is {encoding}, as its byte order mark says"]


def test_half_a_character_inside_costs_its_own_row_alone() -> None:
    whole = unicode_text("utf-16-le", csv_file(*ROWS))
    half = whole.replace("𝄞".encode("utf-16-le"), "𝄞".encode("utf-16-le")[:2], 1)
    drops = Drops()

    report = drops.drop(half)

    assert drops.bronze(report, "order_id, _line") == [("A1", 3), ("A2", 4)]
    [(line, _, reasons)] = drops.quarantine(report)
    assert (line, reasons) == (2, [(None, "encoding")])


def test_json_lines_in_utf16_are_read_by_their_mark_and_told() -> None:
    names, values = HEADER.split(","), good(1).split(",")
    line = "{" + ", ".join(f'"{name}": "{value}"' for name, value in zip(names, values, strict=True)) + "}\n"
    drops = Drops()

    report = drops.drop(unicode_text("utf-16-le", line.encode()), "a.jsonl")

    assert drops.bronze(report, "order_id, amount") == [("A1", 9.5)]
    assert report["assumed"] == ["the text is utf-16-le, as its byte order mark says"]
    unmarked = drops.drop(line.encode("utf-16-le"), "b.jsonl")
    assert unmarked["why"].endswith("without a byte order mark, expected UTF-8; export it as UTF-8")


def test_a_character_may_lie_across_two_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = unicode_text("utf-16-le", csv_file(*ROWS))
    for block in range(59, 67):
        monkeypatch.setattr(landed_text, "BLOCK", block)
        (tmp_path / "a").write_bytes(body)
        unpacked = landed_text.unpack(tmp_path / "a", tmp_path / "b", None, key="a.csv", gzipped=False)
        assert unpacked.path.read_bytes() == landed_text.BOM + csv_file(*ROWS)


def test_text_that_grows_over_the_budget_as_utf8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter of two bytes in UTF-16 may have three in UTF-8."""
    body = unicode_text("utf-16-le", csv_file(good(1).replace("thanks", "漢" * 200)))
    size = len(body.decode("utf-16-le").encode())
    assert size > len(body)
    monkeypatch.setattr(landed_text, "MAX_BYTES", size)
    assert Drops().drop(body)["bronze"] == 1
    monkeypatch.setattr(landed_text, "MAX_BYTES", size - 1)
    assert "the budget of bytes" in Drops().drop(body)["why"]
