"""What the demo reads from a lake whose models have no ladder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pytest

from tests.stack.lake import Lake
from tests.stack.summary import tenant_outcomes

SCORES = "select 'r' as run, 't' as tenant_id, 'c' as customer_id"
TRUTH = f"{SCORES}, 0.5 as score, true as converted, 'ties' as unranked_reason"


@pytest.mark.parametrize(("more", "rung"), [("", None), (", 'own' as rung", "own")])
def test_outcomes_are_read_with_the_rung_where_scores_have_one(tmp_path: Path, more: str, rung: str | None) -> None:
    tables = {"gold/ground_truth": TRUTH, "gold/scores": SCORES + more}
    files = {table: tmp_path / f"{number}.parquet" for number, table in enumerate(tables)}
    for table, rows in tables.items():
        duckdb.sql(f"copy ({rows}) to '{files[table]}' (format parquet)")

    def query(sql: str, **relations: Iterable[Path]) -> list[tuple[Any, ...]]:
        return Lake.query(cast("Lake", None), sql, **relations)

    lake = cast("Lake", SimpleNamespace(query=query, table_files=lambda table: [files[table]]))
    assert tenant_outcomes(lake, "r") == [("t", 0.5, True, "ties", rung)]
