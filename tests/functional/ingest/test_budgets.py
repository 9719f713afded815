"""A file over a budget is refused whole at once, with the budget named; a file at the edge of one is read."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import Any

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest import validate_upload as validating
from propensity.ingest.domain import budgets
from propensity.ingest.files import landed_text, sources
from propensity.kernel.errors import OvertimeError
from tests.functional.ingest.test_validate_upload_refuses import ROW, parquet
from tests.kit.drops import HEADER, PACK, Drops, column, contract, csv_file, good


def wide(columns: int) -> bytes:
    extra = columns - len(HEADER.split(","))
    names = "".join(f",c{number}" for number in range(extra))
    return csv_file(good(1) + "," * extra, header=HEADER + names)


def wide_json(columns: int) -> bytes:
    names = [*HEADER.split(","), *(f"c{number}" for number in range(columns - len(HEADER.split(","))))]
    values = dict(zip(HEADER.split(","), good(1).split(","), strict=True))
    return ("{" + ", ".join(f'"{name}": "{values.get(name, "")}"' for name in names) + "}\n").encode()


def budgets_of(monkeypatch: pytest.MonkeyPatch, **most: int) -> None:
    spent = {name: (most.get(name, limit), remedy) for name, (limit, remedy) in budgets._SPENT.items()}
    monkeypatch.setattr(budgets, "_SPENT", spent)


@pytest.mark.parametrize(("make", "name"), [(wide, "a.csv"), (wide_json, "a.jsonl")])
def test_two_thousand_columns_are_read_and_one_more_is_refused(make: Callable[[int], bytes], name: str) -> None:
    assert Drops().drop(make(2_000), name)["bronze"] == 1

    report = Drops().drop(make(2_001), name)

    assert report["status"] == "rejected"
    assert "the budget of columns is 2,000; leave out the columns that the contract does not name" in report["why"]


def test_thirty_thousand_header_columns_are_refused_at_once() -> None:
    body = (HEADER + "".join(f",{number}" for number in range(30_000)) + "\n" + good(1) + "\n").encode()
    drops = Drops()
    began = time.process_time()

    report = drops.drop(body)

    assert "the budget of columns" in report["why"]
    assert time.process_time() - began < 2  # a trial of c1296a4 took 22 s


def test_a_small_parquet_of_ten_million_rows_is_refused_before_its_rows_are_made() -> None:
    body = parquet(f"select r.* from ({ROW}) r, range(10_000_000)")
    assert len(body) < 2_000_000
    drops = Drops()
    began = time.process_time()

    report = drops.drop(body, "a.parquet")

    assert report["why"].endswith("file: 10,000,000 rows or more, the budget of rows is 5,000,000; split the file")
    assert time.process_time() - began < 2


def test_a_text_of_parquet_counts_in_each_row_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet keeps one text for all rows that have it, so that a small file may be gigabytes of text."""
    note = "x" * 200
    body = parquet(f"select r.* from ({ROW.replace('thanks', note)}) r, range(500)")
    text = 500 * len("A1" + note + "web")
    assert len(body) < text // 20
    monkeypatch.setattr(sources, "MAX_BYTES", text)
    assert Drops().drop(body, "a.parquet")["rows_in"] == 500
    monkeypatch.setattr(sources, "MAX_BYTES", text - 1)
    why = Drops().drop(body, "a.parquet")["why"]
    assert why.endswith(f"file: {text:,} bytes of text, the budget of bytes is 1,000,000,000; split the file")


def test_a_value_of_parquet_is_no_longer_than_a_line_may_be() -> None:
    longest, longer = (parquet(ROW.replace("'thanks'", f"repeat('é', {count})")) for count in (65_536, 65_537))
    report = Drops().drop(longest, "a.parquet")
    assert [reason["rule"] for reason in report["reasons"]] == ["max_length"]  # the contract's own rule for the row
    why = Drops().drop(longer, "a.parquet")["why"]
    assert "file: a value of 131,074 bytes, the budget of bytes of a value is 131,072; shorten the value" in why


