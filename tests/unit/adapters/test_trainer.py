"""scikit-learn's fits: grown in steps or at once, and equal in ONNX, also for forests and missing values."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.adapters.onnx_scorer import OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.kernel.errors import PackError
from propensity.ports import Sample
from propensity.stats.calibration import mean_log_loss as log_loss

TREES = {"learning_rate": 0.1, "max_leaf_nodes": 6, "min_samples_leaf": 20}


def rows(count: int = 1_000, seed: int = 5) -> Sample:
    """Rows with weights and missing values."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(count, 5)).astype(np.float32)
    logit = matrix[:, 0] - matrix[:, 1] * (matrix[:, 2] > 0) - 1
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    labels = (random.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return Sample(matrix, labels, random.uniform(0.5, 3, count))


def test_a_model_that_is_grown_is_the_one_that_is_fitted_at_once() -> None:
    train, trainer = rows(), SklearnTrainer()
    growing = trainer.grow("hist_gradient_boosting", {**TREES, "max_iter": 6}, train, rows(seed=6), patience=20, seed=3)
    assert (growing.iterations, growing.best) == (6, 6)
    for iterations in (9, 12):
        growing.grow(iterations)
    stages = list(growing.staged(train.matrix))
    assert len(stages) == growing.iterations == 12
    for iterations in (1, 6, 7, 9, 12):
        at_once = trainer.fit("hist_gradient_boosting", {**TREES, "max_iter": iterations}, train, seed=3)
        assert np.array_equal(stages[iterations - 1], at_once.predict(train.matrix))
    assert np.array_equal(next(iter(growing.staged(train.matrix, 10))), stages[9])


def test_a_model_grows_until_the_rows_it_is_held_against_gain_nothing_more() -> None:
    held = rows(seed=6)
    growing = SklearnTrainer().grow(
        "hist_gradient_boosting", {**TREES, "learning_rate": 0.4, "max_iter": 500}, rows(), held, patience=7, seed=3
    )
    losses = [log_loss(raw, held.labels, held.weights) for raw in growing.staged(held.matrix)]
    assert growing.best == int(np.argmin(losses)) + 1
    assert growing.best + 7 == growing.iterations == len(losses)
    unweighted = [log_loss(raw, held.labels, np.ones(len(held.labels))) for raw in growing.staged(held.matrix)]
    assert int(np.argmin(unweighted)) + 1 != growing.best  # the weights of the rows counted


def test_only_what_is_a_sum_of_small_models_can_be_grown() -> None:
    train = rows(100)
    with pytest.raises(PackError, match="logistic_regression: is fitted at once"):
        SklearnTrainer().grow("logistic_regression", {}, train, train, patience=1, seed=1)
    with pytest.raises(PackError, match="leaves"):
        SklearnTrainer().grow("hist_gradient_boosting", {"leaves": 3}, train, train, patience=1, seed=1)


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("random_forest", {"n_estimators": 10}),
        ("hist_gradient_boosting", {"max_iter": 10}),
        ("logistic_regression", {"C": 0.1}),
        ("logistic_regression", {"C": 0.1, "l1_ratio": 0.5}),
    ],
)
def test_onnx_gives_the_same_probabilities_missing_values_included(family: str, parameters: dict[str, float]) -> None:
    train = rows()
    fitted = SklearnTrainer().fit(family, parameters, train, seed=3)
    assert np.abs(OnnxScorer(fitted.onnx()).predict(train.matrix) - fitted.predict(train.matrix)).max() < 1e-5
    again = SklearnTrainer().fit(family, parameters, train, seed=3)
    assert np.array_equal(again.predict(train.matrix), fitted.predict(train.matrix))
    assert again.onnx() == fitted.onnx()


@pytest.mark.parametrize(
    ("family", "parameters"),
    [("logistic_regression", {"C": -1.0}), ("hist_gradient_boosting", {"learning_rate": "fast"})],
)
def test_a_value_that_a_parameter_cannot_have_is_told_with_its_name(family: str, parameters: dict[str, object]) -> None:
    [name] = parameters
    with pytest.raises(PackError, match=f"candidate {family}: .*'{name}'"):
        SklearnTrainer().fit(family, parameters, rows(100), seed=1)


def test_growing_tells_it_too() -> None:
    train, wrong = rows(100), {"learning_rate": -1}
    with pytest.raises(PackError, match=r"candidate hist_gradient_boosting: .*'learning_rate'"):
        SklearnTrainer().grow("hist_gradient_boosting", wrong, train, train, patience=1, seed=1)


@pytest.mark.parametrize("family", ["hist_gradient_boosting", "random_forest"])
@pytest.mark.parametrize("value", [0.1, 1.0, 2.9, 3.3e7])
def test_neighbours_of_single_precision_stay_on_their_sides(family: str, value: float) -> None:
    low = np.float32(value)
    for _ in range(4):  # every other middle rounds up
        high = np.nextafter(low, np.float32(np.inf))
        matrix = np.where(np.arange(2_000) % 2 == 0, low, high).astype(np.float32)[:, None]
        labels = (np.random.default_rng(1).random(2_000) < np.where(matrix[:, 0] == low, 0.1, 0.8)).astype(np.int8)
        fitted = SklearnTrainer().fit(family, {}, Sample(matrix, labels), seed=1)
        probes = np.array([[low], [high]], dtype=np.float32)
        np.testing.assert_allclose(OnnxScorer(fitted.onnx()).predict(probes), fitted.predict(probes), atol=1e-6)
        low = high


@pytest.mark.parametrize("family", ["hist_gradient_boosting", "random_forest"])
def test_a_value_beside_a_split_goes_to_the_same_side_in_onnx_where_values_are_few_and_close(family: str) -> None:
    random = np.random.default_rng(11)
    # a feature with one value per tenant: midway between two of them is often no 32-bit number
    levels = np.log(np.float32(270) + np.cumsum(random.random(25), dtype=np.float32))
    place = random.integers(0, len(levels), 4_000)
    matrix = np.stack([levels[place], random.normal(size=4_000).astype(np.float32)], axis=1)
    labels = (random.random(4_000) < 0.1 + 0.8 * place / len(levels)).astype(np.int8)
    fitted = SklearnTrainer().fit(family, {"min_samples_leaf": 50}, Sample(matrix, labels), seed=1)
    middles = ((levels[:-1].astype(np.float64) + levels[1:]) / 2).astype(np.float32)
    beside = np.concatenate([middles, np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(9))])
    probes = np.stack([beside, np.zeros_like(beside)], axis=1)
    gaps = np.abs(OnnxScorer(fitted.onnx()).predict(probes) - fitted.predict(probes))
    assert gaps.max() <= 1e-6
