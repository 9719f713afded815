"""What a run scored, and the rows of gold/scores as the scorer of record batches gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.lake.domain.run_records import BuildResult
from tests.kit.registries import crown
from tests.kit.world import World

type Rows = dict[tuple[str, str], dict[str, Any]]


def of_trees(history: World, folder: Path, model: str, day: str) -> World:
    """A copy of a lake, in which a model of boosted trees alone is trained and has scored everyone."""
    world = history.copy(folder).with_dates(2)
    with world.edited(f"models/{model}.yaml") as edited:
        trees = {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 8, "min_samples_leaf": 20}
        edited["candidates"] = [{"family": "hist_gradient_boosting", "grid": [trees]}]
        edited.pop("ladder")
    crown(world.lake, model, world.train(model, day)["version"])
    world.score(model, day)
    return world


def features_of(world: World, run: str) -> pa.Table:
    """The features of a run's customers, from all of its work items."""
    results = (world.folder / run / "results" / BuildResult.step).glob("*.json")
    keys = [json.loads(path.read_text())["features"] for path in sorted(results)]
    # whether a column may be null is said by each file of its own rows
    tables = (pq.read_table(world.folder / key, partitioning=None) for key in keys)
    return pa.concat_tables(
        table.cast(pa.schema([column.with_nullable(True) for column in table.schema])) for table in tables
    )


def committed(world: World, run: str, columns: Iterable[str]) -> Rows:
    """The rows that a run committed to gold/scores, by tenant and customer."""
    shown = list(columns)
    rows = world.query(f"select {', '.join(shown)} from scores where run = '{run}'", scores="gold/scores")
    return by_customer(dict(zip(shown, row, strict=True)) for row in rows)


def by_customer(rows: Iterable[Mapping[str, Any]]) -> Rows:
    """Rows by tenant and customer, each of whom has one."""
    listed = [dict(row) for row in rows]
    found = {(row["tenant_id"], row["customer_id"]): row for row in listed}
    assert len(found) == len(listed)
    return found
