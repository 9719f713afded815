"""Makes what the steps of scoring work on: made-up features, a version that is fitted on them, and a work item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.lake.domain.run_names import cuts_key, plan_key
from propensity.lake.domain.run_records import ScoreItem, ScoringPlan
from propensity.lake.json_objects import dumps
from propensity.pack.domain.definition import Definition, parse_definition
from propensity.ports import Sample
from propensity.registry.domain.reasons import typical_values
from propensity.registry.versions import Version, register
from propensity.runtime.pack_files import pack_files
from propensity.stats.calibration import identity
from propensity.stats.list_places import Ranks
from tests.bench.scoring.steps import ITEM
from tests.fakes.folder_store import FolderStore

PACK, MODEL, DAY = "automotive", "buy", "2025-07-01"
RUN = f"runs/score/{MODEL}/{DAY}-v000001-batch"
TENANTS, BUCKETS = 40, 8
_FITTED_ON = 60_000
_PART = 250_000  # rows that are made at once


@dataclass(frozen=True)
class Side:
    """A model to score with: its family and settings, and the method that its reasons must have."""

    name: str
    family: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    method: str = "exact"


def definition() -> Definition:
    """The pack's model without its ladder: one model scores everybody."""
    found = parse_definition(pack_files(PACK), MODEL, where=PACK, entity="customer_id")
    return found.model_copy(update={"model": found.model.model_copy(update={"ladder": None})})


def matrix_of(rows: int, seed: int) -> Any:
    """Made-up features, float32 (rows, k), with 8 % missing."""
    chance = np.random.default_rng(seed)
    columns = []
    for feature in definition().features:
        if feature.dtype == "boolean":
            values = (chance.random(rows) < 0.1).astype(np.float32)
        elif feature.dtype == "integer":
            values = chance.poisson(2.0, rows).astype(np.float32)
        else:
            values = chance.gamma(2.0, 1.0, rows).astype(np.float32)
        values[chance.random(rows) < 0.08] = np.nan
        columns.append(values)
    return np.column_stack(columns)


def write_features(path: Path, rows: int) -> None:
    """Write a features file as build_features does: by tenant, and zstd of DuckDB's row groups."""
    with pq.ParquetWriter(path, pa.schema(_fields()), compression="zstd") as file:
        for start, table in _parts(rows):
            assert table.num_rows == min(_PART, rows - start)
            file.write_table(table, row_group_size=122_880)


def _fields() -> list[tuple[str, Any]]:
    ids = [("tenant_id", pa.string()), ("customer_id", pa.string()), ("bucket", pa.int32()), ("as_of", pa.date32())]
    return [*ids, *((name, pa.float32()) for name in definition().feature_names)]


def _parts(rows: int) -> Iterator[tuple[int, pa.Table]]:
    names = pa.array([f"dealer_{one:03d}" for one in range(TENANTS)])
    for start in range(0, rows, _PART):
        row = np.arange(start, min(start + _PART, rows))
        tenant = row * TENANTS // rows
        ids = [
            names.take(pa.array(tenant)),
            pa.array([f"C{one:08d}" for one in row.tolist()]),
            pa.array((tenant * BUCKETS // TENANTS).astype(np.int32)),
            pa.array(np.full(len(row), np.datetime64(DAY))),
        ]
        matrix = matrix_of(len(row), start + 1)
        yield (
            start,
            pa.Table.from_arrays([*ids, *(pa.array(column) for column in matrix.T)], schema=pa.schema(_fields())),
        )


def labels_of(matrix: Any) -> Any:
    """Outcomes that rest on the first features, int8 (n,), 15 % of them positive without the noise."""
    filled = np.nan_to_num(matrix)
    signal = filled[:, 0] * 0.4 + filled[:, 1] * filled[:, 2] * 0.2 - filled[:, 3] * 0.3
    noise = np.random.default_rng(3).logistic(size=len(matrix))
    return (signal + noise > np.quantile(signal, 0.85)).astype(np.int8)


def fitted(side: Side) -> tuple[Any, Any]:
    """The side's model, and the matrix that it was fitted on."""
    matrix = matrix_of(_FITTED_ON, 2)
    return SklearnTrainer().fit(side.family, side.settings, Sample(matrix, labels_of(matrix)), seed=7), matrix


def register_side(lake: FolderStore, side: Side, *, reasons: bool = True, **more: bytes) -> Version:
    """Register a version of the side's model. Without `reasons` its trees are explained by ablation, as they once were.

    `more` are other files of the version.
    """
    model, matrix = fitted(side)
    files = {"model.onnx": model.onnx(), **more}
    explanation = dict(model.explanation())
    method = "exact"
    if explanation["kind"] == "opaque":
        explanation["typical"] = typical_values(definition().features, matrix)
        graph = model.reasons(explanation["typical"])
        method = graph.method
        if reasons:
            files["reasons.onnx"] = graph.onnx
            explanation["reasons"] = {"method": graph.method, "unit": graph.unit}
    assert method == side.method, f"{side.name}: reasons by {method}, expected {side.method}"
    files |= {
        "explanation.json": dumps(explanation),
        "calibration.json": dumps(identity().to_json()),
        "reference.json": dumps({"base_rate": 0.5}),
        "gates.json": dumps([]),
        **{f"definition/{path}": text.encode() for path, text in definition().files().items()},
    }
    lineage = {
        "run": "r",
        "model": MODEL,
        "as_of": DAY,
        "dates": [],
        "family": side.family,
        "parameters": {},
        "packages": {},
        "feature_set": definition().feature_set,
        "silver": {},
    }
    return register(lake, MODEL, files, lineage)


def make_item(folder: Path, side: Side, features: Path, reasons: bool = True) -> None:
    """Make a lake with a version, and a run of one item whose features are there and whose lists are ranked."""
    lake = FolderStore(folder)
    version = register_side(lake, side, reasons=reasons)
    plan = ScoringPlan(model=MODEL, version=1, scope="batch", as_of=DAY, silver={}, groups=[list(range(BUCKETS))])
    lake.put_new(plan_key(RUN), dumps(plan))
    item = ScoreItem(
        model=MODEL,
        version=1,
        scope="batch",
        definition=f"{version.folder}/definition",
        registry=version.folder,
        as_of=[DAY],
        known_by=None,
        sources={},
        buckets=list(range(BUCKETS)),
        bucket_count=BUCKETS,
        partition_key="tenant",
        scored=None,
        out="features/bench/0001.parquet",
        scored_out=f"{RUN}/scored/0001.parquet",
        stem=f"{DAY}-bench-0001",
    )
    lake.put_new(ITEM, dumps({**item.to_json(), "run": RUN, "index": 1}))
    cuts = tuple(number / 100 for number in range(1, 100))
    rows = pq.ParquetFile(features).metadata.num_rows
    ranks = {f"dealer_{one:03d}": Ranks(rows // TENANTS, cuts).to_json() for one in range(TENANTS)}
    lake.put_new(cuts_key(RUN), dumps({"tenants": ranks}))
    there = folder / item.out
    there.parent.mkdir(parents=True, exist_ok=True)
    there.hardlink_to(features)
