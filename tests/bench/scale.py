"""make bench AREA=scale: what the steps cost that see a whole run at once, and the inputs of docs/why/scale.md.

A commit of 10,000 files, the cut points of millions of scores, and the features of generated dealers. Each is measured
in a fresh process, against nothing.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart
from tests.bench.scoring.models import LINEAR
from tests.bench.scoring.prepare import DAY, MODEL, PACK, RUN, make_item, write_features
from tests.bench.scoring.steps import label, score
from tests.fakes.folder_store import FolderStore

FILES = 10_000
RANKED = (1_000_000, 4_000_000)
DEALERS, CUSTOMERS = 10, 15_000
EACH = 1_539  # customers of a tenant: those of the demo, scored by 25 dealers
READS = ("get", "download", "head")
WRITES = ("put", "put_new", "upload_new", "keys", "infos")  # S3 bills a listing as it bills a write
STEPS = ("build_features", "score_shard", "label_shard", "publish_scores")


class CountingStore:
    """A store that counts the calls to it. What delta-rs reads and writes by itself is not among them."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self.reads = self.writes = 0

    def __getattr__(self, name: str) -> Any:
        self.reads += name in READS
        self.writes += name in WRITES
        return getattr(self._store, name)


def claims(work: Path, runs: int) -> list[Claim]:
    """Measure each once; `runs` is not used, for nothing is compared."""
    work.mkdir(parents=True, exist_ok=True)
    found = []
    folder = work / "commit"
    apart(_plan_commit, folder)
    commit = apart(_commit, folder)
    seconds, sizes = commit.result
    told = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    found.append(Claim.of(f"{FILES} files committed, seconds", seconds, None, None, 1, told))
    found.append(Claim.of(f"{FILES} files committed, peak memory in GB", commit.memory / 1024, None, 1.0, 1))
    kept = apart(_checkpoint, folder).result
    found.append(Claim.of("bytes a file of that in a checkpoint", kept / FILES, None, None, 1))
    for rows in RANKED:
        place = work / f"rank-{rows}"
        apart(_plan_rank, place, rows)
        rank = apart(_rank, place)
        seconds, lists, scored = rank.result
        sizes_told = f"lists {lists / 1e6:.1f} MB, files {scored / 1e6:.1f} MB"
        told = f"{rank.cpu:.1f} CPU seconds, peak {rank.memory:.0f} MB, {sizes_told}"
        found.append(Claim.of(f"{rows} scores of {rows // EACH} tenants ranked, seconds", seconds, None, None, 1, told))
    told_of = apart(_generated, work / "generated").result
    customers = told_of["customers"]
    shown = f"{customers} customers"
    for step in STEPS:
        seconds = told_of[f"{step} CPU"] * 1_000_000 / customers
        calls = f"{shown}, {told_of[f'{step} reads']} reads and {told_of[f'{step} writes']} writes of an item"
        found.append(Claim.of(f"{step} of 1,000,000 customers, CPU seconds", seconds, None, None, 1, calls))
    sizes = ("Silver rows", "Silver bytes", "features bytes", "scored bytes", "gold bytes", "online bytes")
    return found + [
        Claim.of(f"{name} of a customer", told_of[name] / customers, None, None, 1, shown) for name in sizes
    ]


def _plan_commit(folder: Path) -> None:
    """A run of 10,000 items, each with its results; the first item's files are there, as a schema to commit with."""
    from propensity.lake.domain.run_records import BuildResult, LabelledFile, LabelResult, ScoringPlan
    from propensity.lake.json_objects import dumps
    from propensity.lake.run_files import read_plan, write_result
    from propensity.registry.versions import load_version
    from tests.kit.world import World

    features = folder.parent / "features.parquet"
    write_features(features, 2_000)
    make_item(folder, LINEAR, features)
    score(folder)
    label(folder)
    world = World(PACK, folder)
    table = f"features/{load_version(world.lake, MODEL, 1).lineage['feature_set']}"
    [scored, *_] = sorted((folder / "gold/scores").rglob("*.parquet"))
    name = scored.relative_to(folder / "gold/scores").as_posix()
    (folder / table).mkdir(parents=True, exist_ok=True)
    (folder / "features/bench/0001.parquet").rename(folder / table / "00001.parquet")
    plan = read_plan(world.lake, RUN, ScoringPlan).model_copy(update={"groups": [[one] for one in range(FILES)]})
    world.lake.put(f"{RUN}/plan.json", dumps(plan))
    for made in (folder / RUN / "results/label_shard").glob("*.json"):
        made.unlink()
    for index in range(1, FILES + 1):
        built = BuildResult(population=10_000, rows=10_000, bytes=700_000, features=f"{table}/{index:05d}.parquet")
        path = name if index == 1 else name.replace(".parquet", f"-{index:05d}.parquet")
        file = LabelledFile(path=path, bucket_count=FILES, bucket=index - 1, rows=10_000, size=900_000)
        write_result(world.lake, RUN, BuildResult.step, index, built)
        write_result(world.lake, RUN, LabelResult.step, index, LabelResult(files=[file], rows=10_000))


def _commit(folder: Path) -> tuple[float, dict[str, int]]:
    """(seconds, bytes of the two commits' entries in their logs)."""
    from propensity.scoring.commit_run import commit_run
    from tests.kit.world import World

    start = time.perf_counter()
    receipt = commit_run(World(PACK, folder), run=RUN)
    seconds = time.perf_counter() - start
    assert receipt["new"] == FILES * 10_000
    logs = {"entry of the scores": "gold/scores", "entry of the features": "features/*"}
    sizes = {
        name: max(path.stat().st_size for path in folder.glob(f"{table}/_delta_log/*.json"))
        for name, table in logs.items()
    }
    return seconds, sizes


