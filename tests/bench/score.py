"""make bench AREA=score: what scoring and labelling cost, beside reading the features and writing three columns.

Every figure is CPU seconds of a fresh process on one work item of made-up customers with the features of a pack's
model. The floor is pyarrow alone: it reads the same features and writes ids, score and decile.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.measure import Claim, peak_mb

ROWS = 1_000_000
PACK, MODEL, DAY = "automotive", "buy", "2025-07-01"
TENANTS = 40


@dataclass(frozen=True)
class Side:
    """A model to score with: its family, its settings, and the bar of scoring and labelling as multiples of the floor.

    `method` is the method that its reasons must have. Without `reasons` only the scores count.
    """

    name: str
    family: str
    settings: Mapping[str, Any]
    bar: float
    method: str


SIDES = (
    Side("logistic regression", "logistic_regression", {}, 4.0, "exact"),
    Side("boosted trees 120 x 8", "hist_gradient_boosting", {"max_iter": 120, "max_leaf_nodes": 8}, 10.0, "shapley"),
    Side("boosted trees 200 x 31", "hist_gradient_boosting", {"max_iter": 200, "max_leaf_nodes": 31}, 16.0, "path"),
    Side(
        "forest of 100", "random_forest", {"n_estimators": 100, "max_depth": 10, "min_samples_leaf": 50}, 16.0, "path"
    ),
)


def claims(work: Path, runs: int) -> list[Claim]:
    """Measure each model by turns with the floor, and the memory of both steps at one and at five million rows."""
    work.mkdir(parents=True, exist_ok=True)
    found: list[Claim] = []
    features = work / "features.parquet"
    _apart(_write_features, features, ROWS)
    floors = [_apart(_floor, features, work / "floor.parquet")[0] for _ in range(runs + 1)][1:]
    floor = median(floors)
    for side in SIDES:
        folder = work / side.family / side.method
        method = _apart(_prepare, folder, side, features)[2]
        assert method == side.method, f"{side.name}: reasons by {method}, expected {side.method}"
        taken = [(_apart(_score, folder), _apart(_label, folder)) for _ in range(runs)]
        score, label = median(one[0] for one, _ in taken), median(two[0] for _, two in taken)
        peak = max(max(one[1], two[1]) for one, two in taken)
        told = f"score {score:.2f} s, label {label:.2f} s, reasons by {side.method}"
        found.append(
            Claim.of(f"{side.name}: scores with reasons, CPU as floors", score + label, floor, side.bar, runs, told)
        )
        found.append(Claim.of(f"{side.name}: peak memory in MB", peak, None, 400, runs))
        if side.family == "logistic_regression":
            found.append(Claim.of(f"{side.name}: scores without reasons, CPU as floors", score, floor, 1.5, runs))
        else:
            plain, reasons, _ = _apart(_passes, folder, features)[2]
            bar = 2.0 if side.method == "shapley" else None
            found.append(Claim.of(f"{side.name}: a pass of reasons as plain passes", reasons, plain, bar, runs))
    return found


def _apart(work: Any, *arguments: Any) -> tuple[float, float, Any]:
    """(CPU seconds, peak memory in MB, result) of one call in a fresh process, imports left out of the seconds."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Any, arguments: tuple[Any, ...]) -> tuple[float, float, Any]:
    # what both sides import is no part of the comparison
    for name in ("numpy", "onnxruntime", "pyarrow.parquet", "tests.kit.world"):
        importlib.import_module(name)

    start = time.process_time()
    result = work(*arguments)
    return time.process_time() - start, peak_mb(), result


def _names() -> tuple[Any, Any]:
    from propensity.pack.current import pack_definition
    from tests.kit.world import World

    with tempfile.TemporaryDirectory() as folder:
        definition = pack_definition(World(PACK, Path(folder)), MODEL)
    return definition, definition.feature_names


def _matrix(rows: int, seed: int) -> Any:
    import numpy as np

    definition, _ = _names()
    chance = np.random.default_rng(seed)
    columns = []
    for feature in definition.features:
        if feature.dtype == "boolean":
            values = (chance.random(rows) < 0.1).astype(np.float32)
        elif feature.dtype == "integer":
            values = chance.poisson(2.0, rows).astype(np.float32)
        else:
            values = chance.gamma(2.0, 1.0, rows).astype(np.float32)
        values[chance.random(rows) < 0.08] = np.nan
        columns.append(values)
    return np.column_stack(columns)


