"""Sessions of the DuckDB adapter share an instance and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.kernel.errors import SqlError

DATABASES = "select database_name from duckdb_databases() where not internal and database_name like 'session_%'"


def test_a_session_sees_nothing_of_another() -> None:
    with DuckDbSql() as one, DuckDbSql() as other:
        one.execute("create table t as select 1 as x; create view v as select 2 as x; create macro m() as 3")
        one.execute("create temp table u as select 4 as x; create schema s; create table s.t as select 5 as x")
        for query in ("select * from t", "select * from v", "select m()", "select * from u", "select * from s.t"):
            with pytest.raises(SqlError):
                other.rows(query)
        other.execute("create table t as select 'another' as x")
        assert one.rows("select x from t") == [(1,)]
        assert one.scratch != other.scratch


@pytest.mark.parametrize("left_open", ["begin; create table t as select 1 as x", "begin; select nowhere"])
def test_a_session_that_was_left_in_a_transaction_is_gone_when_it_is_closed(left_open: str) -> None:
    session = DuckDbSql()
    try:
        session.execute(left_open)
    except SqlError:
        assert "nowhere" in left_open
    session.close()
    assert not session.scratch.exists()
    with DuckDbSql() as next_one:
        assert len(next_one.rows(DATABASES)) == 1  # its own


def test_a_large_session_gives_its_memory_back() -> None:
    with DuckDbSql() as sql:
        sql.execute("select 1")
    before = _resident()
    with DuckDbSql() as sql:
        sql.execute("create table t as select range as a, random() as b from range(12_000_000)")
        held = _resident() - before
    assert held > 150_000_000
    assert _resident() - before < held / 3


def _resident() -> int:
    """Bytes of this process in memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_an_engine_starts_no_more_threads_than_the_process_may_use_cores() -> None:
    with DuckDbSql() as session:
        [(threads,)] = session.rows("select current_setting('threads')")
    assert 1 <= threads <= (os.process_cpu_count() or 1)
