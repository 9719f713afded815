"""Faults that public reports of other systems describe, each tried on files of its kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from propensity.ingest.domain.breaches import DayCounts, judge_day
from propensity.kernel.errors import ContractError
from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.definition import QuarantineLimits
from tests.functional.ingest.test_contract_features import OPTIONAL, changed
from tests.functional.ingest.test_validate_upload_refuses import ROW, parquet
from tests.kit.broken import KINDS
from tests.kit.drops import PACK, Drops, column, contract, csv_file, good
from tests.kit.world import World
from tests.unit.ingest.test_quarantine import DAY, counts, days

LINE = (
    '{"order_id": "A%d", "customer": %s, "ordered_at": "2026-03-01 10:00:00", "note": null, "pieces": 1, "amount": 1%s}'
)


@pytest.mark.parametrize("kind", ["double", "float"])
def test_a_missing_id_in_a_float_column_of_parquet_is_no_id(kind: str) -> None:
    row = ROW.replace("::double", f"::{kind}")  # of two kinds the column would have the wider one
    ids = row.replace("17850.0", "'nan'")
    drops = Drops()

    report = drops.drop(parquet(f"{row} union all {ids.replace('A1', 'A2')}"), "a.parquet")

    assert drops.bronze(report, "customer") == [("17850",), (None,)]


@pytest.mark.parametrize("kind", ["double", "float"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_infinite_id_of_parquet_is_a_bad_row(kind: str, sign: str) -> None:
    row = ROW.replace("::double", f"::{kind}")
    ids = row.replace("17850.0", f"'{sign}inf'")
    drops = Drops()

    report = drops.drop(parquet(f"{row} union all {ids.replace('A1', 'A2')}"), "a.parquet")

    assert (report["bronze"], report["quarantine"]) == (1, 1)
    assert drops.quarantine(report)[0][2] == [(None, "finite")]


@pytest.mark.parametrize(
    ("customer", "rest", "rule"),
    [
        ("NaN", "", "json"),
        ("Infinity", "", "json"),
        ("-Infinity", "", "json"),
        ('"1"', ",", "json"),
        ("[1, 2, ]", "", "json"),
        ("{'a': 1}", "", "json"),
        ("01", "", "json"),
        ('"1", "customer": "2"', "", "member"),
        ('{"a": 1, "a": 2}', "", "member"),
        ("[" * 3_000 + "]" * 3_000, "", None),
        ("9" * 5_000, "", None),
    ],
)
def test_json_that_is_not_strict_is_a_bad_row(customer: str, rest: str, rule: str | None) -> None:
    drops = changed(*OPTIONAL)

    report = drops.drop((LINE % (1, '"1"', "") + "\n" + LINE % (2, customer, rest) + "\n").encode(), "a.jsonl")

    assert report["rows_in"] == report["bronze"] + report["quarantine"] == 2
    if rule:
        assert [(line, reasons) for line, _, reasons in drops.quarantine(report)] == [(2, [(None, rule)])]


def test_a_file_whose_every_object_is_bad_stands_in_quarantine_line_by_line() -> None:
    drops = changed(*OPTIONAL)
    report = drops.drop((LINE % (1, "NaN", "") + "\n").encode() * 2, "a.jsonl")
    assert [line for line, *_ in drops.quarantine(report)] == [1, 2]


@pytest.mark.parametrize("what", ["a Parquet column twice", "a Parquet column twice but for its case"])
def test_a_column_of_parquet_that_stands_twice_is_refused_with_its_places(what: str) -> None:
    """The engine calls the second one note_1, and a reader would not see that it is there."""
    report = Drops().drop(KINDS[what].make(), "a.parquet")
    assert report["why"].endswith(
        "schema: column 'note' stands 2 times in the header, at 3, 8, expected once; name each column once"
    )


@pytest.mark.parametrize("name", ["parquet", "json"])
def test_a_control_character_is_a_bad_row_in_parquet_and_in_json(name: str) -> None:
    notes = [f"a{chr(code)}b" for code in range(32)] + [r"a\u0001b"]
    if name == "json":
        rows = [(LINE % (number, "1", "")).replace("null", json.dumps(note)) for number, note in enumerate(notes)]
        body = "\n".join([*rows, ""]).encode()
    else:
        rows = [
            ROW.replace("A1", f"A{number}").replace("'thanks'", f"'a' || chr({ord(note[1])}) || '{note[2:]}'")
            for number, note in enumerate(notes)
        ]
        body = parquet(" union all ".join(rows))
    drops = changed(*OPTIONAL)

    report = drops.drop(body, "a.parquet" if name == "parquet" else "a.jsonl")

    kept = [f"A{number}" for number, note in enumerate(notes) if note[1] in "\t\n\r\\"]
    assert [order for (order,) in drops.bronze(report, "order_id")] == kept
    assert {rule for _, _, reasons in drops.quarantine(report) for _, rule in reasons} == {"control"}
    assert report["quarantine"] == len(notes) - len(kept)


_NAMES = """
subject filename tenant h g c r b raw line lines marked checked repeats equals numbered file_index rowid select from
where order group table user users column values key keys value date timestamp time interval timezone end start min max
count sum rank row rows position index type types name names version id path size stats partition month day_ known_at
valid_from ingested_at content_id source_key error span json reason reasons bad good document documents member announced
bronze silver null true false all any and or not case when then else cast try_cast current_date limit offset window over
lateral pivot qualify sample using natural left right full inner cross join union except distinct having into lambda map
struct list array variant hash
"""
NAMES = _NAMES.split()


def lake(folder: Path, *columns: dict[str, Any]) -> World:
    world = World("retail", folder)
    world.pack = "shop"
    world.pack_files = {
        "pack.yaml": PACK.replace("orders", "docs"),
        "contracts/docs.yaml": contract("docs", "event", column("doc_id", primaryKey=True, unique=True), *columns),
    }
    return world


def test_a_hundred_names_of_columns_reach_silver(tmp_path: Path) -> None:
    assert len(NAMES) > 100
    world = lake(tmp_path, *map(column, NAMES))
    row = "{id}," + "x," * len(NAMES) + "2026-03-01"
    header = ",".join(["doc_id", *NAMES, "day"])

    report = world.put("docs/tenant_id=t1/a.csv", csv_file(row.format(id="D1"), row.format(id="D1"), header=header))
    world.promote()

    assert (report["bronze"], report["quarantine"]) == (1, 1)
    assert world.query('select doc_id, "filename", "tenant", "h", tenant_id from s', s="silver/docs") == [
        ("D1", "x", "x", "x", "t1")
    ]


@pytest.mark.parametrize("name", ["bucket", "Bucket", "FILE_ROW_NUMBER", "Tenant_ID", "_line", "_key"])
def test_a_name_that_the_lake_needs_is_refused_with_the_contract(name: str) -> None:
    text = contract("docs", "event", column("doc_id", primaryKey=True), column(name))
    with pytest.raises(ContractError, match=f"{name}: expected a name of letters"):
        parse_contract(text, where="c.yaml")


def test_a_parquet_file_with_the_reader_s_own_column_says_so() -> None:
    report = Drops().drop(parquet(ROW + ", 1 as file_row_number"), "a.parquet")
    assert "a column is named file_row_number" in report["why"]


PHONES = {
    "49": {
        "0151 2345678": "+491512345678",
        "+49 (0)151 2345678": "+491512345678",
        "0049 (0)151 2345678": "+491512345678",
        "49 151 2345678": "+491512345678",
        "+49\u00a0151\u202f2345678": "+491512345678",
        "+49\u2011151\u20132345678": "+491512345678",
        "(+49) 151/2345678": "+491512345678",
        "+39 06 1234 5678": "+390612345678",
        "+43 01 5123456": "+4315123456",
        "4919250": "4919250",
        "089 1234 ext 5": "089 1234 ext 5",
    },
    "1": {
        "(555) 867-5309": "+15558675309",
        "1-555-867-5309": "+15558675309",
        "15558675309": "+15558675309",
        "011 44 20 7946 0958": "+442079460958",
        "867-5309": "867-5309",
    },
    "44": {
        "020 7946 0958": "+442079460958",
        "+44 (0)20 7946 0958": "+442079460958",
        "0044 20 79460958": "+442079460958",
    },
    "39": {
        "+39 06 1234 5678": "+390612345678",
        "06 1234 5678": "+390612345678",
        "+39 (0)6 1234 5678": "+390612345678",
        "333 1234567": "+393331234567",
    },
    "61": {"0412 345 678": "+61412345678", "61 412 345 678": "+61412345678", "0011 49 151 2345678": "+491512345678"},
    "7": {"8 (912) 345-67-89": "+79123456789", "9123456789": "+79123456789"},
    "36": {"06 20 123 4567": "+36201234567"},
    "34": {"612 345 678": "+34612345678", "0612 345 678": "0612 345 678"},
}


@pytest.mark.parametrize("code", PHONES)
def test_telephone_numbers_become_e164_where_their_digits_decide_it(code: str) -> None:
    custom = f"customProperties: [{{property: normalise, value: [phone]}}, {{property: callingCode, value: '{code}'}}]"
    drops = changed(("{name: note,", f"{{name: note, {custom},"))

    report = drops.drop(csv_file(*(f"A{n},1,{given},2026-03-01,2,9,web" for n, given in enumerate(PHONES[code]))))

    assert drops.bronze(report, "note") == [(number,) for number in PHONES[code].values()]


def dated(form: str, **custom: Any) -> Drops:
    listed = "".join(f"{{property: {name}, value: {value}}}, " for name, value in custom.items())
    more = f", customProperties: [{listed}]" if custom else ""
    return changed(
        (
            "logicalType: timestamp, required: true",
            f'logicalType: timestamp, required: true, logicalTypeOptions: {{format: "{form}"}}{more}',
        )
    )


def instants(drops: Drops, *values: str) -> list[str | None]:
    report = drops.drop(csv_file(*(f"A{n},1,x,{value},2,9,web" for n, value in enumerate(values))))
    found = dict(drops.bronze(report, "order_id, ordered_at::varchar"))
    return [found.get(f"A{n}") for n in range(len(values))]


@pytest.mark.parametrize(
    ("form", "value", "read"),
    [
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2026-03-01T10:00:00Z", "2026-03-01 10:00:00+00"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2026-03-01T10:00:00+01:00", "2026-03-01 09:00:00+00"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2026-03-01T10:00:00.000Z", "2026-03-01 10:00:00+00"),
        ("yyyy-MM-dd'T'HH:mm:ssXX", "2026-03-01T10:00:00-0130", "2026-03-01 11:30:00+00"),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2026-03-01T10:00:00Z", "2026-03-01 10:00:00+00"),
        ("yyyy-MM-dd'T'HH:mm:ssZ", "2026-03-01T10:00:00Z", "2026-03-01 10:00:00+00"),
        ("yyyyMMdd", "20260301", "2026-03-01 00:00:00+00"),
        ("yyyyMMdd", "2026031", None),
        ("ddMMyyyy", "1032026", None),
        ("yyyyMMddHHmmss", "20260301093000", "2026-03-01 09:30:00+00"),
        ("yyyyMMddHHmmss", "2026030193000", None),
        ("dd.MM.yyyy", "1.3.2026", "2026-03-01 00:00:00+00"),
    ],
)
def test_java_s_formats_are_read_as_java_reads_them(form: str, value: str, read: str | None) -> None:
    assert instants(dated(form), value) == [read]


def test_a_year_of_two_digits_lies_up_to_80_years_before_the_file_came() -> None:
    came_in_2026 = instants(dated("dd-MMM-yy"), "15-JUN-65", "31-DEC-99", "01-MAR-26", "01-JAN-45", "01-JAN-46")
    assert [day and day[:4] for day in came_in_2026] == ["1965", "1999", "2026", "2045", "1946"]


def test_a_contract_may_fix_the_century_of_two_digits() -> None:
    drops = dated("dd.MM.yy", twoDigitYearsFrom=2000)
    assert [day and day[:4] for day in instants(drops, "15.06.65", "29.02.00", "29.02.01")] == ["2065", "2000", None]
    with pytest.raises(ContractError, match="twoDigitYearsFrom: no format of the column"):
        parse_contract(dated("dd.MM.yyyy", twoDigitYearsFrom=2000).pack_files["contracts/orders.yaml"], where="c")


@pytest.mark.parametrize(
    ("lines", "notes"),
    [
        (
            ('D1,2026-03-01,"Spoke with her', 'quote sent,2026-03-06,waiting"'),
            ["Spoke with her\nquote sent,2026-03-06,waiting"],
        ),
        (('D1,2026-03-01,"a, b', 'c"'), ["a, b\nc"]),
        (('D1,2026-03-01,"one', "two", 'three"'), ["one\ntwo\nthree"]),
    ],
)
def test_a_closed_note_of_several_lines_is_one_row(lines: Sequence[str], notes: list[str]) -> None:
    orders = contract("orders", "event", column("doc_id", primaryKey=True), column("note"))
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": orders})

    report = drops.drop(csv_file(*lines, "D2,2026-03-02,fine", header="doc_id,day,note"))

    assert report["quarantine"] == 0
    assert drops.bronze(report, "note") == [*((note,) for note in notes), ("fine",)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("_SUCCESS", b""),
        ("_SUCCESS", b"x"),
        ("_temporary/0/task_1/part-00000.csv", csv_file(good(1))),
        (".part-00000.csv.crc", b"crc"),
        ("part-00000.csv.crc", b"crc"),
        ("_delta_log/00000000000000000000.json", b"{}"),
        ("2026/.hidden/a.csv", csv_file(good(1))),
        ("", b""),
        ("2026/", b""),
        ("2026_$folder$", b""),
    ],
)
def test_what_spark_writes_beside_its_data_is_no_file(name: str, body: bytes) -> None:
    drops = Drops()
    answer = drops.drop(body, name)
    assert answer["status"] == "ignored"
    assert list(drops.lake.keys("")) == []
    assert drops.promote_queue.messages == []


@pytest.mark.parametrize("refused", [1, 3])
def test_a_refused_file_hides_no_fall_of_rows(refused: int) -> None:
    before = [DayCounts(day, 1 + refused, refused, 10_000, 10_000, 0) for day in days(28)]
    verdict = judge_day(DAY, DayCounts(DAY, 1 + refused, refused, 50, 50, 0), before, QuarantineLimits())
    assert (verdict.breach, verdict.measure) == ("fall", "rows")
    usual = judge_day(DAY, DayCounts(DAY, 1 + refused, refused, 9_900, 9_900, 0), before, QuarantineLimits())
    assert usual.breach is None


def test_a_day_whose_only_file_was_refused_is_not_compared_by_rows() -> None:
    before = [counts(DAY - timedelta(days=back)) for back in range(1, 15)]
    assert judge_day(DAY, counts(DAY, rows=0, bad=0, rejected=1), before, QuarantineLimits()).breach is None
