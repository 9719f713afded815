"""Settings of a family are tried forward in time, each on its number of dates, and a rerun tries the same ones.

Trees keep to the declared directions of features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.adapters.onnx_scorer import OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.pack.current import pack_definition
from propensity.ports import Sample
from propensity.training.data import TrainingData
from propensity.training.fit_candidate import fit_candidate
from tests.kit.world import World

DAY = "2025-06-01"
SPACE = {
    "family": "logistic_regression",
    "grid": [],
    "space": {"C": {"low": 0.001, "high": 1, "log": True}, "l1_ratio": [0, 0.5]},
    "draws": 5,
}


def fitted(world: World, candidate: Mapping[str, Any] = SPACE, **training: Any) -> tuple[dict[str, Any], pa.Table]:
    """The fit.json of the only candidate, and the training rows."""
    with world.edited("models/service.yaml") as model:
        model["training"] |= training
        model["candidates"] = [candidate]
    plan = world.prepare("service", DAY)
    [item] = world.items(plan["fit_items"])
    fit_candidate(world, item=item)
    said: dict[str, Any] = json.loads(world.lake.get(json.loads(world.lake.get(item))["out"] + "/fit.json"))
    return said, pa.concat_tables([pq.read_table(world.folder / key) for key in world.feature_keys(plan)])


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


TREES = [
    ("hist_gradient_boosting", {"max_iter": 30, "min_samples_leaf": 20}),
    ("random_forest", {"n_estimators": 10, "min_samples_leaf": 20}),
]


@pytest.mark.parametrize(("family", "parameters"), TREES)
def test_trees_keep_to_a_features_direction_and_onnx_agrees(family: str, parameters: Mapping[str, Any]) -> None:
    """The second feature lowers the chance and is declared to raise it; for the third it is the other way round."""
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(3_000, 4)).astype(np.float32)
    matrix[chance.random(matrix.shape) < 0.1] = np.nan
    pull = np.nan_to_num(matrix) @ np.array([1.0, -0.7, 0.7, 0.2]) + chance.normal(size=3_000)
    labels = (pull > 0.5).astype(np.int8)
    fit, train = SklearnTrainer().fit, Sample(matrix, labels)
    free = fit(family, parameters, train, seed=7)
    held = fit(family, parameters, train, seed=7, directions=(1, 1, -1, 0))
    steps = np.linspace(-3, 3, 61, dtype=np.float32)
    for column, sign in ((0, 1), (1, 1), (2, -1)):
        grid = np.repeat(matrix[:40, np.newaxis], len(steps), axis=1)
        grid[:, :, column] = steps
        rises = [np.diff(model.predict(grid.reshape(-1, 4)).reshape(40, -1)) * sign for model in (held, free)]
        assert rises[0].min() >= -1e-12
        assert rises[1].min() < -0.01 or column == 0
    assert np.abs(OnnxScorer(held.onnx()).predict(matrix) - held.predict(matrix)).max() < 1e-6


@pytest.mark.parametrize(("family", "parameters"), TREES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_onnx_sends_a_missing_value_where_the_trees_do(
    family: str, parameters: Mapping[str, Any], share: float
) -> None:
    """Also for a feature that no training row lacks."""
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(2_000, 3)).astype(np.float32)
    labels = (matrix[:, 0] - matrix[:, 1] + chance.normal(size=2_000) > 0).astype(np.int8)
    known = matrix.copy()
    known[chance.random(known.shape) < share] = np.nan
    matrix[chance.random(matrix.shape) < 0.3] = np.nan
    fitted = SklearnTrainer().fit(family, parameters, Sample(known, labels), seed=7)
    assert np.abs(OnnxScorer(fitted.onnx()).predict(matrix) - fitted.predict(matrix)).max() < 1e-6


def test_a_fit_is_held_to_the_directions_of_the_definition(trained: World, tmp_path: Path) -> None:
    path = "features/service_history.yaml"

    def steepest(direction: str | None) -> float:
        """By how much a probability rises with one more visit, at most."""
        world = trained.copy(tmp_path / str(direction))
        with world.edited(path) as group:
            [visits] = [one for one in group["features"] if one["name"] == "visits_24m"]
            visits["monotonic"] = direction
        said, rows = fitted(world, {"family": "hist_gradient_boosting", "grid": [{"max_iter": 8}]}, newest=[2])
        names = pack_definition(world, "service").feature_names
        matrix = np.column_stack([rows[name].to_numpy()[:200] for name in names]).astype(np.float32)
        onnx = OnnxScorer(world.lake.get(f"{said['out']}/model.onnx"))
        several = []
        for visits_then in range(8):
            matrix[:, names.index("visits_24m")] = visits_then
            several.append(onnx.predict(matrix))
        return float(np.diff(several, axis=0).max())

    assert steepest("decreasing") <= 1e-7 < 0.001 < steepest(None)  # without a direction it rises, as in the data


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
