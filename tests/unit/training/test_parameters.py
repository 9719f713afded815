"""scikit-learn takes what a candidate may state: the names, and values at the edges of their ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.kernel.errors import PackError
from propensity.pack.domain.model_spec import Family
from propensity.ports import Sample
from propensity.training.domain.parameters import PARAMETERS, check_parameter

TAKEN: dict[Family, dict[str, list[Any]]] = {
    "logistic_regression": {
        "C": [1e-9, 1, float("inf")],
        "l1_ratio": [0, 0.5, 1],
        "fit_intercept": [False],
        "max_iter": [1],
        "tol": [1e-6],
    },
    "hist_gradient_boosting": {
        "learning_rate": [1e-3, 1],
        "max_iter": [1],
        "max_leaf_nodes": [2, None],
        "max_depth": [1, None],
        "min_samples_leaf": [1],
        "l2_regularization": [0, 10.0],
        "max_features": [0.1, 1.0],
        "max_bins": [2, 255],
        "interaction_cst": ["pairwise", "no_interactions", None],
    },
    "random_forest": {
        "n_estimators": [1],
        "max_depth": [1],
        "min_samples_leaf": [1],
        "min_samples_split": [2],
        "min_impurity_decrease": [0.0],
        "max_leaf_nodes": [2, None],
        "max_features": [0.1, 1, 1.0, "sqrt", "log2", None],
        "max_samples": [0.5, 60],
        "criterion": ["gini", "entropy", "log_loss"],
        "ccp_alpha": [0.0],
    },
}
REFUSED: dict[Family, dict[str, list[Any]]] = {
    "logistic_regression": {
        "C": [0.0, -1.0, "1"],
        "l1_ratio": [-0.1, 1.1],
        "max_iter": [-1, 10.5],
        "tol": [-1e-3],
        "c": [1.0],
    },
    "hist_gradient_boosting": {
        "learning_rate": [0.0, "0.06"],
        "max_iter": [0, 40.5],
        "max_leaf_nodes": [1, 8.0],
        "max_depth": [0],
        "min_samples_leaf": [0],
        "l2_regularization": [-1.0],
        "max_features": [0.0, 1.1],
        "max_bins": [1, 256],
        "interaction_cst": ["pairs"],
        "min_sample_leaf": [20],
    },
    "random_forest": {
        "n_estimators": [0],
        "max_depth": [0, 5.5],
        "min_samples_leaf": [0],
        "min_samples_split": [1],
        "min_impurity_decrease": [-0.1],
        "max_leaf_nodes": [1],
        "max_features": [0, 1.1, "most"],
        "max_samples": [0],
        "criterion": ["squared_error"],
        "ccp_alpha": [-1.0],
        "learning_rate": [0.1],
    },
}


def fit(family: Family, name: str, value: Any) -> None:
    random = np.random.default_rng(7)
    matrix = random.normal(size=(120, 4)).astype(np.float32)
    train = Sample(matrix, (random.random(120) < 0.4).astype(np.int8), None)
    SklearnTrainer().fit(family, {name: value}, train, seed=1)


def flat(table: dict[Family, dict[str, list[Any]]]) -> list[tuple[Family, str, Any]]:
    return [(family, name, one) for family, names in table.items() for name, values in names.items() for one in values]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("family", "name", "value"), flat(TAKEN))
def test_what_may_be_stated_can_be_fitted(family: Family, name: str, value: Any) -> None:
    check_parameter(family, name, value, "here")
    fit(family, name, value)


@pytest.mark.parametrize(("family", "name", "value"), flat(REFUSED))
def test_what_cannot_be_fitted_may_not_be_stated(family: Family, name: str, value: Any) -> None:
    with pytest.raises((PackError, ValueError)):
        fit(family, name, value)
    with pytest.raises(PackError, match=f"here: candidate {family}, {name}"):
        check_parameter(family, name, value, "here")


def test_every_name_is_tried() -> None:
    tried = {family: list(names) for family, names in TAKEN.items()}
    assert {family: list(names) for family, names in PARAMETERS.items()} == tried
