"""Settings of a family: tried forward in time, on as many dates as they say, the same ones whenever they are tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from propensity.usecases.fit_candidate import fit_candidate
from propensity.usecases.training_data import TrainingData
from tests.functional.harness import World

DAY = "2025-06-01"
SPACE = {
    "family": "logistic_regression",
    "grid": [],
    "space": {"C": {"low": 0.001, "high": 1, "log": True}, "l1_ratio": [0, 0.5]},
    "draws": 5,
}


def fitted(world: World, **training: Any) -> tuple[dict[str, Any], pa.Table]:
    """What the only candidate's fit.json says, and the training rows."""
    model = yaml.safe_load(world.pack_files["models/service.yaml"])
    model["training"] |= training
    model["candidates"] = [SPACE]
    world.pack_files = {**world.pack_files, "models/service.yaml": yaml.safe_dump(model)}
    plan = world.prepare("service", DAY)
    [item] = world.items(plan["fit_items"])
    fit_candidate(world, item=item)
    said: dict[str, Any] = json.loads(world.lake.get(json.loads(world.lake.get(item))["out"] + "/fit.json"))
    keys = [json.loads(world.lake.get(one))["out"] for one in world.items(plan["build_items"])]
    return said, pa.concat_tables([pq.read_table(world.folder / key) for key in keys])


@pytest.mark.parametrize("dates", [1, 2])
def test_a_fit_takes_as_many_of_the_newest_dates_as_its_setting_says(
    trained: World, tmp_path: Path, dates: int
) -> None:
    said, rows = fitted(trained.copy(tmp_path), newest=[dates])
    newest = sorted(set(rows["as_of"].to_pylist()))[-dates:]
    taken = [
        label for day, label in zip(rows["as_of"].to_pylist(), rows["label"].to_pylist(), strict=True) if day in newest
    ]
    assert (said["dates"], said["rows"], said["positives"]) == (dates, len(taken), sum(taken))
    assert {trial["setting"]["dates"] for trial in said["tried"]} == {dates}


def test_every_setting_is_tried_and_the_best_on_all_rows_is_taken(trained: World, tmp_path: Path) -> None:
    said, _ = fitted(trained.copy(tmp_path))
    whole = [trial for trial in said["tried"] if trial["share"] == 1]
    assert len({json.dumps(trial["setting"]) for trial in said["tried"]}) == 5
    best = min(whole, key=lambda trial: trial["loss"])
    assert best["setting"] == {"parameters": said["parameters"], "dates": said["dates"]}
    assert best["loss"] == pytest.approx(np.mean(said["losses"]))
    assert len(said["losses"]) == len(said["folds"]) > 1


def test_a_share_has_both_classes_in_their_proportion_and_is_the_same_again() -> None:
    labels = np.array([1] * 40 + [0] * 960, dtype=np.int8)
    days = np.repeat(np.array(["2025-01-01", "2025-02-01"], dtype="datetime64[D]"), 500)
    data = TrainingData(np.zeros((1000, 1), np.float32), labels, days)
    everything = np.ones(1000, dtype=bool)
    kept = data.sample(everything, 0.25, seed=3)
    assert (int(kept.sum()), int(labels[kept].sum())) == (250, 10)
    assert (data.sample(everything, 0.25, seed=3) == kept).all()
    assert int(labels[data.sample(everything, 0.001, seed=3)].sum()) == 1
    assert not (data.sample(data.newest(everything, 1), 0.5, seed=3) & (days < days[-1])).any()