def _checkpoint(folder: Path) -> int:
    from deltalake import DeltaTable

    DeltaTable(str(folder / "gold/scores")).create_checkpoint()
    return sum(path.stat().st_size for path in (folder / "gold/scores/_delta_log").glob("*.checkpoint*.parquet"))


def _plan_rank(folder: Path, rows: int) -> None:
    """The scores of a run in files of 250,000, as score_shard writes them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from propensity.lake.domain.run_names import plan_key
    from propensity.lake.domain.run_records import ScoreResult, ScoringPlan
    from propensity.lake.json_objects import dumps
    from propensity.lake.run_files import write_result
    from tests.kit.world import World

    world, part, chance = World(PACK, folder), 250_000, np.random.default_rng(6)
    plan = {"model": MODEL, "version": 1, "calibration": 0, "scope": "batch", "as_of": DAY, "silver": {}}
    groups = [[one] for one in range(rows // part)]
    world.lake.put(plan_key(RUN), dumps(ScoringPlan.model_validate({**plan, "groups": groups, **_nothing()})))
    for index in range(1, len(groups) + 1):
        raw, score = chance.beta(2, 20, (2, part))
        columns: dict[str, Any] = {
            "tenant_id": pa.array([f"dealer_{one // EACH:05d}" for one in range((index - 1) * part, index * part)]),
            "customer_id": pa.array([f"C{index:03d}{one:06d}" for one in range(part)]),
            "bucket": np.full(part, index, dtype=np.int32),
            "as_of": pa.array(np.full(part, np.datetime64(DAY))),
            "raw": raw,
            "score": score,
        }
        key = f"{RUN}/scored/{index:04d}.parquet"
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), folder / key, compression="zstd", store_schema=False)
        write_result(world.lake, RUN, ScoreResult.step, index, ScoreResult(rows=part, scored=key))


def _nothing() -> dict[str, None]:
    return dict.fromkeys(("silver_at", "batch_as_of", "batch_run", "scores_version"))


def _rank(folder: Path) -> tuple[float, int, int]:
    """(seconds, bytes of the lists, bytes of the scores)."""
    from propensity.scoring.rank_run import rank_run
    from tests.kit.world import World

    start = time.perf_counter()
    rank_run(World(PACK, folder), run=RUN)
    seconds = time.perf_counter() - start
    return seconds, (folder / RUN / "cuts.json").stat().st_size, _size(folder / RUN / "scored")


def _generated(folder: Path) -> dict[str, float]:
    """CPU seconds, calls of the store and sizes of one batch of generated dealers in one work item."""
    from propensity.features.build_features import build_features
    from propensity.scoring.label_shard import label_shard
    from propensity.scoring.plan_scoring import plan_scoring
    from propensity.scoring.publish_scores import publish_scores
    from propensity.scoring.rank_run import rank_run
    from propensity.scoring.score_shard import score_shard
    from tests.kit.registries import crown
    from tests.kit.world import World
    from tests.stack.automotive import AS_OF, generate

    world = World(PACK, folder / "lake", rows_per_item=1_000_000_000).with_dates(2)
    world.load(generate(folder / "drops", dealers=DEALERS, customers=CUSTOMERS, alike=True).phases["history"])
    for name in world.datasets:
        world.tables.compact(f"silver/{name}")
    trees = {"max_iter": 120, "max_leaf_nodes": 8, "min_samples_leaf": 50}
    with world.edited(f"models/{MODEL}.yaml") as model:
        model["candidates"] = [{"family": "hist_gradient_boosting", "grid": [trees]}]
        model.pop("ladder", None)
    crown(world.lake, MODEL, world.train(MODEL, AS_OF.isoformat())["version"])
    plan = plan_scoring(world, model=MODEL, as_of=AS_OF.isoformat(), scope="batch")
    [item] = world.items(plan["items"])
    found: dict[str, float] = {}
    lake = world.lake
    for name, step in zip(STEPS, (build_features, score_shard, label_shard, publish_scores), strict=True):
        if name == "label_shard":
            rank_run(world, run=plan["run"])
        store = CountingStore(lake)
        world.lake = store  # type: ignore[assignment]
        start = time.process_time()
        step(world, item=item)
        seconds = time.process_time() - start
        found |= {f"{name} CPU": seconds, f"{name} reads": store.reads, f"{name} writes": store.writes}
    snapshots = [world.tables.snapshot(f"silver/{name}") for name in world.datasets]
    silver = [file for snapshot in snapshots if snapshot for file in snapshot.files]
    written = world.folder
    sizes = {
        "customers": len(world.online.items),
        "Silver rows": sum(file.rows for file in silver),
        "Silver bytes": sum(file.size for file in silver),
        "features bytes": (written / json.loads((written / item).read_text())["out"]).stat().st_size,
        "scored bytes": _size(written / plan["run"] / "scored"),
        "gold bytes": _size(written / "gold/scores"),
        "online bytes": sum(_online_size(score) for score in world.online.items.values()),
    }
    return found | sizes


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def _online_size(score: Any) -> int:
    """Bytes that DynamoDB counts for an item: the names and the values of its attributes."""
    from propensity.adapters.dynamo_online import _item

    return sum(len(name) + len(next(iter(value.values()))) for name, value in _item(score).items())