def _write_features(path: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    _, names = _names()
    matrix = _matrix(rows, 1)
    tenant = np.sort(np.arange(rows) % TENANTS)
    columns: dict[str, Any] = {
        "tenant_id": pa.array([f"dealer_{one:03d}" for one in range(TENANTS)]).take(pa.array(tenant)),
        "customer_id": pa.array([f"C{one:08d}" for one in range(rows)]),
        "bucket": pa.array((tenant * 8 // TENANTS).astype(np.int32)),
        "as_of": pa.array(np.full(rows, np.datetime64(DAY))),
        **{name: pa.array(matrix[:, place]) for place, name in enumerate(names)},
    }
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=122_880)


def _floor(features: Path, out: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(features)
    score = table.column(4).to_numpy().astype(np.float64)
    decile = (np.arange(len(score)) % 10 + 1).astype(np.int32)
    written = {"tenant_id": table.column(0), "customer_id": table.column(1), "score": score, "decile": decile}
    pq.write_table(pa.table(written), out, compression="zstd")


def _prepare(folder: Path, side: Side, features: Path) -> str:
    """Make a lake with a version and a run of one item, whose features are there; the method of the reasons."""
    import shutil

    import numpy as np

    from propensity.adapters.sklearn_trainer import SklearnTrainer
    from propensity.lake.domain.run_names import plan_key
    from propensity.lake.domain.run_records import ScoreItem, ScoringPlan
    from propensity.lake.json_objects import dumps
    from propensity.ports import Sample
    from propensity.registry.domain.reasons import typical_values
    from propensity.registry.versions import register
    from propensity.stats.calibration import identity
    from tests.kit.world import World

    world = World(PACK, folder)
    definition, _ = _names()
    matrix = _matrix(60_000, 2)
    chance = np.random.default_rng(3)
    filled = np.nan_to_num(matrix)
    signal = filled[:, 0] * 0.4 + filled[:, 1] * filled[:, 2] * 0.2 - filled[:, 3] * 0.3
    labels = (signal + chance.logistic(size=len(matrix)) > np.quantile(signal, 0.85)).astype(np.int8)
    fitted = SklearnTrainer().fit(side.family, side.settings, Sample(matrix, labels), seed=7)
    files = {"model.onnx": fitted.onnx()}
    explanation = dict(fitted.explanation())
    if explanation["kind"] == "opaque":
        explanation["typical"] = typical_values(definition.features, matrix)
        graph = fitted.reasons(explanation["typical"])
        assert graph is not None
        files["reasons.onnx"] = graph.onnx
        explanation["reasons"] = {"method": graph.method, "unit": graph.unit}
    ladderless = definition.model_copy(update={"model": definition.model.model_copy(update={"ladder": None})})
    files |= {
        "explanation.json": dumps(explanation),
        "calibration.json": dumps(identity().to_json()),
        "reference.json": dumps({"base_rate": 0.5}),
        **{f"definition/{path}": text.encode() for path, text in ladderless.files().items()},
    }
    lineage = {
        "run": "r",
        "model": MODEL,
        "as_of": DAY,
        "dates": [],
        "family": side.family,
        "parameters": {},
        "packages": {},
        "feature_set": definition.feature_set,
        "silver": {},
    }
    version = register(world.lake, MODEL, files, lineage)
    run = f"runs/score/{MODEL}/{DAY}-v000001-batch"
    plan = ScoringPlan(
        model=MODEL,
        version=1,
        calibration=0,
        scope="batch",
        as_of=DAY,
        silver={},
        retracted={},
        silver_at=None,
        groups=[list(range(8))],
        batch_as_of=None,
        batch_run=None,
        scores_version=None,
    )
    world.lake.put_new(plan_key(run), dumps(plan))
    item = ScoreItem(
        model=MODEL,
        version=1,
        calibration=0,
        scope="batch",
        definition=f"{version.folder}/definition",
        registry=version.folder,
        as_of=[DAY],
        known_by=None,
        sources={},
        buckets=list(range(8)),
        bucket_count=8,
        partition_key="tenant",
        scored=None,
        scored_version=1,
        out="features/bench/0001.parquet",
        scored_out=f"{run}/scored/0001.parquet",
        stem=f"{DAY}-bench-0001",
    )
    world.lake.put_new("item.json", dumps({**item.to_json(), "run": run, "index": 1}))
    (folder / "features/bench").mkdir(parents=True, exist_ok=True)
    shutil.copy(features, folder / "features/bench/0001.parquet")
    return explanation["reasons"]["method"] if "reasons" in explanation else "exact"


def _score(folder: Path) -> None:
    from propensity.scoring.score_shard import score_shard
    from tests.kit.world import World

    for made in folder.rglob("scored/0001.parquet"):
        made.unlink()
    score_shard(World(PACK, folder), item="item.json")


def _label(folder: Path) -> None:
    import shutil

    from propensity.lake.domain.run_names import cuts_key
    from propensity.lake.json_objects import dumps
    from propensity.scoring.label_shard import label_shard
    from propensity.stats.list_places import Ranks
    from tests.kit.world import World

    world = World(PACK, folder)
    run = f"runs/score/{MODEL}/{DAY}-v000001-batch"
    cuts = tuple(number / 100 for number in range(1, 100))
    ranks = {f"dealer_{one:03d}": Ranks(ROWS // TENANTS, cuts).to_json() for one in range(TENANTS)}
    world.lake.put_new(cuts_key(run), dumps({"tenants": ranks}))
    shutil.rmtree(folder / "gold", ignore_errors=True)
    label_shard(world, item="item.json")


def _passes(folder: Path, features: Path) -> tuple[float, float, int]:
    """(CPU seconds of a plain pass, of a pass of the reasons, rows), the least of three of each, by turns."""
    import numpy as np

    from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
    from tests.kit.world import World

    world = World(PACK, folder)
    root = f"registry/{MODEL}/versions/000001"
    model, reasons = (
        OnnxScorer(world.lake.get(f"{root}/model.onnx")),
        OnnxReasons(world.lake.get(f"{root}/reasons.onnx")),
    )
    matrix = np.ascontiguousarray(_matrix(200_000, 5))
    times: list[tuple[float, float]] = []
    for _ in range(3):
        start = time.process_time()
        model.predict(matrix)
        middle = time.process_time()
        reasons.contributions(matrix)
        times.append((middle - start, time.process_time() - middle))
    return min(one for one, _ in times), min(two for _, two in times), len(matrix)
