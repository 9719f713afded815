"""Files are rewritten in place: of the same size, with everyone else in them, whatever reads them."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import example, given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.erasure.domain.subject import pattern
from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder
from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import Subject

WHO = Subject("t", "C1")
SCHEMA = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("customer_id", pa.string()),
        ("text", pa.string()),
        ("single", pa.float32()),
        ("real", pa.float64()),
        ("small", pa.int8()),
        ("yes", pa.bool_()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("list", pa.list_(pa.string())),
        ("reasons", pa.list_(pa.struct([("feature", pa.string()), ("value", pa.float64())]))),
    ]
)


def row(number: int, customer: str | None, tenant: str, texts: list[str]) -> dict[str, Any]:
    known = number % 3 > 0
    return {
        "tenant_id": tenant,
        "customer_id": customer,
        "text": texts[number % len(texts)] if texts else None,
        "single": number / 7 if known else None,
        "real": number / 3,
        "small": number % 100 if known else None,
        "yes": bool(number % 2),
        "day": date(2020, 1, 1) + timedelta(days=number),
        "at": datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=number * 7_919_333),
        "list": texts[: number % 3] if known else None,
        "reasons": [{"feature": "visits", "value": number / 9}] * (number % 3),
    }


people = st.tuples(st.sampled_from(["C1", "C2", "C11", None]), st.sampled_from(["t", "u"]))
rows_drawn = st.lists(people, min_size=1, max_size=60)
texts_drawn = st.lists(st.text(max_size=12), max_size=4)


@settings(max_examples=60, deadline=None)
@example(drawn=[("C1", "t"), *[("C2", "t")] * 5], texts=[], writer="duckdb", again=False)  # once its filters grew
@given(
    drawn=rows_drawn, texts=texts_drawn, writer=st.sampled_from(["delta-rs", "pyarrow", "duckdb"]), again=st.booleans()
)
def test_whatever_a_file_holds_the_others_are_read_unchanged(
    drawn: list[tuple[str | None, str]], texts: list[str], writer: str, again: bool
) -> None:
    table = pa.Table.from_pylist([row(number, *one, texts) for number, one in enumerate(drawn)], SCHEMA)
    with tempfile.TemporaryDirectory() as name, DuckDbSql() as sql:
        folder = Path(name)
        path = written(folder, table, writer)
        size, out = path.stat().st_size, folder / "out"
        subjects = [WHO, Subject("u", "C2")][: 1 + again]
        for subject in subjects:
            RowFinder(sql, subject, [str(subject.customer_id)], ["customer_id"]).rewrite(path, "silver/x", out, size)
            out.replace(path)
        gone = {(one.tenant_id, one.customer_id) for one in subjects}
        expected = [one for one in table.to_pylist() if (one["tenant_id"], one["customer_id"]) not in gone]
        assert path.stat().st_size == size
        assert pq.read_table(path).to_pylist() == expected
        assert duckdb.execute(f"select count(*) from '{path}'").fetchall() == [(len(expected),)]
        if writer == "delta-rs":
            read = pa.table(DeltaTable(str(folder / "delta")).scan())
            assert read.to_pylist() == expected


def written(folder: Path, table: pa.Table, writer: str) -> Path:
    path = folder / "file.parquet"
    if writer == "pyarrow":
        pq.write_table(table, path)
    elif writer == "duckdb":
        with duckdb.connect() as connection:
            connection.register("given", table)
            connection.execute(f"copy given to '{path}' (format parquet, compression zstd)")
    else:
        write_deltalake(str(folder / "delta"), table, configuration={"delta.dataSkippingNumIndexedCols": "0"})
        [path] = (folder / "delta").glob("*.parquet")
    return path


def test_a_row_of_nobody_is_theirs_where_it_names_them_and_a_short_number_names_nobody(tmp_path: Path) -> None:
    rows = [
        {"customer_id": None, "article": "12346", "mail": None},
        {"customer_id": None, "article": "1", "mail": "Jane@X.de"},
        {"customer_id": "7", "article": "12346", "mail": None},
        {"customer_id": "12346", "article": "2", "mail": None},
    ]
    path, out = tmp_path / "f.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    key = "bronze/x/tenant_id=t/f.parquet"
    with DuckDbSql() as sql:
        finder = RowFinder(sql, Subject("t", "12346"), ["12346", "jane@x.de"], ["customer_id"])
        assert finder.count(path, key) == 2
        assert finder.rewrite(path, key, out) == 2
        assert finder.count(path, "bronze/x/tenant_id=u/f.parquet") == 0
        assert finder.count(path, "runs/f.parquet") == 0
    assert pq.read_table(out).to_pylist() == [rows[0], rows[2]]


def test_a_damaged_file_is_named_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"PAR1 and no more PAR1")
    with DuckDbSql() as sql, pytest.raises(BadInputError, match=r"runs/f\.parquet: is no whole Parquet file"):
        RowFinder(sql, WHO, ["C1"], ["customer_id"]).count(tmp_path / "f", "runs/f.parquet")


NAMES = ["C0012", "jane.o-neil@x.de", "+491711234567"]


@pytest.mark.parametrize(
    "said", ["C0012", "a;c0012;b", '"JANE.O-NEIL@X.DE"', "0171 / 123 45-67", "+491711234567", "x,C0012"]
)
@pytest.mark.parametrize("code", ["utf-8", "utf-16-le", "cp1252"])
def test_a_name_is_found_however_it_is_written(said: str, code: str) -> None:
    with DuckDbSql() as sql:
        lowered = sql.rows("select regexp_matches(lower(?), ?)", [said, pattern(NAMES)])
    assert lowered == [(True,)]
    assert NameFinder(NAMES).within(said.encode(code))


@pytest.mark.parametrize("said", ["C00123", "AC0012", "jane.o-neil@x.dev", "WAUZZZ8K011234567", "1234567", "xC0012y"])
def test_part_of_a_word_names_nobody(said: str) -> None:
    with DuckDbSql() as sql:
        assert sql.rows("select regexp_matches(lower(?), ?)", [said, pattern(NAMES)]) == [(False,)]
    assert not NameFinder(NAMES).within(said.encode())


@given(names=st.lists(st.text(min_size=1, max_size=20).filter(str.strip), min_size=1, max_size=4), others=st.text())
@settings(max_examples=200, deadline=None)
def test_lines_that_name_go_and_the_others_stay(names: list[str], others: str) -> None:
    """Any names make a valid regular expression, and it finds them."""
    lines = [f"a,{name},b\n" for name in names if not set(name) & set("\0\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")]
    finder = NameFinder(names)
    for line in lines:
        assert finder.within(line.encode())
    kept = finder.without_lines("".join(lines).encode())
    assert kept in ((b"", len(lines)), None)
    assert finder.within(others.encode()) in (True, False)