@pytest.mark.parametrize(
    ("rows", "name", "body"),
    [
        (3, "a.csv", lambda rows: csv_file(*map(good, range(rows)))),
        (3, "a.csv", lambda rows: csv_file(*map(good, range(rows)))[:-1]),
        (3, "a.csv", lambda rows: csv_file(*(good(number).replace("thanks", '"a"') for number in range(rows)))),
        (3, "a.csv", lambda rows: csv_file(good(1), *[""] * (rows - 1))),
        (3, "a.jsonl", lambda rows: wide_json(7) * rows),
        (3, "a.parquet", lambda rows: parquet(f"select r.* from ({ROW}) r, range({rows})")),
    ],
)
def test_rows_are_counted_in_every_kind_of_file(
    monkeypatch: pytest.MonkeyPatch, rows: int, name: str, body: Callable[[int], bytes]
) -> None:
    budgets_of(monkeypatch, **{"rows": rows, "plain rows": rows})
    assert Drops().drop(body(rows), name)["status"] == "accepted"
    assert "rows is 3; split the file" in Drops().drop(body(rows + 1), name)["why"]


def test_plain_text_may_have_more_rows_than_text_with_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets_of(monkeypatch, **{"rows": 2, "plain rows": 3})
    rows = [good(number) for number in range(3)]
    assert Drops().drop(csv_file(*rows))["bronze"] == 3
    quoted = csv_file(*rows[:2], rows[2].replace("thanks", '"a"'))
    assert "the budget of rows is 2" in Drops().drop(quoted)["why"]


def test_rows_times_columns_have_a_budget_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets_of(monkeypatch, cells=21)
    assert Drops().drop(csv_file(*map(good, range(3))))["bronze"] == 3
    assert "28 cells or more, the budget of cells is 21" in Drops().drop(csv_file(*map(good, range(4))))["why"]


def test_a_file_that_unzips_to_more_than_the_budget_is_refused_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body = csv_file(*map(good, range(100)))
    monkeypatch.setattr(landed_text, "MAX_BYTES", len(body))
    assert Drops().drop(gzip.compress(body), "a.csv.gz")["bronze"] == 100

    report = Drops().drop(gzip.compress(body + b"\n"), "a.csv.gz")

    assert "the budget of bytes is 1,000,000,000; split the file" in report["why"]


def test_a_landed_file_over_the_budget_is_not_even_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    body = csv_file(good(1))
    monkeypatch.setattr(validating, "MAX_BYTES", len(body))
    drops = Drops()
    assert drops.drop(body)["bronze"] == 1
    monkeypatch.setattr(drops.landing, "download", None)

    report = drops.drop(body + good(2).encode())

    assert "the budget of bytes is" in report["why"]
    assert (report["status"], report["quarantine_key"]) == ("rejected", None)
    assert drops.announce("orders/tenant_id=t1/a.csv") == report


def test_the_budgets_of_bytes_fit_the_disk_of_the_function() -> None:
    disk = 4_096_000_000
    assert disk >= budgets.MAX_BYTES * 4  # the landed file, its text, the staged text and the checked rows


NOTES = {
    "pack.yaml": PACK,
    "contracts/orders.yaml": contract("orders", "event", column("id", primaryKey=True), column("note")),
}
QUOTES = {
    "a backslash before each quote": '{n},2026-03-01,"\\"x"\n',
    "a quote that opens on each line": '{n},2026-03-01,"x\n',
    "a quote that opens at each end": '{n},2026-03-01,"\n',
    "a quote inside a quoted value": '{n},2026-03-01,"a"b"\n',
}


@pytest.mark.parametrize("line", QUOTES.values(), ids=QUOTES)
def test_a_megabyte_with_a_bad_quote_on_every_line_takes_seconds(line: str) -> None:
    count = 1_000_000 // len(line)
    body = "id,day,note\n" + "".join(line.format(n=number % 1000) for number in range(count))
    drops = Drops(NOTES)
    began = time.process_time()

    report = drops.drop(body.encode())

    assert report["rows_in"] == report["bronze"] + report["quarantine"]
    assert report["quarantine"] >= count // 2
    assert time.process_time() - began < 8  # measured 0.8 s; a trial of c1296a4 took 84 s


def test_a_session_that_is_open_too_long_stops_its_query() -> None:
    began = time.monotonic()
    with DuckDbSql(seconds=0.2) as sql, pytest.raises(OvertimeError):
        sql.rows("select count(*) from range(10_000_000_000) a where hash(a.range) % 7 = 3")
    assert time.monotonic() - began < 10
    with DuckDbSql(seconds=60) as sql:
        assert sql.rows("select 1") == [(1,)]


def test_a_file_that_takes_too_long_is_refused_with_the_budget_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(DuckDbSql):
        def execute(self, sql: str, parameters: Any = ()) -> None:
            raise OvertimeError("too long")

    drops = Drops()
    monkeypatch.setattr(drops, "sql", Slow)

    report = drops.drop(csv_file(good(1)))

    assert report["why"].endswith("takes more than 200 seconds, the budget of seconds is 200; split the file")
