"""A gap-fill beside the full run: what its workers take where one customer in a hundred has no score yet."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.adapters.frames import ArrowFrames
from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
from propensity.features.build_features import build_features
from propensity.scoring.commit_run import commit_run
from propensity.scoring.label_shard import label_shard
from propensity.scoring.plan_scoring import plan_scoring
from propensity.scoring.rank_run import rank_run
from propensity.scoring.score_shard import score_shard
from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart
from tests.bench.scoring.customers import CUSTOMERS, add_customers
from tests.bench.scoring.features import lake_of
from tests.bench.scoring.prepare import DAY, MODEL, PACK
from tests.bench.scoring.store import LinkedStore
from tests.kit.world import World

NEXT_DAY = "2025-07-02"
_ROWS_PER_ITEM = 2_000_000  # the template's own number
_STEPS = {"build_features": build_features, "score_shard": score_shard, "label_shard": label_shard}


def claims(work: Path, runs: int, rows: int = CUSTOMERS) -> list[Claim]:
    """A batch of everybody; then a hundredth more customers, and a gap run the day after."""
    folder = lake_of(work, rows)
    batch, _ = full_run(folder, DAY, "batch")
    apart(add_customers, folder, rows, rows // 100, NEXT_DAY)
    gap, receipt = full_run(folder, NEXT_DAY, "gap")
    assert receipt["new"] == receipt["population"] - receipt["had"] > 0, receipt
    told = ", ".join(f"{step} {gap[step]:.1f} of {batch[step]:.1f} s" for step in _STEPS)
    name = f"gap-fill of {receipt['new']:,} of {receipt['population']:,}: workers' CPU beside the full run's"
    return [Claim.of(name, sum(gap.values()), sum(batch.values()), 0.1, 1, told)]


def full_run(folder: Path, day: str, scope: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Run a scoring run to its commit; CPU seconds by step over all items, and the receipt."""
    run, items = apart(_plan, folder, day, scope).result
    taken = {}
    for step in _STEPS:
        taken[step] = sum(apart(_work, folder, step, item).cpu for item in items)
        if step == "score_shard":
            apart(_rank, folder, run)
    return taken, apart(_commit, folder, run).result


def batch_of(folder: Path) -> None:
    """Score everybody, unless an earlier part did."""
    if not (folder / f"runs/score/{MODEL}/{DAY}-v000001-batch/receipt.json").exists():
        full_run(folder, DAY, "batch")


def _world(folder: Path) -> World:
    return World(PACK, folder, rows_per_item=_ROWS_PER_ITEM)


def _plan(folder: Path, day: str, scope: str) -> tuple[str, list[str]]:
    world = _world(folder)
    plan = plan_scoring(world, model=MODEL, as_of=day, scope=scope, request="bench")
    return plan["run"], world.items(plan["items"])


def _work(folder: Path, step: str, item: str) -> None:
    frames = ArrowFrames()
    ports: Any = SimpleNamespace(
        lake=LinkedStore(folder),
        sql=DuckDbSql,
        frames=frames,
        frame_streams=frames,
        scorer=OnnxScorer,
        reason_model=OnnxReasons,
    )
    _STEPS[step](ports, item=item)


def _rank(folder: Path, run: str) -> None:
    rank_run(_world(folder), run=run)


def _commit(folder: Path, run: str) -> dict[str, Any]:
    return commit_run(_world(folder), run=run)
