"""validate_upload over memory and a real DuckDB: what becomes of good, bad and unreadable files."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from propensity.ingest.validate_upload import Upload
from propensity.kernel.errors import ConflictError, ContractError, NotFoundError
from tests.kit.drops import BUCKET, HEADER, ORDERS, PACK, Drops, csv_file, good


@pytest.fixture
def drops() -> Drops:
    return Drops()


def test_good_rows_become_typed_bronze_with_line_and_origin(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1), good(2)))

    assert (report["status"], report["rows_in"], report["bronze"], report["quarantine"]) == ("accepted", 2, 2, 0)
    [first, _] = drops.bronze(
        report, "order_id, customer, pieces, amount, ordered_at = '2026-03-01 10:00:00+00', _line"
    )
    assert first == ("A1", "17850", 2, 9.5, True, 2)
    [origin, _] = drops.bronze(report, "_source_key, _content_id, epoch(_ingested_at)")
    modified = drops.landing.head("orders/tenant_id=t1/a.csv").last_modified
    assert origin == ("orders/tenant_id=t1/a.csv", report["content_id"], modified.timestamp())
    described = drops.rows(report["bronze_key"], "* exclude (ordered_at, _ingested_at)")
    assert len(described[0]) == 7 + 4 - 2


def test_the_promote_queue_hears_of_bronze_also_the_second_time(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1)))
    again = drops.announce("orders/tenant_id=t1/a.csv")

    assert again == report
    assert (
        drops.promote_queue.messages
        == [
            {
                "dataset": "orders",
                "tenant_id": "t1",
                "bronze_key": report["bronze_key"],
                "content_id": report["content_id"],
                "rows": 1,
            }
        ]
        * 2
    )


def test_names_say_content_contract_and_the_day_of_arrival(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1), "A2,,,x,1,,"))

    place = f"orders/tenant_id=t1/ingest_date=2026-01-01/{report['content_id']}.c1.2.0"
    assert report["bronze_key"] == f"bronze/{place}.parquet"
    assert report["quarantine_key"] == f"quarantine/{place}.parquet"
    assert report["report_key"] == f"validation/{place}.json"
    entry = f"landings/ingest_date=2026-01-01/tenant_id=t1/orders/{report['content_id']}.json"
    written = {report["bronze_key"], report["quarantine_key"], report["report_key"], entry}
    assert set(drops.lake.keys("")) == written | {"contracts/orders/1.2.0.yaml"}
    assert drops.lake.get(entry) == drops.lake.get(report["report_key"])


def test_every_reason_of_a_bad_row_stands_in_quarantine_with_its_line_and_raw_text(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1), "A2,1,ok,yesterday,200,-1,fax", good(3)))

    assert drops.quarantine(report) == [
        (
            3,
            "A2,1,ok,yesterday,200,-1,fax",
            [
                ("ordered_at", "type"),
                ("pieces", "maximum"),
                ("amount", "exclusive_minimum"),
                ("channel", "allowed_values"),
            ],
        )
    ]
    assert report["bronze"] == 2
    [told] = [one for one in report["reasons"] if one["rule"] == "maximum"]
    assert told == {
        "column": "pieces",
        "rule": "maximum",
        "message": "pieces: expected at most 99",
        "severity": "reject_row",
        "rows": 1,
        "first_lines": [3],
    }


def test_a_file_of_bad_rows_only_makes_no_bronze_and_tells_nobody(drops: Drops) -> None:
    report = drops.drop(csv_file("A1,,,,,,"))

    assert (report["bronze"], report["quarantine"], report["bronze_key"]) == (0, 1, None)
    assert drops.promote_queue.messages == []


def test_a_row_of_another_tenant_goes_to_quarantine_and_one_without_is_the_keys(drops: Drops) -> None:
    body = csv_file(good(1) + ",t1", good(2) + ",t2", good(3) + ",", header=HEADER + ",tenant_id")

    report = drops.drop(body)

    assert drops.quarantine(report) == [(3, good(2) + ",t2", [("tenant_id", "tenant")])]
    assert report["bronze"] == 2


def test_a_tenant_column_of_the_contract_is_filled_from_the_key(drops: Drops) -> None:
    contract = ORDERS.replace(
        "    properties:\n", "    properties:\n      - {name: tenant_id, logicalType: string, required: true}\n", 1
    )
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})

    report = drops.drop(csv_file(good(1)))

    assert drops.bronze(report, "tenant_id") == [("t1",)]


def test_of_rows_with_one_unique_value_the_first_good_one_stays(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1).replace("9.50", "-1"), good(1), good(2), good(1)))

    assert drops.bronze(report, "order_id, _line") == [("A1", 3), ("A2", 4)]
    assert [(line, rules) for line, _, rules in drops.quarantine(report)] == [
        (2, [("amount", "exclusive_minimum"), ("order_id", "unique")]),
        (5, [("order_id", "unique")]),
    ]
    assert [raw for _, raw, _ in drops.quarantine(report)] == [good(1).replace("9.50", "-1"), good(1)]


def test_an_extra_column_is_left_out_and_the_report_says_so(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1) + ",x", header=HEADER + ",colour"))

    assert report["bronze"] == 1
    assert report["warnings"] == ["column 8 (sha256 of its name: d6838c35) is not in the contract and was left out"]


def test_columns_may_come_in_any_order_and_case(drops: Drops) -> None:
    report = drops.drop(b"CHANNEL,amount,pieces,ordered_at,note,customer, Order_ID \nweb,1,1,2026-03-01,,17850,A1\n")

    assert drops.bronze(report, "order_id, channel") == [("A1", "web")]


def test_empty_lines_are_no_rows_but_count_as_lines(drops: Drops) -> None:
    report = drops.drop(csv_file(good(1), "", good(2), "   ", "", good(3)))

    assert drops.bronze(report, "_line") == [(2,), (4,), (7,)]
    assert (report["rows_in"], report["blank_lines"]) == (3, 3)


def test_a_value_may_hold_commas_quotes_and_line_breaks(drops: Drops) -> None:
    row = 'A{},1,"a ""b"", c\n\nd",2026-03-01,1,1,web'
    report = drops.drop(csv_file(good(1), row.format(2), row.format(3).replace(",1,web", ",-1,web"), good(4)))

    assert drops.bronze(report, "note, _line") == [("thanks", 2), ('a "b", c\n\nd', 3), ("thanks", 9)]
    assert drops.quarantine(report) == [
        (6, row.format(3).replace(",1,web", ",-1,web"), [("amount", "exclusive_minimum")])
    ]
    assert report["rows_in"] == 4


def test_a_quote_that_never_closes_costs_its_own_line_only(drops: Drops) -> None:
    stray = 'A2,1,"oops,2026-03-01,1,1,web'
    report = drops.drop(csv_file(good(1), stray, good(3), good(4), stray.replace("A2", "A5"), good(6)))

    assert [line for line, *_ in drops.quarantine(report)] == [3, 6]
    assert {tuple(rules) for _, _, rules in drops.quarantine(report)} == {((None, "quote"),)}
    assert drops.bronze(report, "_line") == [(2,), (4,), (5,), (7,)]


def test_two_halves_of_a_quote_do_not_swallow_the_rows_between_them(drops: Drops) -> None:
    report = drops.drop(
        csv_file(good(1), 'A2,1,"oops,2026-03-01,1,1,web', good(3), 'A4,1,oops",2026-03-01,1,1,web', good(5))
    )

    assert [line for line, *_ in drops.quarantine(report)] == [3]
    assert drops.bronze(report, "order_id") == [("A1",), ("A3",), ("A4",), ("A5",)]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_are_read_alike(drops: Drops, end: str) -> None:
    body = csv_file(good(1), good(2), "A3,,,,,,").decode().replace("\n", end).encode()

    report = drops.drop(body)

    assert (report["bronze"], [row[:2] for row in drops.quarantine(report)]) == (2, [(4, "A3,,,,,,")])


def test_mixed_line_ends_lose_nothing(drops: Drops) -> None:
    body = f"{HEADER}\r\n{good(1)}\n{good(2)}\r\n{good(3)}\r{good(4)}\n{good(5)}".encode()

    report = drops.drop(body)

    assert drops.bronze(report, "_line") == [(2,), (3,), (5,)]
    assert [(line, rules) for line, _, rules in drops.quarantine(report)] == [(4, [(None, "control")])]


@pytest.mark.parametrize(
    ("bad", "rule", "raw"),
    [
        (good(2).encode() + b",one,two", "columns", good(2) + ",one,two"),
        (good(2).encode() + b"," * 30, "columns", good(2) + "," * 30),
        (b"A2,only", "columns", "A2,only"),
        (b"A2,1,caf\xe9,2026-03-01,1,1,web", "encoding", "A2,1,caf\\xe9,2026-03-01,1,1,web"),
        (b"A2,1,x\x00y,2026-03-01,1,1,web", "control", "A2,1,x\\x00y,2026-03-01,1,1,web"),
        (b"A2,1,x\x1fy,2026-03-01,1,1,web", "control", "A2,1,x\\x1fy,2026-03-01,1,1,web"),
        (b"A2,1," + b"x" * 140_000 + b",2026-03-01,1,1,web", "length", "A2,1," + "x" * 131_067),
    ],
)
def test_a_line_that_cannot_be_read_is_kept_and_the_others_go_on(drops: Drops, bad: bytes, rule: str, raw: str) -> None:
    report = drops.drop(f"{HEADER}\n{good(1)}\n".encode() + bad + f"\n{good(3)}\n".encode())

    assert drops.quarantine(report) == [(3, raw, [(None, rule)])]
    assert drops.bronze(report, "_line") == [(2,), (4,)]


def test_latin_1_is_read_where_the_contract_says_so(drops: Drops) -> None:
    contract = ORDERS.replace(
        "- {property: kind, value: event}",
        "- {property: kind, value: event}\n      - {property: text, value: {encoding: windows-1252, delimiter: ;}}",
    )
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})

    report = drops.drop(f"{HEADER}\n{good(1).replace('thanks', 'café €')}\n".replace(",", ";").encode("cp1252"))

    assert drops.bronze(report, "note") == [("café €",)]


def test_a_byte_order_mark_is_no_part_of_the_first_column(drops: Drops) -> None:
    assert drops.drop(b"\xef\xbb\xbf" + csv_file(good(1)))["bronze"] == 1


@pytest.mark.parametrize(
    ("pieces", "fine"),
    [
        ("2", True),
        (" 2 ", True),
        ("2.0", True),
        ("+2", True),
        ("2.5", False),
        ("1_0", False),
        ("0x10", False),
        ("1e1", False),
        ("1,000", False),
        ("two", False),
        ("", False),
        ("0", False),
        ("100", False),
    ],
)
def test_whole_numbers_are_taken_as_written_and_nothing_is_rounded(drops: Drops, pieces: str, fine: bool) -> None:
    report = drops.drop(csv_file(f'A1,,,2026-03-01,"{pieces}",,'))

    assert report["bronze"] == int(fine)


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-03-01 10:00:00", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00+00:00"),
        ("2026-03-01 10:00", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01 10:00:00.250", "2026-03-01T10:00:00.250000+00:00"),
        ("infinity", None),
        ("epoch", None),
        ("01/03/2026", None),
        ("2026-02-30", None),
        ("2026-03-01 10:00:00 Europe/Berlin", None),
        ("0026-03-01", None),
    ],
)
def test_an_instant_without_a_zone_is_utc_and_only_iso_is_taken(
    drops: Drops, written: str, instant: str | None
) -> None:
    report = drops.drop(csv_file(f"A1,,,{written},1,,"))

    found = drops.bronze(report, "epoch_us(ordered_at)")
    assert found == ([(round(datetime.fromisoformat(instant).timestamp() * 1e6),)] if instant else [])


@pytest.mark.parametrize(
    ("format_", "written", "fine"),
    [
        ("dd.MM.yyyy", "31.12.2026", True),
        ("dd.MM.yyyy", "31.12.26", False),
        ("dd.MM.yyyy", "2026-12-31", False),
        ("M/d/yyyy", "1/31/2026", True),
        ("dd/MM/yy", "31/12/26", True),
    ],
)
def test_dates_come_as_the_contract_says(drops: Drops, format_: str, written: str, fine: bool) -> None:
    contract = ORDERS.replace(
        "logicalType: timestamp, required: true",
        f"logicalType: date, required: true, logicalTypeOptions: {{format: {format_}}}",
    )
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})

    assert drops.drop(csv_file(f"A1,,,{written},1,,"))["bronze"] == int(fine)


def test_a_file_overwritten_since_the_event_is_read_as_it_was(drops: Drops) -> None:
    key = "orders/tenant_id=t1/a.csv"
    drops.landing.put(key, csv_file(good(1)))
    then = drops.landing.head(key)
    drops.landing.put(key, csv_file(good(2), good(3)))

    report = drops.validate(Upload(BUCKET, key, then.version_id, then.etag))

    assert drops.bronze(report, "order_id") == [("A1",)]
    with pytest.raises(ConflictError, match=r"a\.csv: holds etag"):
        drops.validate(Upload(BUCKET, key, None, then.etag))


def test_an_object_that_is_gone_is_an_error(drops: Drops) -> None:
    with pytest.raises(NotFoundError, match="no erasure removed it; send the file again"):
        drops.validate(Upload(BUCKET, "orders/tenant_id=t1/a.csv", "v1", "e"))


def test_two_keys_or_two_contents_never_share_a_name(drops: Drops) -> None:
    first = drops.drop(csv_file(good(1)))
    other_key = drops.drop(csv_file(good(1)), "b.csv")
    other_content = drops.drop(csv_file(good(2)))

    assert len({one["bronze_key"] for one in (first, other_key, other_content)}) == 3


def test_a_pattern_that_the_engine_refuses_is_the_contracts_fault(drops: Drops) -> None:
    contract = ORDERS.replace("{maxLength: 200}", "{pattern: '(?=a)b'}")
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})

    with pytest.raises(ContractError, match=r"contract orders 1\.2\.0: a rule cannot be run"):
        drops.drop(csv_file(good(1)))


def test_no_value_of_a_row_stands_in_the_report_or_the_metrics(drops: Drops) -> None:
    secret = "Sekret17"
    report = drops.drop(csv_file(good(1), f"A2,{secret},{secret},{secret},{secret},{secret},{secret}", f'{secret},"x'))

    assert report["quarantine"] == 2
    stored = drops.lake.get(report["report_key"]).decode()
    assert secret not in stored + json.dumps(report) + repr(drops.metrics.counted) + repr(drops.promote_queue.messages)
    assert json.loads(stored)["ingested_at"] == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC).isoformat()


def test_columns_may_bear_any_name(drops: Drops) -> None:
    names = ["t1", "line", "record", "select", "error", "raw", "Mask_0"]
    contract = ORDERS
    for old, new in zip(HEADER.split(","), names, strict=True):
        contract = contract.replace(f"name: {old}", f"name: {new}").replace(f"value: {old}", f"value: {new}")
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})

    report = drops.drop(csv_file(good(1), good(2), good(2), good(3) + ",", header=",".join(names)))

    assert drops.bronze(report, 't1, line, "select" is not null, raw') == [
        ("A1", "17850", True, 9.5),
        ("A2", "17850", True, 9.5),
    ]
    assert [line for line, *_ in drops.quarantine(report)] == [4, 5]


def test_equal_rows_are_numbered_alike_whatever_the_order_of_the_file() -> None:
    contract = ORDERS.replace(
        "- {property: kind, value: event}",
        "- {property: kind, value: event}\n"
        "      - {property: occurrence, value: {column: nr, within: [order_id, pieces]}}",
    ).replace("unique: true}", "unique: false}")
    contract += "      - {name: nr, logicalType: integer, primaryKey: true}\n"
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})
    lines = [good(1), good(1), good(1).replace("thanks", "again"), good(2)]

    forth = drops.drop(csv_file(*lines))
    back = drops.drop(csv_file(*reversed(lines)), "b.csv")

    values = "order_id, note, nr"
    assert drops.bronze(forth, values) == [
        ("A1", "thanks", 2),
        ("A1", "thanks", 3),
        ("A1", "again", 1),
        ("A2", "thanks", 1),
    ]
    assert sorted(drops.bronze(back, values)) == sorted(drops.bronze(forth, values))
