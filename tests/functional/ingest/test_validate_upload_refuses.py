"""Files that cannot be read are refused whole: kept, reported, and told apart by a message that says what to do."""

from __future__ import annotations

import gzip
import json

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from tests.kit.drops import HEADER, Drops, csv_file, good


def parquet(select: str) -> bytes:
    with DuckDbSql() as sql:
        path = sql.scratch / "made.parquet"
        sql.execute(f"copy ({select}) to '{path}' (format parquet)")
        return path.read_bytes()


ROW = (
    "select 'A1' as order_id, 17850.0::double as customer, 'thanks' as note, "
    "timestamp '2026-03-01 10:00:00' as ordered_at, 2::integer as pieces, 9.5 as amount, 'web' as channel"
)
WHOLE = gzip.compress(csv_file(*(good(number) for number in range(2000))))

REFUSED = {
    "an empty file": (b"", "a.csv", "line 1: the file is empty, expected a header and rows; send it again"),
    "an empty gzip": (gzip.compress(b""), "a.csv.gz", "line 1: the file is empty, expected"),
    "empty lines only": (b"\n\n  \n", "a.csv", "line 1: the file is empty, expected"),
    "a header only": (csv_file(), "a.csv", "line 1: a header and no rows, expected at least one; send the file again"),
    "a header without a line end": (HEADER.encode(), "a.csv", "line 1: a header and no rows, expected at least one"),
    "a header and empty lines": (csv_file("", ""), "a.csv", "line 1: a header and no rows"),
    "a missing column": (
        csv_file(good(1), header=HEADER.replace("pieces,", "")),
        "a.csv",
        "line 1: column pieces missing, expected order_id, customer, note, ordered_at, pieces, amount, channel "
        "(contract orders 1.2.0); export the file with every column",
    ),
    "no header": (csv_file(header=good(1) + "\n" + good(2)), "a.csv", "line 1: column order_id, customer"),
    "another separator": (csv_file(good(1)).replace(b",", b"^"), "a.csv", "channel, split by ',' (contract"),
    "a column twice": (
        csv_file(header=HEADER + ",Pieces"),
        "a.csv",
        "column 'pieces' stands 2 times in the header, at 5, 8",
    ),
    "a truncated gzip": (WHOLE[:-900], "a.csv.gz", "line 1: the gzip stream is damaged or cut short"),
    "a gzip without its end": (WHOLE[:-4], "a.csv.gz", "line 1: the gzip stream is damaged or cut short"),
    "a gzip with a flipped byte": (WHOLE[:400] + b"\x00\xff" + WHOLE[402:], "a.csv.gz", "the gzip stream is damaged"),
    "no gzip at all": (csv_file(good(1)), "a.csv.gz", "the gzip stream is damaged or cut short after 0 bytes"),
    "a gzip called csv": (WHOLE, "a.csv", "line 1: the header cannot be read, expected column names in UTF-8"),
    "a decompression bomb": (
        gzip.compress(bytes(80_000_000)),
        "a.csv.gz",
        "line 1: unzips to more than 67,108,864 bytes, more than 200 times its size",
    ),
    "UTF-16 without a mark": (
        csv_file(good(1)).decode().encode("utf-16-le"),
        "a.csv",
        "line 1: the text looks like UTF-16 without a byte order mark, expected UTF-8; export it as UTF-8, or set "
        "encoding utf-16-le in the tenant's text_format",
    ),
    "UTF-32": (csv_file(good(1)).decode().encode("utf-32"), "a.csv", "line 1: the text is UTF-32, expected UTF-8"),
    "UTF-16 that is cut within a character": (
        csv_file(good(1)).decode().encode("utf-16")[:-1],
        "a.csv",
        "file: its text is utf-16-le and ends within a character after",
    ),
    "a header in Latin-1": ("größe,\n1,\n".encode("latin-1"), "a.csv", "line 1: the header cannot be read"),
    "a quote that never closes in the header": (b'"' + csv_file(good(1)), "a.csv", "line 1: the header cannot be read"),
    "no line end for megabytes": (
        csv_file() + b"x" * 3_000_000,
        "a.csv",
        "line 2: 3000000 bytes without a line end, expected at most 131072; this is no CSV file",
    ),
    "a Parquet file with another schema": (
        parquet("select 1 as a, 2 as b"),
        "a.parquet",
        "schema: column order_id, customer, note, ordered_at, pieces, amount, channel missing, expected order_id",
    ),
    "a Parquet file with a nested column": (
        parquet(ROW.replace("'thanks' as note", "['thanks'] as note")),
        "a.parquet",
        "schema: column note: VARCHAR[], expected one plain value per row",
    ),
    "a Parquet file without rows": (parquet(ROW + " where false"), "a.parquet", "row 1: a schema and no rows"),
    "a Parquet file cut short": (parquet(ROW)[:-20], "a.parquet", "file: not Parquet, or cut short"),
    "a CSV file called Parquet": (csv_file(good(1)), "a.parquet", "file: not Parquet, or cut short"),
    "an empty Parquet file": (b"", "a.parquet", "file: not Parquet, or cut short"),
    "a kind of file nobody reads": (
        b"x",
        "a.pdf",
        "unknown kind of file, expected .csv, .csv.gz, .jsonl, .jsonl.gz, .parquet",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_whole_and_kept_with_the_reason(what: str) -> None:
    body, name, why = REFUSED[what]
    drops = Drops()

    report = drops.drop(body, name)

    assert report["status"] == "rejected"
    assert report["why"].startswith(f"orders/tenant_id=t1/{name}: ")
    assert why in report["why"]
    assert (report["rows_in"], report["bronze"], report["bronze_key"]) == (0, 0, None)
    assert drops.lake.get(report["quarantine_key"]) == body
    place = f"orders/tenant_id=t1/ingest_date=2026-01-01/{report['content_id']}"
    # the copy does not have the file's name, which may be a person's
    suffix = next((ending for ending in (".csv.gz", ".csv", ".parquet") if name.endswith(ending)), "")
    assert report["quarantine_key"] == f"quarantine/rejected/{place}/file{suffix}"
    assert json.loads(drops.lake.get(f"validation/{place}.rejected.json"))["why"] == report["why"]
    entry = f"landings/ingest_date=2026-01-01/tenant_id=t1/orders/{report['content_id']}.json"
    written = {key for key in drops.lake.keys("") if not key.startswith("contracts/")}
    assert written == {
        report["quarantine_key"],
        report["report_key"],
        entry,
    }
    assert drops.promote_queue.messages == []
    assert drops.metrics.total(["FilesRejected"]) == 1
    assert drops.announce(f"orders/tenant_id=t1/{name}") == report


@pytest.mark.parametrize(
    ("key", "why", "kept"),
    [
        ("bills/tenant_id=t1/a.csv", "unknown dataset, expected one of orders", "unknown/tenant_id=t1"),
        ("orders/a.csv", "expected <dataset>/tenant_id=<tenant>/<file>", "unknown/tenant_id=unknown"),
        ("a.csv", "expected <dataset>/tenant_id=<tenant>/<file>", "unknown/tenant_id=unknown"),
        ("orders/tenant_id=/a.csv", "tenant_id: expected 1 to 64 letters", "orders/tenant_id=unknown"),
        ("orders/tenant_id=a b/a.csv", "tenant_id: expected 1 to 64 letters", "orders/tenant_id=unknown"),
        ("orders/tenant_id=t1/", "expected <dataset>/tenant_id=<tenant>/<file>", "unknown/tenant_id=unknown"),
    ],
)
def test_a_key_that_is_no_landing_key_says_which_part_is_wrong(key: str, why: str, kept: str) -> None:
    drops = Drops()

    report = drops.drop_at(csv_file(good(1)), key)

    assert report["status"] == "rejected"
    assert report["why"].startswith(f"{key}: ")
    assert why in report["why"]
    assert report["quarantine_key"].startswith(f"quarantine/rejected/{kept}/ingest_date=2026-01-01/")


@pytest.mark.parametrize(
    "name", ["a b.csv", "a+b=c%20d.csv", "größe.csv", "2026/03/01/a.CSV", "it's.csv", 'q"uote.csv']
)
def test_odd_file_names_are_fine(name: str) -> None:
    drops = Drops()

    report = drops.drop(csv_file(good(1), "A2,,,,,,"), name)

    assert (report["bronze"], report["quarantine"]) == (1, 1)
    assert drops.bronze(report, "_source_key") == [(f"orders/tenant_id=t1/{name}",)]


def test_a_gzip_and_a_parquet_of_the_same_rows_make_the_same_bronze() -> None:
    drops = Drops()
    plain = drops.drop(csv_file(good(1)))
    zipped = drops.drop(gzip.compress(csv_file(good(1))), "a.csv.gz")
    columnar = drops.drop(parquet(ROW), "a.parquet")

    values = "order_id, customer, note, epoch(ordered_at), pieces, amount, channel"
    assert drops.bronze(plain, values) == drops.bronze(zipped, values) == drops.bronze(columnar, values)
    assert drops.bronze(columnar, "_line") == [(1,)]


def test_a_bad_row_of_a_parquet_file_is_kept_as_json() -> None:
    drops = Drops()

    bad = ROW.replace("2::integer", "null").replace("'A1'", "'A2'")
    report = drops.drop(parquet(f"{ROW} union all {bad}"), "a.parquet")

    [(line, raw, reasons)] = drops.quarantine(report)
    assert (report["bronze"], line, reasons) == (1, 2, [("pieces", "required")])
    assert json.loads(raw)["channel"] == "web"


def test_a_parquet_file_whose_pages_are_damaged_is_refused() -> None:
    drops = Drops()
    body = parquet(f"select r.* replace (md5(i::varchar) as order_id) from ({ROW}) r, range(20000) t(i)")
    damaged = body[:4] + b"\xff" * 5000 + body[5004:]

    report = drops.drop(damaged, "a.parquet")

    assert (report["status"], report["why"]) == (
        "rejected",
        "orders/tenant_id=t1/a.parquet: file: its schema can be read, its rows cannot, expected a whole Parquet file; "
        "send it again",
    )


def test_no_value_of_a_refused_file_stands_in_its_report() -> None:
    drops = Drops()

    headless = drops.drop(b"Sekret17,Sekret17,x\n" * 3)

    assert "expected once" in headless["why"]
    assert "Sekret17" not in json.dumps(headless)
