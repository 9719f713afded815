"""A row that stands for several counts as so many, whatever the family."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.adapters.sklearn_trainer import SklearnTrainer


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(2_000, 3)).astype(np.float32)
    labels = (matrix[:, 0] + chance.normal(size=2_000) > 1).astype(np.int8)
    return matrix, labels, chance.integers(1, 4, size=2_000)


def test_a_weighted_linear_fit_is_the_fit_of_the_rows_repeated() -> None:
    matrix, labels, times = rows()
    weighted = SklearnTrainer().fit("logistic_regression", {}, matrix, labels, seed=1, weights=times.astype(float))
    whole = SklearnTrainer().fit("logistic_regression", {}, matrix.repeat(times, axis=0), labels.repeat(times), seed=1)
    # the imputer is not asked: nothing is missing
    assert weighted.predict(matrix) == pytest.approx(whole.predict(matrix), abs=1e-4)


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("logistic_regression", {}),
        ("hist_gradient_boosting", {"max_iter": 20, "min_samples_leaf": 200}),
        ("random_forest", {}),
    ],
)
def test_a_fit_on_a_quarter_of_the_negatives_with_weights_has_the_rate_of_all_rows(
    family: str, parameters: dict[str, int]
) -> None:
    matrix, labels, _ = rows()
    kept = (labels == 1) | (np.arange(len(labels)) % 4 == 0)
    weights = np.where(labels == 1, 1.0, 4.0)[kept]
    fitted = SklearnTrainer().fit(family, parameters, matrix[kept], labels[kept], seed=1, weights=weights)
    unweighted = SklearnTrainer().fit(family, parameters, matrix[kept], labels[kept], seed=1)
    assert fitted.predict(matrix).mean() == pytest.approx(labels.mean(), abs=0.03)
    assert unweighted.predict(matrix).mean() > labels.mean() + 0.1
