"""The reasons of trees: exact Shapley values by enumeration, whatever the tree, the customer and the row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.onnx_reasons import read_trees, reasons_graph, written
from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.ports import Sample
from propensity.registry.domain.tree_reasons import Asked, Leaf, Reasoned, Split, Tree, reached, reason_trees
from propensity.stats.calibration import logit

WIDTH = 4
THRESHOLDS = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, float("inf")])
VALUES = st.sampled_from([-float("inf"), -1.0, -0.75, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, float("inf"), float("nan")])
ROWS = st.lists(VALUES, min_size=WIDTH, max_size=WIDTH)
LEAVES = st.integers(-8, 8).map(lambda number: Leaf(number / 4))
TREES: st.SearchStrategy[Tree] = st.recursive(
    LEAVES,
    lambda trees: st.builds(Split, st.integers(0, WIDTH - 1), THRESHOLDS, st.booleans(), trees, trees),
    max_leaves=10,
)


def used(tree: Tree) -> set[int]:
    return {tree.feature} | used(tree.left) | used(tree.right) if isinstance(tree, Split) else set()


def shapley(tree: Tree, typical: Sequence[float], row: Sequence[float]) -> list[float]:
    """Baseline Shapley values by their definition: every set of features that a mixture may take from the row."""
    features = sorted(used(tree))
    size = len(features)

    def value(taken: tuple[bool, ...]) -> float:
        mixture = list(typical)
        for feature, take in zip(features, taken, strict=True):
            mixture[feature] = row[feature] if take else typical[feature]
        return reached(tree, mixture)

    out = [0.0] * WIDTH
    for place, feature in enumerate(features):
        for taken in product((False, True), repeat=size):
            if not taken[place]:
                before = sum(taken)
                share = factorial(before) * factorial(size - before - 1) / factorial(size)
                out[feature] += share * (value((*taken[:place], True, *taken[place + 1 :])) - value(taken))
    return out


def moved(tree: Reasoned, row: Sequence[float]) -> list[float]:
    while isinstance(tree, Asked):
        value = row[tree.feature]
        left = tree.nan_left if value != value else value <= tree.threshold
        tree = tree.left if left else tree.right
    return [tree.moved.get(feature, 0.0) for feature in range(WIDTH)]


@settings(max_examples=400, deadline=None)
@given(TREES, ROWS, st.lists(ROWS, min_size=1, max_size=6))
def test_patterns_give_the_shapley_values_of_the_definition(
    tree: Tree, typical: list[float], rows: list[list[float]]
) -> None:
    method, [reasoned] = reason_trees([tree], typical)
    assert method == "shapley"
    for row in [*rows, typical]:
        assert moved(reasoned, row) == pytest.approx(shapley(tree, typical, row), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(TREES, ROWS, ROWS)
def test_both_methods_add_up_to_the_distance_from_the_typical_customer(
    tree: Tree, typical: list[float], row: list[float]
) -> None:
    distance = reached(tree, row) - reached(tree, typical)
    for most in (100_000, 0):
        method, [reasoned] = reason_trees([tree], typical, most)
        assert method == ("shapley" if most else "path")
        assert sum(moved(reasoned, row)) == pytest.approx(distance, abs=1e-12)


def test_trees_with_too_many_patterns_get_the_method_path_and_say_so() -> None:
    def comb(depth: int) -> Tree:
        return Leaf(depth) if depth == 0 else Split(depth % WIDTH, depth / 10, False, Leaf(depth), comb(depth - 1))

    assert reason_trees([comb(4)] * 3, [0.0] * WIDTH)[0] == "shapley"
    assert reason_trees([comb(4)] * 3, [0.0] * WIDTH, most=5)[0] == "path"
    assert reason_trees([comb(40)], [0.0] * WIDTH)[0] == "path"  # more leaves than can be told apart


SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("hist_gradient_boosting", {"max_iter": 40, "max_leaf_nodes": 8, "min_samples_leaf": 20}, "shapley"),
    ("hist_gradient_boosting", {"max_iter": 40, "max_leaf_nodes": 63, "min_samples_leaf": 5}, "path"),
    ("random_forest", {"n_estimators": 20}, "path"),
    ("random_forest", {"n_estimators": 20, "max_depth": 3}, "shapley"),
]


@pytest.mark.parametrize(("family", "parameters", "method"), SETTINGS)
def test_the_graph_of_a_fitted_model_adds_up_to_its_scores(
    family: str, parameters: dict[str, Any], method: str
) -> None:
    random = np.random.default_rng(5)
    matrix = random.normal(size=(6_000, WIDTH)).astype(np.float32)
    matrix[:, 1] = np.round(matrix[:, 1])
    labels = (matrix[:, 0] + matrix[:, 1] * matrix[:, 2] + random.normal(size=6_000) > 0).astype(int)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    fitted = SklearnTrainer().fit(family, parameters, Sample(matrix, labels), seed=1)
    typical = [0.1, 0.0, None, -0.2]
    graph = fitted.reasons(typical)
    assert graph is not None
    assert graph.method == method
    matrix[0], matrix[1] = np.inf, -np.inf
    reference = np.array([[np.nan if value is None else value for value in typical]], dtype=np.float32)
    model = OnnxScorer(fitted.onnx())
    raw, start = model.predict(matrix), model.predict(reference)
    found = OnnxReasons(graph.onnx).contributions(matrix)
    distance = logit(raw) - logit(start) if graph.unit == "logit" else raw - start
    np.testing.assert_allclose(found.sum(axis=1), distance, atol=1e-5)
    trees = read_trees(fitted.onnx())
    assert trees
    if method == "shapley":
        some = matrix[:4].tolist()
        by_definition = [np.sum([shapley(tree, reference[0].tolist(), row) for tree in trees], axis=0) for row in some]
        np.testing.assert_allclose(found[:4], by_definition, atol=1e-5)


def test_a_linear_model_has_no_graph_of_reasons() -> None:
    matrix = np.random.default_rng(1).normal(size=(500, WIDTH)).astype(np.float32)
    fitted = SklearnTrainer().fit("logistic_regression", {}, Sample(matrix, (matrix[:, 0] > 0).astype(int)), seed=1)
    assert fitted.reasons([0.0] * WIDTH) is None
    assert reasons_graph(fitted.onnx(), [0.0] * WIDTH, unit="logit") is None


def test_an_ensemble_of_stumps_that_never_split_moves_nothing() -> None:
    matrix = np.ones((3, WIDTH), dtype=np.float32)
    _, trees = reason_trees([Leaf(0.5)], [0.0] * WIDTH)
    for reasoned in (trees, []):
        assert not OnnxReasons(written(reasoned, WIDTH)).contributions(matrix).any()
