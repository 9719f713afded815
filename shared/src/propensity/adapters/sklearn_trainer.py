"""The Trainer port over scikit-learn and skl2onnx.

Only these set-ups convert to ONNX without errors (docs/decisions/0051-forests-route-missing-values-in-the-graph.md):
float32 input, imputer and scaler in front of the linear model only, no calibrator and no scaler around the trees,
`zipmap` off, and a fixed opset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from propensity.adapters.onnx_reasons import OPSET, reasons_graph
from propensity.kernel.errors import PackError
from propensity.ports import ReasonGraph, Sample
from propensity.training.domain.cost import FOREST, GROWING, TREE_ROWS

_PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "numpy", "scipy")


class SklearnModel:
    def __init__(self, estimator: Any, width: int) -> None:
        self._estimator = estimator
        self._width = width

    def predict(self, matrix: Any) -> Any:
        return np.asarray(self._estimator.predict_proba(matrix)[:, 1], dtype=np.float64)

    def onnx(self) -> bytes:
        converted = convert_sklearn(
            self._estimator,
            initial_types=[("features", FloatTensorType([None, self._width]))],
            options={"zipmap": False},
            target_opset=OPSET,
        )
        if isinstance(self._estimator, RandomForestClassifier):
            _route_missing(converted, self._estimator)
        if isinstance(self._estimator, HistGradientBoostingClassifier):
            _round_splits_down(converted, self._estimator)
        # without a fixed name the graph gets a new UUID each time, and equal models would not be equal bytes
        converted.graph.name = "propensity"
        return bytes(converted.SerializeToString(deterministic=True))

    def explanation(self) -> Mapping[str, Any]:
        if not isinstance(self._estimator, Pipeline):
            return {"kind": "opaque"}
        steps = self._estimator.named_steps
        return {
            "kind": "linear",
            "coefficients": steps["model"].coef_[0].astype(float).tolist(),
            "intercept": float(steps["model"].intercept_[0]),
            "imputed": steps["imputer"].statistics_.astype(float).tolist(),
            "mean": steps["scaler"].mean_.astype(float).tolist(),
            "scale": steps["scaler"].scale_.astype(float).tolist(),
        }

    def reasons(self, typical: Sequence[float | None]) -> ReasonGraph | None:
        if isinstance(self._estimator, Pipeline):
            return None
        unit = "probability" if isinstance(self._estimator, RandomForestClassifier) else "logit"
        return reasons_graph(self.onnx(), typical, unit=unit)


class SklearnGrowing:
    """A model that grows by a warm start, which adds trees to those it has. The result equals that of one fit.

    test_trainer.py tests this.
    """

    def __init__(self, family: str, estimator: Any, train: Sample) -> None:
        self._family, self._estimator, self._train = family, estimator, train
        self.best = int(np.argmax(estimator.validation_score_[1:])) + 1  # the first value is the one before any tree

    @property
    def iterations(self) -> int:
        return int(self._estimator.n_iter_)

    def grow(self, iterations: int) -> None:
        self._estimator.set_params(max_iter=iterations, early_stopping=False)
        _fit(self._family, self._estimator, self._train)

    def staged(self, matrix: Any, first: int = 1) -> Iterator[Any]:
        stages = self._estimator.staged_predict_proba(np.asarray(matrix, dtype=np.float32))
        for found in islice(stages, first - 1, None):
            yield np.asarray(found[:, 1], dtype=np.float64)


class SklearnTrainer:
    def fit(
        self,
        family: str,
        parameters: Mapping[str, Any],
        train: Sample,
        *,
        seed: int,
        directions: Sequence[int] = (),
    ) -> SklearnModel:
        """Fit a model.

        Raises PackError for an unknown family or parameter, or for a value that the parameter cannot have.
        """
        estimator = _made(family, parameters, seed, directions)
        if family == "random_forest" and len(train.labels) > TREE_ROWS and "max_samples" not in parameters:
            # each tree draws its own rows; more trees cost in proportion, and change little
            estimator.set_params(max_samples=TREE_ROWS)
        _fit(family, estimator, train)
        if family == "random_forest":
            # several threads would add up probabilities in the order in which they finish, so the last digits would
            # vary
            estimator.set_params(n_jobs=1)
        return SklearnModel(estimator, train.matrix.shape[1])

    def grow(
        self,
        family: str,
        parameters: Mapping[str, Any],
        train: Sample,
        valid: Sample,
        *,
        patience: int,
        seed: int,
        directions: Sequence[int] = (),
    ) -> SklearnGrowing:
        """Raises PackError for a family that cannot be grown, or an unknown parameter."""
        if family not in GROWING:
            raise PackError(f"candidate {family}: is fitted at once, only {', '.join(GROWING)} can be grown")
        stopping = {"early_stopping": True, "scoring": "loss", "n_iter_no_change": patience, "tol": 0.0}
        estimator = _made(family, {**parameters, **stopping, "warm_start": True}, seed, directions)
        _fit(family, estimator, train, valid)
        return SklearnGrowing(family, estimator, train)

    def packages(self) -> Mapping[str, str]:
        return {name: version(name) for name in _PACKAGES}


def _fit(family: str, estimator: Any, train: Sample, valid: Sample | None = None) -> None:
    options = _weighted(estimator, train.weights)
    rows = np.asarray(train.matrix, dtype=np.float32)
    # boosted trees cannot bin a column without any known value; a column of one value is never split, so it is left out
    empty = ~np.isfinite(rows).any(axis=0)
    if empty.any():
        rows = np.where(empty, np.float32(0), rows)
    if valid is not None:
        matrix = np.where(empty, np.float32(0), np.asarray(valid.matrix, dtype=np.float32))
        options |= {"X_val": matrix, "y_val": valid.labels, "sample_weight_val": valid.weights}
    try:
        estimator.fit(rows, train.labels, **options)
    except TypeError as error:
        # `fit` checks the values of parameters; scikit-learn's error for a wrong one is a ValueError and a TypeError
        if isinstance(error, ValueError):
            raise PackError(f"candidate {family}: {error}; correct its grid or space") from error
        raise


def _weighted(estimator: Any, weights: Any) -> dict[str, Any]:
    """The arguments of `fit` that pass the weights on. There are none where each row counts once."""
    if weights is None:
        return {}
    if isinstance(estimator, Pipeline):
        # the scaler needs the weights too: a regularised fit depends on the scale, which must be the scale of all rows
        # stood for
        return {"scaler__sample_weight": weights, "model__sample_weight": weights}
    return {"sample_weight": weights}


def _route_missing(converted: Any, forest: RandomForestClassifier) -> None:
    """Send a NaN at each node to the side to which the forest sends it.

    skl2onnx 1.20.0 routes NaN in this way for boosted trees only. In a forest every NaN would go right, which moved
    probabilities by up to 0.85 (github.com/onnx/sklearn-onnx/issues/1253).
    """
    for node in converted.graph.node:
        attributes = {attribute.name: attribute.ints for attribute in node.attribute}
        if "nodes_nodeids" in attributes:
            places = zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True)
            left = [int(forest.estimators_[tree].tree_.missing_go_to_left[place]) for tree, place in places]
            attributes["nodes_missing_value_tracks_true"][:] = left


def _round_splits_down(converted: Any, boosted: HistGradientBoostingClassifier) -> None:
    """Make each split the largest 32-bit number that is no larger than the split of scikit-learn.

    scikit-learn compares with 64 bits, the graph with 32. skl2onnx 1.20.0 takes the nearest number for boosted trees.
    So a value just above the split could go to its other side. That moved probabilities by up to 0.013, where a feature
    has few values that lie close together.
    """
    for node in converted.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_values" in attributes:
            places = zip(attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints, strict=True)
            for number, (tree, place) in enumerate(places):
                found = boosted._predictors[tree][0].nodes[place]
                if not found["is_leaf"]:
                    split = np.float32(found["num_threshold"])
                    if split > found["num_threshold"]:
                        split = np.nextafter(split, np.float32(-np.inf))
                    attributes["nodes_values"].floats[number] = split


def _solver(parameters: Mapping[str, Any]) -> dict[str, Any]:
    # saga is the only solver for an elastic net; a smaller tolerance costs more passes than it is worth
    return {"solver": "saga", "tol": 1e-3, "max_iter": 2000} if parameters.get("l1_ratio") else {"max_iter": 2000}


def _made(family: str, parameters: Mapping[str, Any], seed: int, directions: Sequence[int]) -> Any:
    try:
        return _estimator(family, parameters, seed, directions)
    except TypeError as error:
        raise PackError(f"candidate {family}: {error}; the grid's names are scikit-learn's") from error


def _estimator(family: str, parameters: Mapping[str, Any], seed: int, directions: Sequence[int]) -> Any:
    tree = {"random_state": seed} | ({"monotonic_cst": list(directions)} if any(directions) else {})
    match family:
        case "logistic_regression":
            return Pipeline(
                [
                    # a column without any value is kept, as 0, so that the model has a column per feature
                    ("imputer", SimpleImputer(keep_empty_features=True)),
                    ("scaler", StandardScaler()),
                    ("model", LogisticRegression(**{**_solver(parameters), "random_state": seed, **parameters})),
                ]
            )
        case "hist_gradient_boosting":
            # by default scikit-learn stops early by rows drawn at random from all as-of dates; here the folds decide
            return HistGradientBoostingClassifier(**{**tree, "early_stopping": False, **parameters})
        case "random_forest":
            return RandomForestClassifier(**{**tree, "n_jobs": -1, **FOREST, **parameters})
    raise PackError(f"candidate {family!r}: expected logistic_regression, hist_gradient_boosting or random_forest")
