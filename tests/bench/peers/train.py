"""make bench-peers AREA=train: the same dates and features beside FLAML, which gets the wall time that ours took."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.pack.current import pack_definition
from propensity.training.data import folds, read_training
from propensity.training.fit_candidate import fit_candidate
from tests.bench.measure import Claim
from tests.bench.peers import peer
from tests.bench.retail import MODEL, ORIGINS, auc_of_scores, bought_after, features_of, load, of_that_date, paired
from tests.kit.world import World

PACKAGES = ("flaml[automl]==2.7.0", "scikit-learn==1.9.1", "pandas==3.1.1", "numpy==2.5.5")


def claims(work: Path, runs: int) -> list[Claim]:
    """`runs` is not used: the dates are the repetitions."""
    world = load(work)
    ours, theirs = [], []
    for origin in ORIGINS:
        day = origin.isoformat()
        seconds = _train(world, day)
        scored = world.score(MODEL, day)
        ours.append(1 - auc_of_scores(world, day))
        told = peer("flaml_rows.py", PACKAGES, str(_rows(world, day, scored["run"], work)), str(seconds))
        theirs.append(1 - told["auc"])
        print(f"{day}: ours {ours[-1]:.4f} in {seconds:.0f} s, FLAML {theirs[-1]:.4f} in {told['seconds']:.0f} s")
    return [paired(f"Online Retail II, {MODEL}, 1 - AUC, mean of 7 dates, against FLAML", ours, theirs)]


def _train(world: World, day: str) -> float:
    """Seconds of fitting and choosing, for FLAML does both too."""
    plan = world.prepare(MODEL, day)
    start = time.perf_counter()
    for item in world.items(plan["fit_items"]):
        fit_candidate(world, item=item)
    evaluate_candidate(world, run=plan["run"])
    seconds = time.perf_counter() - start
    of_that_date(world, world.register(plan["run"]))
    return seconds


def _rows(world: World, day: str, scored: str, work: Path) -> Path:
    """Write for another process the training rows, their folds, and the customers to score with their outcomes."""
    definition = pack_definition(world, MODEL)
    run = f"runs/train/{MODEL}/{day}"
    keys = [json.loads(world.lake.get(item))["out"] for item in world.items(f"{run}/items.json")]
    data = read_training(world, keys, definition)
    made = folds(data, definition.model)
    test, bought = features_of(world, scored), bought_after(world, day)
    people = zip(test["tenant_id"].to_pylist(), test["customer_id"].to_pylist(), strict=True)
    path = work / f"{day}.npz"
    np.savez(
        path,
        matrix=data.matrix,
        labels=data.labels,
        train=[fold.train for fold in made],
        valid=[fold.valid for fold in made],
        test=np.column_stack([test[name].to_numpy() for name in definition.feature_names]),
        test_labels=[one in bought for one in people],
    )
    return path
