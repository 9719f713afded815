"""The form of a CSV file: taken from the file where it is certain and told, set by the tenant's record where not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from propensity.ingest.domain.file_report import parse_report
from propensity.ingest.validate_upload import validate_upload
from propensity.kernel.errors import BadInputError, ContractError
from propensity.lake.json_objects import dumps
from propensity.pack.domain.contract_parser import parse_contract
from propensity.tenants.domain.record import check_settings
from propensity.tenants.record_lines import append_record_line
from tests.functional.portal.test_report_landings import DAY, GOOD, files
from tests.kit.drops import HEADER, ORDERS, Drops, csv_file, good
from tests.kit.faults import Fuse
from tests.kit.replays import Ports, put_at_four

ROW = "A{n};17850;thanks;{day};2;{amount};web"


def european(*values: tuple[str, str], delimiter: str = ";") -> bytes:
    lines = [ROW.format(n=n, day=day, amount=amount) for n, (day, amount) in enumerate(values)]
    return csv_file(*lines, header=HEADER.replace(",", ";")).replace(b";", delimiter.encode())


def set_form(drops: Drops, tenant: str = "t1", **form: Any) -> None:
    body = {"state": "active", "why": "its system writes so", "settings": {"text_format": {"orders": form}}}
    before = (datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=1)).isoformat()
    append_record_line(drops.lake, tenant, body, ["orders"], by="arn:anna", at=before)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_taken_from_the_header_and_told(delimiter: str) -> None:
    drops = Drops()

    report = drops.drop(european(("2026-03-01", "9.5"), delimiter=delimiter))

    assert report["assumed"] == [f"values are split by {delimiter!r}, as the header shows"]
    assert drops.bronze(report, "order_id, amount, _line") == [("A0", 9.5, 2)]


def test_quoted_values_are_read_by_the_delimiter_of_the_header() -> None:
    drops = Drops()
    report = drops.drop(european(("2026-03-01", "9.5")).replace(b"thanks", b'"a;b"'))
    assert drops.bronze(report, "note") == [("a;b",)]


def test_a_bad_row_is_kept_as_it_was_written() -> None:
    drops = Drops()
    report = drops.drop(european(("2026-03-01", "9.5"), ("yesterday", "9.5")))
    assert [raw for _, raw, _ in drops.quarantine(report)] == ["A1;17850;thanks;yesterday;2;9.5;web"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["9,5", "1.234,50", "-1,25", "7", "1,234"], [9.5, 1234.5, None, 7.0, 1.234]),
        (["9,5", "1.234"], [None, 1.234]),  # both signs: points are meant, as everywhere
        (["1,234", "2,345"], [None, None]),  # thousands or decimals: nobody knows
        (["9.5"], [9.5]),
    ],
)
def test_decimal_commas_are_read_where_no_other_reading_is_possible(
    written: list[str], read: list[float | None]
) -> None:
    drops = Drops()

    report = drops.drop(european(*(("2026-03-01", value) for value in written)))

    found = dict(drops.bronze(report, "order_id, amount"))
    assert [found.get(f"A{n}") for n in range(len(written))] == read
    assert report["rows_in"] == report["bronze"] + report["quarantine"]


def test_a_decimal_point_in_a_file_of_commas_is_never_read_as_another_number() -> None:
    rows = [("2026-03-01", "9,5")] * 1_100 + [("2026-03-01", "1.234")]
    drops = Drops()
    report = drops.drop(european(*rows))
    assert (report["bronze"], report["quarantine"]) == (1_100, 1)
    assert report["reasons"][0]["message"] == "amount: expected a number with a decimal comma"


@pytest.mark.parametrize(
    ("written", "form", "read"),
    [
        (["01.03.2026", "31.12.2025"], "%d.%m.%Y", ["2026-03-01", "2025-12-31"]),
        (["01.03.2026 10:30"], "%d.%m.%Y %H:%M", ["2026-03-01"]),
        (["01/03/2026", "31/12/2025"], "%d/%m/%Y", ["2026-03-01", "2025-12-31"]),
        (["03/01/2026", "12/31/2025"], "%m/%d/%Y", ["2026-03-01", "2025-12-31"]),
        (["20260301"], "%Y%m%d", ["2026-03-01"]),
        (["01.03.2026", "2026-03-01"], None, [None, "2026-03-01"]),
    ],
)
def test_dates_are_read_where_every_one_of_the_first_rows_has_one_form(
    written: list[str], form: str | None, read: list[str | None]
) -> None:
    drops = Drops()

    report = drops.drop(european(*((day, "9.5") for day in written)))

    found = dict(drops.bronze(report, "order_id, ordered_at::date::varchar"))
    assert [found.get(f"A{n}") for n in range(len(written))] == read
    told = [said for said in report["assumed"] if "dates" in said]
    assert told == ([f"column ordered_at has dates as {form}, as the first rows show"] if form else [])


def test_dates_of_two_readings_are_bad_rows_until_the_tenant_s_record_says_the_form() -> None:
    body = european(("01/03/2026", "9.5"), ("02/03/2026", "9.5"))
    drops = Drops()
    unsure = drops.drop(body)
    assert unsure["quarantine"] == 2
    assert (
        "column ordered_at may have dates as %d/%m/%Y or %m/%d/%Y; set date_formats for the tenant" in unsure["assumed"]
    )

    set_form(drops, date_formats=["dd/MM/yyyy"])
    report = drops.drop_at(body, "orders/tenant_id=t1/b.csv")

    assert drops.bronze(report, "ordered_at::date::varchar") == [("2026-03-01",), ("2026-03-02",)]


def test_a_tenant_s_record_sets_delimiter_decimal_sign_and_encoding_for_that_tenant_alone() -> None:
    body = european(("2026-03-01", "1,234")).replace(b"thanks", "Größe".encode("latin-1"))
    drops = Drops()
    set_form(drops, delimiter=";", decimal=",", encoding="windows-1252")

    own = drops.drop(body)
    other = drops.drop(body, tenant="t2")

    assert drops.bronze(own, "note, amount") == [("Größe", 1.234)]
    assert other["quarantine"] == 1


def test_a_file_without_a_header_is_read_only_where_the_record_says_so() -> None:
    body = csv_file(good(2), header=good(1))
    drops = Drops()
    assert drops.drop(body)["status"] == "rejected"
    set_form(drops, header=False)

    for mark in (b"", b"\xef\xbb\xbf"):
        report = drops.drop_at(mark + body, f"orders/tenant_id=t1/{len(mark)}.csv")
        assert drops.bronze(report, "order_id, _line") == [("A1", 1), ("A2", 2)]
        assert report["assumed"] == ["the file has no header, as the settings say"]
    quoted = drops.drop_at(body.replace(b"thanks", b'"a,b"'), "orders/tenant_id=t1/q.csv")
    assert drops.bronze(quoted, "order_id, note, _line") == [("A1", "a,b", 1), ("A2", "a,b", 2)]
    with_one = drops.drop_at(csv_file(good(1)), "orders/tenant_id=t1/h.csv")
    assert drops.bronze(with_one, "order_id, _line") == [("A1", 2)]


@pytest.mark.parametrize(
    ("body", "line", "told"),
    [
        (b"sep=,\n" + csv_file(good(1)), 3, ["line 1 says that values are split by ','"]),
        (b'"sep=;"\r\n' + european(("2026-03-01", "9.5")), 3, ["line 1 says that values are split by ';'"]),
        (b"\xef\xbb\xbfsep=\t\n" + european(("2026-03-01", "9.5"), delimiter="\t"), 3, None),
        (
            b"Sales report 2026-03\n\n" + csv_file(good(1)),
            4,
            ["lines 1 to 2 stand before the header and were left out"],
        ),
        (b"Report;;;;;;\nof;March;;;;;\n" + european(("2026-03-01", "9.5")), 4, None),
        (b"\xef\xbb\xbf" * 2 + csv_file(good(1)), 2, []),
    ],
)
def test_lines_before_the_header_are_left_out_and_told(body: bytes, line: int, told: list[str] | None) -> None:
    drops = Drops()
    report = drops.drop(body)
    assert drops.bronze(report, "amount, _line") == [(9.5, line)]
    if told is not None:
        assert report["assumed"] == told


def test_the_tenant_s_landings_say_what_was_assumed() -> None:
    ports: Any = Ports(Fuse())
    validate_upload(ports, put_at_four(ports, DAY, "orders/tenant_id=t1/a.csv", (GOOD,), "sep=,\nid,day,pieces"))
    assert files(ports)["a.csv"]["assumed"] == ["line 1 says that values are split by ','"]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"orders": {"delimiter": "^"}}, "delimiter is '^', expected one of ',' ';'"),
        ({"orders": {"decimal": "x"}}, "decimal is 'x', expected '.' or ','"),
        ({"orders": {"header": "no"}}, "header is 'no', expected true or false"),
        ({"orders": {"encoding": "ebcdic"}}, "encoding is 'ebcdic', expected one of utf-8"),
        ({"orders": {"date_formats": ["QQQ"]}}, "date_formats: 'QQQ'"),
        ({"orders": {"colour": 1}}, "expected some of encoding, delimiter"),
        ({"bills": {}}, "text_format: expected an object with some of orders"),
        (";", "text_format: expected an object with some of orders"),
    ],
)
def test_a_setting_that_is_no_text_form_is_refused_with_the_field(form: Any, why: str) -> None:
    with pytest.raises(BadInputError) as caught:
        check_settings({"text_format": form}, ["orders"])
    assert why in str(caught.value)


def test_a_contract_may_set_the_form_too() -> None:
    text = ORDERS.replace(
        "      - {property: kind, value: event}",
        "      - {property: kind, value: event}\n      - {property: text, value: {decimal: ',', header: false}}",
    )
    form = parse_contract(text, where="c").text
    assert (form.decimal, form.header, form.delimiter) == (",", False, ",")
    with pytest.raises(ContractError, match="decimal is 'x'"):
        parse_contract(text.replace("decimal: ','", "decimal: x"), where="c")


def test_a_report_from_before_text_forms_is_still_read() -> None:
    report = Drops().drop(csv_file(good(1)))
    del report["assumed"]
    assert parse_report(dumps(report)).status == "accepted"
