"""Reasons of a score: exact contributions for a linear model, ablation for any other, and their sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from propensity.adapters.onnx_scorer import OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.pack.domain.feature_spec import Feature
from propensity.ports import Sample
from propensity.registry.domain.reason_texts import sentence, top_reasons
from propensity.registry.domain.reasons import ablation, contributions, explain, typical_values

WIDTH = 4
EXACT = st.floats(-2, 2, width=32)
VALUES = st.one_of(EXACT, st.just(np.nan))


def linear(coefficients: Any, reference: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """The explanation of a linear model, and the model. A missing value counts as the reference."""
    explanation = {
        "kind": "linear",
        "coefficients": coefficients.tolist(),
        "imputed": reference.tolist(),
        "mean": reference.tolist(),
        "scale": [1.0] * WIDTH,
    }

    def predict(matrix: Any) -> Any:
        total = np.where(np.isnan(matrix), reference, matrix).astype(np.float64) @ coefficients
        return 1 / (1 + np.exp(-total))

    return explanation, predict


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(0, 9), st.just(WIDTH)), elements=VALUES),
    arrays(np.float64, WIDTH, elements=st.floats(-1, 1)),
    arrays(np.float32, WIDTH, elements=EXACT),
    st.integers(1, 10_000),
)
def test_ablation_of_a_linear_model_is_its_exact_contributions_whatever_the_batch(
    matrix: Any, coefficients: Any, reference: Any, batch_bytes: int
) -> None:
    explanation, predict = linear(coefficients, reference)
    found = ablation(predict, matrix, reference, batch_bytes)
    np.testing.assert_allclose(found, contributions(explanation, matrix), atol=1e-5)


def test_no_batch_is_larger_than_it_may_be_and_typical_values_are_not_scored_again() -> None:
    matrix = np.ones((100, WIDTH), dtype=np.float32)
    matrix[:, 0] = 0
    sizes = []

    def predict(batch: Any) -> Any:
        sizes.append(batch.nbytes)
        return np.full(len(batch), 0.5)

    ablation(predict, matrix, np.array([0, 0, 0, 1]), batch_bytes=10 * matrix.itemsize * WIDTH**2)
    own, *batches = sizes
    assert own == matrix.nbytes
    assert max(batches) <= 10 * matrix.itemsize * WIDTH**2
    assert sum(batches) == 2 * matrix.nbytes  # two of the four features are away from the usual value


@pytest.fixture(scope="module", params=["hist_gradient_boosting", "random_forest"])
def trees(request: pytest.FixtureRequest) -> tuple[OnnxScorer, Any]:
    """A model of features 0 and 1, where 0 matters more. Feature 2 is constant, and 1 is often missing."""
    random = np.random.default_rng(3)
    matrix = random.normal(size=(2_000, 3)).astype(np.float32)
    labels = (2 * matrix[:, 0] + 0.7 * matrix[:, 1] + random.normal(size=2_000) > 0).astype(int)
    matrix[::5, 1] = np.nan
    matrix[:, 2] = 1
    fitted = SklearnTrainer().fit(request.param, {}, Sample(matrix, labels), seed=1)
    return OnnxScorer(fitted.onnx()), matrix


FEATURES = [Feature(name=name, description=name.title()) for name in ("strong", "weak", "constant")]


def test_a_feature_that_the_model_ignores_moves_nothing_and_is_no_reason(trees: tuple[OnnxScorer, Any]) -> None:
    model, matrix = trees
    other = matrix.copy()
    other[:, 2] = 5
    explained = explain({"kind": "opaque", "typical": [0.0, 0.0, 1.0]}, model.predict, other)
    assert explained.method == "ablation"
    assert np.abs(explained.contributions[:, 2]).max() < 1e-5
    assert 2 not in top_reasons(explained, FEATURES, other, 3).places


def test_reasons_of_trees_come_in_order_of_what_they_moved_and_say_which_way(trees: tuple[OnnxScorer, Any]) -> None:
    model, matrix = trees
    typical = typical_values(FEATURES, matrix)
    explained = explain({"kind": "opaque", "typical": typical}, model.predict, matrix)
    strength = np.abs(explained.contributions).mean(axis=0)
    assert strength[0] > strength[1] > 0
    top = top_reasons(explained, FEATURES, matrix, 3)
    for row in range(len(matrix)):
        said = list(top.of_row(row, FEATURES))
        moved = [abs(contribution) for _, contribution, _ in said]
        assert moved == sorted(moved, reverse=True)
        for _, contribution, text in said:
            assert text.endswith(" (raises the score)" if contribution > 0 else " (lowers the score)")
    far = matrix[:, 0] > 1
    assert (explained.contributions[far, 0] > 0).mean() > 0.95


def test_a_version_of_trees_without_typical_values_gives_no_reasons(trees: tuple[OnnxScorer, Any]) -> None:
    model, matrix = trees
    explained = explain({"kind": "opaque"}, model.predict, matrix[:2])
    assert explained.method is None
    assert (top_reasons(explained, FEATURES, matrix[:2], 3).places == -1).all()


def test_what_is_typical_is_a_value_that_somebody_has_or_missing() -> None:
    features = [
        Feature(name="visits", dtype="integer", description=""),
        Feature(name="leased", dtype="boolean", description=""),
        Feature(name="lease_end", description=""),
        Feature(name="fuel", dtype="category", categories=("petrol", "diesel"), description=""),
    ]
    nan = np.nan
    matrix = np.array([[1, 0, nan, 1], [2, 0, nan, 1], [3, 1, 7, 0], [4, nan, nan, nan]], dtype=np.float32)
    assert typical_values(features, matrix) == [2.0, 0.0, None, 1.0]
    assert typical_values(features, matrix[:0]) == [None] * 4


def test_contributions_add_up_to_the_models_own_logit() -> None:
    random = np.random.default_rng(8)
    matrix = random.normal(size=(500, 3)).astype(np.float32)
    labels = (matrix[:, 0] - matrix[:, 2] + random.normal(size=500) > 0).astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, labels)
    scaler, regression = model[0], model[1]
    explanation = {
        "coefficients": regression.coef_[0].tolist(),
        "imputed": [0.0] * matrix.shape[1],
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
    }
    total = contributions(explanation, matrix).sum(axis=1) + float(regression.intercept_[0])
    assert total == pytest.approx(model.decision_function(matrix), abs=1e-4)


def test_reasons_are_the_largest_moves_and_read_as_sentences() -> None:
    features = [
        Feature(
            name="log_days",
            description="Days",
            shown_as="expm1",
            reason="last visit {value:.0f} days ago; typical {typical:.0f}",
        ),
        Feature(name="leased", dtype="boolean", description="Leased", reason="leased: {value}"),
        Feature(name="spend", description="Spend"),
    ]
    explanation = {
        "kind": "linear",
        "coefficients": [3.0, -2.0, 0.1],
        "imputed": [0, 0, 5],
        "mean": [3.0, 0.2, 5],
        "scale": [1, 1, 1],
    }
    matrix = np.array([[np.log1p(9), 1, np.nan]], dtype=np.float32)
    explained = explain(explanation, lambda _: None, matrix)
    reasons = top_reasons(explained, features, matrix, 2).of_row(0, features)
    assert explained.method == "exact"
    assert [(name, contribution > 0, said) for name, contribution, said in reasons] == [
        ("log_days", False, "last visit 9 days ago; typical 19 (lowers the score)"),
        ("leased", False, "leased: yes (lowers the score)"),
    ]
    later = np.array([[9.0, 0, np.nan]], dtype=np.float32)
    [(_, moved, said)] = top_reasons(explain(explanation, lambda _: None, later), features, later, 1).of_row(
        0, features
    )
    assert (moved > 0, said.endswith(" (raises the score)")) == (True, True)
    assert sentence(features[0], float(np.log1p(9)), float("nan")) == "last visit 9 days ago; typical unknown"
    assert sentence(features[2], float("nan"), 5) == "Spend: unknown"
