"""What scoring and labelling cost for each family of models, as multiples of the floor on the same file."""

from __future__ import annotations

from pathlib import Path

from tests.bench.measure import Claim
from tests.bench.scoring.apart import Cost, apart, middle_cpu, most_memory
from tests.bench.scoring.floor import read_and_write
from tests.bench.scoring.prepare import MODEL, Side, definition, make_item, write_features
from tests.bench.scoring.steps import label, passes, score

ROWS = 1_000_000
_PASSES = 3

LINEAR = Side("logistic regression", "logistic_regression")
TREES_8 = Side(
    "boosted trees 120 x 8", "hist_gradient_boosting", {"max_iter": 120, "max_leaf_nodes": 8}, method="shapley"
)
TREES_16 = Side(
    "boosted trees 120 x 16", "hist_gradient_boosting", {"max_iter": 120, "max_leaf_nodes": 16}, method="shapley"
)
TREES_31 = Side(
    "boosted trees 200 x 31", "hist_gradient_boosting", {"max_iter": 200, "max_leaf_nodes": 31}, method="path"
)
FOREST = Side(
    "forest of 100",
    "random_forest",
    {"n_estimators": 100, "max_depth": 10, "min_samples_leaf": 50},
    method="path",
)
BARS = ((LINEAR, 4.0), (TREES_8, 10.0), (TREES_31, 16.0), (FOREST, 16.0))
MEMORY = 400


def claims(work: Path, runs: int, rows: int = ROWS) -> list[Claim]:
    """Each model by turns with the floor; the passes of the reasons beside plain passes."""
    features = work / f"features-{rows}.parquet"
    if not features.exists():
        apart(write_features, features, rows)
    found = []
    for side, most in BARS:
        folder = made(work, side, features)
        turns = [_turn(folder, features, work / "floor.parquet") for _ in range(runs)]
        floor, scored, labelled = (middle_cpu([turn[place] for turn in turns]) for place in range(3))
        told = f"score {scored:.2f} s, label {labelled:.2f} s, reasons by {side.method}"
        name = f"{rows:,} rows, {side.name}"
        found.append(Claim.of(f"{name}: CPU of scores with reasons", scored + labelled, floor, most, runs, told))
        if side is LINEAR:
            found.append(Claim.of(f"{name}: CPU of scores without reasons", scored, floor, 1.5, runs))
        peak = most_memory([cost for turn in turns for cost in turn[1:]])
        found.append(Claim.of(f"{name}: peak memory in MB", peak, None, MEMORY, runs))
    for side in (TREES_8, TREES_16, TREES_31, FOREST):
        folder = made(work, side, features)
        plain, reasons = apart(passes, folder, MODEL, features, definition().feature_names, _PASSES).result
        bar = 2.0 if side.method == "shapley" else None
        told = f"reasons by {side.method}"
        found.append(Claim.of(f"{side.name}: CPU of a pass of reasons", reasons, plain, bar, _PASSES, told))
    return found


def made(work: Path, side: Side, features: Path) -> Path:
    """The side's lake over a features file, made by the first part that asks for it."""
    folder = work / f"{features.stem}-{side.name.replace(' ', '-')}"
    if not folder.exists():
        apart(make_item, folder, side, features)
    return folder


def _turn(folder: Path, features: Path, out: Path) -> tuple[Cost, Cost, Cost]:
    return apart(read_and_write, features, out), apart(score, folder), apart(label, folder)
