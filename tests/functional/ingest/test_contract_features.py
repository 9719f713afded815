"""What a contract can ask besides a value's form: severities, rules of a row and of a file, computed columns."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.quality import Reference
from tests.kit.drops import HEADER, ORDERS, PACK, Drops, csv_file, good


def changed(*replacements: tuple[str, str]) -> Drops:
    text = ORDERS
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return Drops({"pack.yaml": PACK, "contracts/orders.yaml": text})


def with_severity(column: str, **rules: str) -> tuple[str, str]:
    custom = f"customProperties: [{{property: severity, value: {rules}}}]".replace("'", "")
    return f"{{name: {column},", f"{{name: {column}, {custom},"


def with_quality(*rules: str) -> tuple[str, str]:
    return "    properties:\n", f"    quality: [{', '.join(rules)}]\n    properties:\n"


def test_a_rule_that_warns_keeps_its_rows_and_tells_their_lines() -> None:
    drops = changed(with_severity("pieces", maximum="warn"))
    report = drops.drop(csv_file(good(1), "A2,1,ok,2026-03-01,200,9,web", "A3,1,ok,2026-03-01,200,-9,web"))
    assert (report["bronze"], report["quarantine"]) == (2, 1)
    assert drops.bronze(report, "order_id, pieces") == [("A1", 2), ("A2", 200)]
    assert report["warnings"] == ["lines 3, 4: pieces: expected at most 99"]
    [(line, _, reasons)] = drops.quarantine(report)
    assert (line, reasons) == (4, [("pieces", "maximum"), ("amount", "exclusive_minimum")])


def test_no_name_of_a_column_is_taken_by_what_counts_its_broken_rules() -> None:
    for name in ("bit", "bits", "broken", "position"):
        drops = changed(with_severity("pieces", maximum="warn"), ("name: pieces", f"name: {name}"))
        rows = "A2,1,ok,2026-03-01,200,9,web", "A3,1,ok,2026-03-01,1,-9,web"
        report = drops.drop(csv_file(*rows, header=HEADER.replace("pieces", name)))
        assert report["warnings"] == [f"lines 2: {name}: expected at most 99"]
        assert [(one["column"], one["rule"], one["rows"]) for one in report["reasons"]] == [
            ("amount", "exclusive_minimum", 1)
        ]


def test_a_value_of_the_wrong_type_that_only_warns_is_no_value() -> None:
    drops = changed(with_severity("amount", type="warn"))
    report = drops.drop(csv_file("A1,1,ok,2026-03-01,2,much,web"))
    assert drops.bronze(report, "amount") == [(None,)]
    assert report["warnings"] == ["lines 2: amount: expected a number with a decimal point and no thousands separator"]


def test_a_rule_may_refuse_the_whole_file() -> None:
    refused = "      - name: channel\n"
    refused += "        customProperties: [{property: severity, value: {allowed_values: reject_file}}]\n"
    drops = changed(("      - name: channel\n", refused))
    lines = [f"A{number},1,ok,2026-03-01,2,9,fax" for number in range(7)]
    report = drops.drop(csv_file(good(9), *lines))
    assert report["status"] == "rejected"
    assert "lines 3, 4, 5, 6, 7 and 2 more: channel: expected one of web, shop" in report["why"]
    assert list(drops.lake.keys("bronze/")) == []


def test_a_repeat_that_only_warns_stays() -> None:
    drops = changed(with_severity("order_id", unique="warn"))
    report = drops.drop(csv_file(good(1), good(1)))
    assert (report["bronze"], report["quarantine"]) == (2, 0)
    assert report["warnings"] == ["lines 3: order_id: expected a value that no other row of the file has"]


def test_a_rule_over_several_columns_finds_its_rows() -> None:
    rule = (
        "{type: custom, engine: duckdb, name: gift_is_free, description: 'a gift costs nothing', "
        "implementation: \"note = 'gift' and amount > 1\"}"
    )
    drops = changed(with_quality(rule))
    report = drops.drop(csv_file(good(1), "A2,1,gift,2026-03-01,2,9,web", "A3,1,gift,2026-03-01,2,,web"))
    assert drops.quarantine(report) == [(3, "A2,1,gift,2026-03-01,2,9,web", [(None, "gift_is_free")])]
    assert report["bronze"] == 2
    assert report["reasons"][0]["message"] == "expected a gift costs nothing"


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{metric: rowCount, mustBeGreaterOrEqualTo: 3}", "rows: expected at least 3, got 2"),
        ("{type: library, metric: rowCount, mustBeBetween: [3, 9]}", "rows: expected at least 3 and at most 9, got 2"),
        ("{metric: rowCount, mustBe: 2}", None),
    ],
)
@pytest.mark.parametrize("severity", ["warn", "reject_file"])
def test_a_file_is_held_to_its_number_of_rows(rule: str, told: str | None, severity: str) -> None:
    drops = changed(with_quality(rule[:-1] + f", severity: {severity}}}"))
    report = drops.drop(csv_file(good(1), good(2)))
    if told is None:
        assert (report["status"], report["warnings"]) == ("accepted", [])
    elif severity == "warn":
        assert (report["status"], report["warnings"]) == ("accepted", [told])
    else:
        assert report["status"] == "rejected"
        assert told in report["why"]


def test_a_column_is_held_to_its_share_of_empty_values() -> None:
    rule = "quality: [{metric: nullValues, unit: percent, mustBeLessOrEqualTo: 20, severity: reject_file}]"
    drops = changed(("{name: note,", f"{{name: note, {rule},"))
    half = drops.drop(csv_file(good(1), "A2,1,,2026-03-01,2,9,web"))
    assert "note: percent without a value: expected at most 20, got 50" in half["why"]
    assert drops.drop(csv_file(*(good(number) for number in range(4)), "A9,1,,2026-03-01,2,9,web"))["bronze"] == 5


def test_an_old_file_is_warned_of() -> None:
    sla = "slaProperties: [{property: freshness, value: 2, unit: d, element: orders.ordered_at}]\nschema:"
    drops = changed(("schema:", sla))
    # the landing zone's clock stands on 2026-01-01
    fresh = drops.drop(csv_file("A1,1,ok,2025-12-31,2,9,web"))
    assert fresh["warnings"] == []
    [told] = drops.drop(csv_file("A1,1,ok,2025-12-01,2,9,web"))["warnings"]
    assert told.startswith("ordered_at: days from the newest to the file's arrival: expected at most 2, got 31")


def test_a_computed_column_is_brought_by_no_file_and_held_to_its_rules() -> None:
    column = (
        "      - {name: price, logicalType: number, transformLogic: amount / pieces, "
        "logicalTypeOptions: {maximum: 5}}\n      - {name: note,"
    )
    drops = changed(("      - {name: note,", column))
    report = drops.drop(csv_file(good(1), "A2,1,ok,2026-03-01,1,9,web"))
    assert drops.bronze(report, "order_id, price") == [("A1", 4.75)]
    assert drops.quarantine(report) == [(3, "A2,1,ok,2026-03-01,1,9,web", [("price", "maximum")])]


def test_an_event_time_of_two_columns_is_computed_as_the_docs_say() -> None:
    """docs/start/first-pack.md: times that stand in two columns."""
    joined = "{name: moment, logicalType: timestamp, required: true, transformLogic: ordered_at + to_hours(pieces)}"
    drops = changed(("value: ordered_at", "value: moment"), ("- {name: note,", f"- {joined}\n      - {{name: note,"))
    report = drops.drop(csv_file("A1,1,ok,2026-03-01,5,9,web"))
    assert report["quarantine"] == 0, report
    assert drops.bronze(report, "strftime(timezone('UTC', moment), '%Y-%m-%d %H:%M')") == [("2026-03-01 05:00",)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0151 2345678", "+491512345678"),
        ("+44 20 7946 0958", "+442079460958"),
        ("0044 20 7946 0958", "+442079460958"),
        ("(0151) 234-5678", "+491512345678"),
        ("ask at the desk", "ask at the desk"),
        ("12", "12"),
    ],
)
def test_a_telephone_number_is_kept_as_e164(given: str, kept: str) -> None:
    custom = "customProperties: [{property: normalise, value: [phone]}, {property: callingCode, value: '49'}]"
    drops = changed(("{name: note,", f"{{name: note, {custom},"))
    report = drops.drop(csv_file(f"A1,1,{given},2026-03-01,2,9,web"))
    assert drops.bronze(report, "note") == [(kept,)]


@pytest.mark.parametrize(
    ("vin", "right"),
    [
        ("1M8GDM9AXKP042788", True),
        ("11111111111111111", True),
        ("5GZCZ43D13S812715", True),
        ("1M8GDM9A1KP042788", False),
        ("WAUZZZ8K100051678", False),
        ("1M8GDM9AXKP04278", False),
    ],
)
def test_a_vehicle_number_is_held_to_its_check_digit(vin: str, right: bool) -> None:
    drops = changed(("logicalTypeOptions: {maxLength: 200}", "logicalTypeOptions: {format: vin}"))
    report = drops.drop(csv_file(f"A1,1,{vin},2026-03-01,2,9,web"))
    assert report["bronze"] == int(right)


@pytest.mark.parametrize(
    ("email", "right"),
    [
        ("a.b+c@example.co.uk", True),
        ("o'neil@x-y.org", True),
        ("a@b", False),
        ("a@b..de", False),
        ("a b@example.org", False),
        ("a@-b.org", False),
        ("a@b@c.org", False),
        ("@example.org", False),
        (f"{'a' * 250}@b.org", False),
    ],
)
def test_an_address_is_one(email: str, right: bool) -> None:
    drops = changed(("logicalTypeOptions: {maxLength: 200}", "logicalTypeOptions: {format: email}"))
    report = drops.drop(csv_file(f"A1,1,{email},2026-03-01,2,9,web"))
    assert report["bronze"] == int(right)
    assert [rule for _, _, reasons in drops.quarantine(report) for _, rule in reasons] == ["email"] * (not right)


def test_a_reference_names_the_other_dataset() -> None:
    text = ORDERS.replace("{name: customer,", "{name: customer, relationships: [{to: customers.customer_id}],", 1)
    assert parse_contract(text, where="x").references == (Reference("customer", "customers", "customer_id"),)


LINE = '{"order_id": "A%d", "customer": "17850.0", "ordered_at": "2026-03-01 10:00:00", "pieces": %s, "note": null}'
OPTIONAL = [
    ("{name: amount,", "{name: amount, customProperties: [{property: optional, value: true}],"),
    (
        "      - name: channel\n",
        "      - name: channel\n        customProperties: [{property: optional, value: true}]\n",
    ),
]


def json_drop(*lines: str) -> tuple[Drops, dict[str, Any]]:
    drops = changed(*OPTIONAL)
    return drops, drops.drop("".join(f"{line}\n" for line in lines).encode(), "a.jsonl")


def test_json_lines_are_rows_with_lines() -> None:
    drops, report = json_drop(
        LINE % (1, 2), "", LINE % (2, '"3"'), "{broken", "[1]", LINE % (3, 500), LINE % (4, '{"a": 1}'), "\x01{}"
    )
    assert (report["rows_in"], report["bronze"], report["quarantine"], report["blank_lines"]) == (7, 2, 5, 1)
    assert drops.bronze(report, "_line, order_id, customer, note, pieces") == [
        (1, "A1", "17850", None, 2),
        (3, "A2", "17850", None, 3),
    ]
    assert [(line, reasons) for line, _, reasons in drops.quarantine(report)] == [
        (4, [(None, "json")]),
        (5, [(None, "json")]),
        (6, [("pieces", "maximum")]),
        (7, [("pieces", "type")]),
        (8, [(None, "control")]),
    ]
    assert [raw for _, raw, _ in drops.quarantine(report)][:2] == ["{broken", "[1]"]


def test_json_and_csv_of_the_same_rows_give_the_same_bronze() -> None:
    drops, report = json_drop(LINE % (1, 2), LINE % (2, 3))
    columns = "order_id,customer,note,ordered_at,pieces"
    rows = "A1,17850.0,,2026-03-01 10:00:00,2", "A2,17850.0,,2026-03-01 10:00:00,3"
    other = drops.drop(csv_file(*rows, header=columns))
    wanted = "order_id, customer, note, ordered_at::varchar, pieces, amount"
    assert drops.bronze(report, wanted) == drops.bronze(other, wanted)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the file holds no object"),
        (b"\n \n", "the file holds no object"),
        (b'{"order_id": "A1"}\n', "column customer, note, ordered_at, pieces missing"),
        (b"[1]\n", "column order_id, customer, note, ordered_at, pieces missing"),
        (b'{"a": 1, "A": 2}\n', "stands 2 times"),
    ],
)
def test_json_that_lacks_columns_is_refused_whole(body: bytes, why: str) -> None:
    drops = changed(*OPTIONAL)
    report = drops.drop(body, "a.jsonl")
    assert report["status"] == "rejected"
    assert why in report["why"]


def test_zipped_json_lines_with_a_mark_in_front_are_read() -> None:
    drops = changed(*OPTIONAL)
    report = drops.drop(gzip.compress(("\ufeff" + LINE % (1, 2)).encode()), "a.jsonl.gz")
    assert (report["bronze"], report["quarantine"]) == (1, 0)
