"""Workbooks of Excel: the rows of one sheet become the rows that a CSV file of the same table becomes."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import BadInputError
from propensity.tenants.domain.record import check_settings
from tests.functional.ingest.test_text_formats import set_form
from tests.functional.portal.test_report_landings import DAY, files
from tests.kit.drops import HEADER, PACK, Drops, column, contract, csv_file
from tests.kit.faults import Fuse
from tests.kit.replays import Ports, put_at_four
from tests.kit.workbooks import Page, book, error, formula, moment, workbook

NAMES = HEADER.split(",")
MOMENT = moment(2026, 3, 1, 10)
VALUES = "order_id, customer, note, ordered_at::varchar, pieces, amount, channel, _line"


def row(number: int, **other: Any) -> list[Any]:
    values = {
        "order_id": f"A{number}",
        "customer": "17850",
        "note": "thanks",
        "ordered_at": MOMENT,
        "pieces": 2,
        "amount": 9.5,
        "channel": "web",
    }
    return list({**values, **other}.values())


def test_the_first_sheet_becomes_rows_with_the_sheet_s_own_row_numbers_and_the_report_says_so() -> None:
    drops = Drops()

    report = drops.drop(workbook(NAMES, row(1), None, row(2)), "a.xlsx")

    assert drops.bronze(report, VALUES) == [
        ("A1", "17850", "thanks", "2026-03-01 10:00:00+00", 2, 9.5, "web", 2),
        ("A2", "17850", "thanks", "2026-03-01 10:00:00+00", 2, 9.5, "web", 4),
    ]
    assert (report["rows_in"], report["blank_lines"], report["quarantine"]) == (2, 1, 0)
    assert report["assumed"] == ["sheet 1 of 1 was read", "row 1 is the header"]
    assert report["warnings"] == ["1 empty rows were left out"]


def test_the_tenant_s_landings_say_which_sheet_and_which_row_was_taken() -> None:
    ports: Any = Ports(Fuse())
    upload = put_at_four(ports, DAY, "orders/tenant_id=t1/a.xlsx", ())
    ports.store.put(upload.key, workbook(["Orders"], ["id", "day", "pieces"], ["A1", date(2026, 3, 1), 2]))
    validate_upload(ports, newest(ports, upload.key))
    assert files(ports)["a.xlsx"]["assumed"] == [
        "sheet 1 of 1 was read",
        "row 2 is the header",
        "rows 1 to 1 stand before the header and were left out",
    ]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters='"'), max_size=8)
ROWS = st.lists(
    st.tuples(
        TEXT,
        st.datetimes(moment(1990, 1, 1), moment(2100, 1, 1)).map(lambda when: when.replace(microsecond=0)),
        st.one_of(st.integers(-5, 120), st.just("many"), st.none()),
        st.one_of(st.floats(-1e6, 1e12), st.integers(-5, 10**12), st.none()),
        st.sampled_from(["web", "shop", "fair", None]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans())
def test_a_workbook_and_a_csv_file_of_one_table_have_equal_rows_in_bronze_and_quarantine(
    table: list[tuple[Any, ...]], date1904: bool
) -> None:
    rows = [[f"A{n}", "C1", *values] for n, values in enumerate(table)]
    lines = [",".join("" if value is None else f'"{value}"' for value in values) for values in rows]
    drops = Drops()

    book_of = drops.drop(book(Page([NAMES, *rows]), date1904=date1904), "a.xlsx")
    text_of = drops.drop(csv_file(*lines), "a.csv")

    assert drops.bronze(book_of, VALUES) == drops.bronze(text_of, VALUES)
    told = [[(line, reasons) for line, _, reasons in drops.quarantine(report)] for report in (book_of, text_of)]
    assert told[0] == told[1]
    assert book_of["rows_in"] == book_of["bronze"] + book_of["quarantine"] == len(rows)


KINDS = {
    "pack.yaml": PACK,
    "contracts/orders.yaml": contract(
        "orders",
        "event",
        column("id", primaryKey=True),
        column("text"),
        column("yes", "boolean"),
        column("n", "number"),
        column("i", "integer"),
    ),
}


def first(*cells: Any, **page: Any) -> tuple[Any, ...]:
    """(text, yes, n, i, day) of the first row in Bronze."""
    drops = Drops(KINDS)
    body = book(Page([["id", "text", "yes", "n", "i", "day"], ["k", *cells]]), **page)
    report = drops.drop(body, "a.xlsx")
    [found] = drops.bronze(report, "text, yes, n, i, day::varchar")
    return found


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        ((" a ", True, 0.1 + 0.2, 7, date(2026, 3, 1)), ("a", True, 0.1 + 0.2, 7, "2026-03-01")),
        ((17850, False, 1e300, 7.0, "2026-03-01"), ("17850", False, 1e300, 7, "2026-03-01")),
        ((9.25, "yes", 10**16, -3, moment(2026, 3, 1)), ("9.25", True, 1e16, -3, "2026-03-01")),
        ((date(2026, 3, 1), None, None, None, date(1990, 1, 1)), ("2026-03-01", None, None, None, "1990-01-01")),
        ((time(10, 30), None, -0.0, 0, date(2026, 3, 1)), ("10:30:00", None, 0.0, 0, "2026-03-01")),
        ((timedelta(hours=49, minutes=30), None, 1, 1, date(2026, 3, 1)), ("49:30:00", None, 1.0, 1, "2026-03-01")),
        ((True, formula(1), formula(2.5), formula("4"), formula("2026-03-01")), ("TRUE", True, 2.5, 4, "2026-03-01")),
        (("a\nb\tc", None, None, None, date(2026, 3, 1)), ("a\nb\tc", None, None, None, "2026-03-01")),
        ((1234567890123456, None, None, None, date(2026, 3, 1)), ("1234567890123456", None, None, None, "2026-03-01")),
    ],
)
def test_each_kind_of_cell_becomes_the_text_that_a_csv_file_would_have(
    cells: tuple[Any, ...], read: tuple[Any, ...]
) -> None:
    assert first(*cells) == read


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    assert first("a", None, None, None, date(2026, 3, 1), date1904=True)[-1] == "2026-03-01"


def test_a_date_cell_is_read_whatever_form_the_contract_has_for_text() -> None:
    for form in ("dd.MM.yyyy", "dd.MM.yy", "yyyy-dd-MM"):
        seen = column("seen", "date", customProperties=[{"property": "formats", "value": [form]}])
        made = contract("orders", "event", column("id", primaryKey=True), seen)
        drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": made})
        report = drops.drop(workbook(["id", "seen", "day"], ["k", date(2026, 3, 2), date(2026, 3, 1)]), "a.xlsx")
        assert drops.bronze(report, "seen::varchar") == [("2026-03-02",)]


def test_a_tenant_s_decimal_comma_holds_for_text_and_not_for_numbers() -> None:
    drops = Drops()
    set_form(drops, decimal=",", date_formats=["dd.MM.yyyy"])
    report = drops.drop(
        workbook(NAMES, row(1, amount="1.234,50", ordered_at="02.03.2026"), row(2, amount=0.25)), "a.xlsx"
    )
    assert drops.bronze(report, "amount, ordered_at::date::varchar") == [(1234.5, "2026-03-02"), (0.25, "2026-03-01")]


def test_the_form_of_text_is_found_by_the_cells_that_are_text() -> None:
    drops = Drops()
    report = drops.drop(workbook(NAMES, row(1, amount="9,5", ordered_at="31.12.2025"), row(2, amount=0.25)), "a.xlsx")
    assert drops.bronze(report, "amount, ordered_at::date::varchar") == [(9.5, "2025-12-31"), (0.25, "2026-03-01")]
    assert report["assumed"][2:] == [
        "numbers have a decimal comma, as the first rows show",
        "column ordered_at has dates as %d.%m.%Y, as the first rows show",
    ]


def test_rows_above_the_header_and_columns_beside_the_table_are_left_out_and_told() -> None:
    drops = Drops()
    body = workbook(
        ["Orders of March"], None, [None, "dealer", 7], NAMES, [*row(1), None, "a note"], merged=["A1:G1"], first=3
    )

    report = drops.drop(body, "a.xlsx")

    assert drops.bronze(report, "order_id, _line") == [("A1", 7)]
    assert report["assumed"][1:] == ["row 6 is the header", "rows 3 to 5 stand before the header and were left out"]
    assert [said.rpartition(" is not")[0] for said in report["warnings"]] == [
        "column 8, which has no name,",
        "column 9, which has no name,",
    ]


def test_a_table_may_begin_in_any_column() -> None:
    drops = Drops()
    report = drops.drop(workbook([None, None, *NAMES], [None, None, *row(1)]), "a.xlsx")
    assert drops.bronze(report, "order_id, channel, _line") == [("A1", "web", 2)]


def test_a_sheet_without_a_header_is_read_where_the_settings_say_so() -> None:
    drops = Drops()
    set_form(drops, header=False)
    report = drops.drop(workbook(row(1), row(2)[:6]), "a.xlsx")
    assert drops.bronze(report, "order_id, channel, _line") == [("A1", "web", 1), ("A2", None, 2)]
    assert report["assumed"] == ["sheet 1 of 1 was read", "the sheet has no header, as the settings say"]


def test_hidden_sheets_are_passed_over_and_the_named_sheet_is_read_whatever_it_is() -> None:
    pages = [
        Page([NAMES, row(1)], "Old", "hidden"),
        Page([NAMES, row(2)], "March"),
        Page([NAMES, row(3)], "April", "veryHidden"),
    ]
    drops = Drops()
    shown = drops.drop(book(*pages), "a.xlsx")
    assert (drops.bronze(shown, "order_id"), shown["assumed"][0]) == ([("A2",)], "sheet 2 of 3 was read")

    set_form(drops, sheet="april")
    named = drops.drop(book(*pages), "b.xlsx")

    assert drops.bronze(named, "order_id") == [("A3",)]
    assert named["assumed"][0] == "sheet 3 of 3 was read, as the settings say"
    gone = drops.drop(book(*pages[:2]), "c.xlsx")
    assert gone["why"].endswith(
        "file: 2 sheets, expected the sheet 'april' of the setting text_format among them; mend the workbook or the "
        "setting"
    )


@pytest.mark.parametrize("name", ["", "x" * 32, "a@b.example", 7, "a\nb"])
def test_a_setting_that_names_no_sheet_is_refused(name: Any) -> None:
    with pytest.raises(BadInputError, match=r"sheet is .*, expected a name of at most 31 characters"):
        check_settings({"text_format": {"orders": {"sheet": name}}}, ["orders"])


def test_what_excel_has_lost_is_said_and_not_made_up() -> None:
    """Excel keeps 15 digits of a number, and no zeros in front of one."""
    drops = Drops()
    body = workbook(
        NAMES,
        row(1, customer="0017"),
        row(2, customer=17),
        row(3, customer=1234567890123450),
        row(4, customer=12345678901234567890),
        row(5, customer=1234567890123456, note=date(2026, 3, 1)),
    )

    report = drops.drop(body, "a.xlsx")

    assert drops.bronze(report, "customer, _line") == [("0017", 2), ("17", 3), ("1234567890123456", 6)]
    assert [(line, reasons) for line, _, reasons in drops.quarantine(report)] == [
        (4, [("customer", "digits")]),
        (5, [("customer", "digits")]),
    ]
    assert "1234567890123450" in drops.quarantine(report)[0][1]
    assert report["assumed"][2:] == [
        "column customer holds numbers, not text, in 4 rows; zeros in front, if there were any, are not in the "
        "workbook",
        "column note holds dates, not text, in 1 rows; they became ISO 8601",
    ]


def test_a_later_contract_heals_rows_of_a_workbook_and_keeps_their_row_numbers() -> None:
    ports: Any = Ports(Fuse())
    upload = put_at_four(ports, DAY, "orders/tenant_id=t1/a.xlsx", ())
    rows = [["A1", date(2026, 3, 1), 2], None, ["A2", date(2026, 3, 1), 6], ["A3", date(2026, 3, 1), error("#N/A")]]
    ports.store.put(upload.key, workbook(["id", "day", "pieces"], *rows))
    report = validate_upload(ports, newest(ports, upload.key))
    assert (report["bronze"], report["quarantine"]) == (1, 2)

    ports.deploy("1.10.0")
    replayed = replay_quarantine(ports, dataset="orders")

    assert (replayed["healed"], replayed["quarantine"]) == (1, 1)
    [healed] = [key for key in ports.objects.keys("bronze/") if ".after" in key]
    with ports.sql() as sql:
        ports.objects.download(healed, sql.scratch / "healed")
        assert sql.rows(f"select id, _line from read_parquet('{sql.scratch}/healed')") == [("A2", 4)]


def newest(ports: Any, key: str) -> Upload:
    info = ports.store.head(key)
    return Upload("landing", key, info.version_id, info.etag)
