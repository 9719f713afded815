"""A row's score and reasons are its own: the rows beside it and the number of threads change no bit of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.ports import FittedModel, Sample

WIDTH = 23
MODELS: dict[str, dict[str, Any]] = {
    "logistic_regression": {},
    "hist_gradient_boosting": {"max_iter": 120, "max_leaf_nodes": 8},
    # more than 80 trees: below that, onnxruntime adds them up in one order anyway
    "random_forest": {"n_estimators": 100, "max_depth": 6, "min_samples_leaf": 20},
}


def matrix(rows: int) -> Any:
    random = np.random.default_rng(1)
    made = random.normal(size=(rows, WIDTH)).astype(np.float32)
    made[random.random(made.shape) < 0.1] = np.nan
    return made


@cache
def fitted(family: str) -> FittedModel:
    known = matrix(3_000)
    labels = (np.nan_to_num(known[:, 0]) + np.random.default_rng(2).normal(size=len(known)) > 1).astype(np.int8)
    return SklearnTrainer().fit(family, MODELS[family], Sample(known, labels), seed=1)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("size", [1, 2, 7, 50, 51, 129, 1_000])
def test_a_score_does_not_depend_on_how_many_rows_are_scored_at_once(family: str, size: int) -> None:
    model, rows = OnnxScorer(fitted(family).onnx()), matrix(2_000)
    parts = [model.predict(rows[start : start + size]) for start in range(0, len(rows), size)]
    assert np.array_equal(np.concatenate(parts), model.predict(rows))


@pytest.mark.parametrize("family", MODELS)
def test_a_score_does_not_depend_on_the_number_of_threads(family: str) -> None:
    rows = matrix(20_001)
    one, two, five = (OnnxScorer(fitted(family).onnx(), threads=threads).predict(rows) for threads in (1, 2, 5))
    assert np.array_equal(one, two)
    assert np.array_equal(one, five)


@pytest.mark.parametrize("family", ["hist_gradient_boosting", "random_forest"])
def test_neither_does_a_reason(family: str) -> None:
    graph = fitted(family).reasons([0.0] * WIDTH)
    assert graph is not None
    rows = matrix(9_000)
    whole = OnnxReasons(graph.onnx, threads=1).contributions(rows)
    assert np.array_equal(whole, OnnxReasons(graph.onnx, threads=2).contributions(rows))
    alone = [OnnxReasons(graph.onnx).contributions(rows[row : row + 1]) for row in range(20)]
    assert np.array_equal(whole[:20], np.concatenate(alone))
    few = [OnnxReasons(graph.onnx).contributions(rows[start : start + 60]) for start in range(0, 600, 60)]
    assert np.array_equal(whole[:600], np.concatenate(few))
