"""The reasons of a score: how far each feature moved the raw score.

There are four methods (docs/reference/scoring.md).

The method `exact` is for a linear model. A feature's contribution is coefficient x (value - reference), where the
reference is the mean of training. The contributions therefore add up to the score's logit less the logit of the mean
customer.

The methods `shapley` and `path` are for trees (tree_reasons.py). The graph reasons.onnx gives the contributions. They
add up too: to the raw score, in the unit in which the trees add up, less that of the typical customer.

The method `ablation` is for every other model, and for versions of trees without reasons.onnx. A feature's
contribution is logit(p) - logit(p with the feature at its typical value), one feature at a time. An effect that two
features have together counts for both of them, so these contributions do not add up. For a linear model the methods
`exact` and `ablation` give the same contributions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from propensity.pack.domain.feature_spec import Feature
from propensity.registry.domain.ledger import REASONS_FILE
from propensity.stats.calibration import logit

ReasonMethod = Literal["exact", "shapley", "path", "ablation"]
METHODS: tuple[ReasonMethod, ...] = get_args(ReasonMethod)
Predict = Callable[[Any], Any]  # a model takes float32 (n, k) and returns raw probabilities (n,)
Contribute = Callable[[Any], Any]  # a graph of reasons takes float32 (n, k) and returns contributions (n, k)
_BATCH_BYTES = 64 * 2**20
# Smaller contributions are no reason. A sum of float32 leaves is that of real numbers but for up to 1e-5 of a logit. A
# probability near 0.1 moves by a tenth of what its logit moves by.
_LEAST = {"logit": 1e-4, "probability": 1e-5}


@dataclass(frozen=True, slots=True)
class Explained:
    """How far each of k features moved the scores of n rows.

    `contributions` is float64 (n, k), in the unit `logit` or `probability`. `typical` is float64 (k,), the value that
    each feature was compared with, NaN for missing. `method` is None where the version recorded nothing to explain
    with; then all contributions are 0.
    """

    method: ReasonMethod | None
    contributions: Any
    typical: Any
    unit: Literal["logit", "probability"] = "logit"

    @property
    def least(self) -> float:
        """The size below which a contribution is no reason, in the contributions' unit."""
        return _LEAST[self.unit]


def explain(
    explanation: Mapping[str, Any], predict: Predict, matrix: Any, contribute: Contribute | None = None
) -> Explained:
    """Return how far each feature moved each row's score, by the method that the version's explanation.json allows.

    `contribute` is the version's reasons.onnx, where it has one.

    Versions of trees that were registered before typical values were recorded have no reasons.
    """
    if explanation["kind"] == "linear":
        return Explained("exact", contributions(explanation, matrix), np.asarray(explanation["mean"], dtype=np.float64))
    recorded = explanation.get("typical")
    if recorded is None:
        return Explained(None, np.zeros(matrix.shape), np.full(matrix.shape[1], np.nan))
    typical = np.array([np.nan if value is None else value for value in recorded], dtype=np.float64)
    if contribute is not None and "reasons" in explanation:
        by = explanation["reasons"]
        return Explained(by["method"], contribute(matrix), typical, by["unit"])
    return Explained("ablation", ablation(predict, matrix, typical), typical)


def explaining_files(explanation: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the files, beside model.onnx and its calibration, that a model with this explanation has."""
    return ("explanation.json", REASONS_FILE) if "reasons" in explanation else ("explanation.json",)


def contributions(explanation: Mapping[str, Any], matrix: Any) -> Any:
    """Return the contributions of a linear model: float64 (n, k), in logits, for a float32 matrix (n, k).

    A missing value counts as the value that the imputer puts in its place. `explanation` holds `coefficients`,
    `imputed`, `mean` and `scale`, each of length k.
    """
    imputed = np.asarray(explanation["imputed"])
    out = np.where(np.isnan(matrix), imputed, matrix).astype(np.float64, copy=False)
    # in place, because new arrays of this size take longer than the arithmetic
    out -= np.asarray(explanation["mean"])
    out /= np.asarray(explanation["scale"])
    out *= np.asarray(explanation["coefficients"])
    return out


def ablation(predict: Predict, matrix: Any, typical: Any, batch_bytes: int = _BATCH_BYTES) -> Any:
    """Return the contributions of any model: float64 (n, k), in logits.

    A contribution is the row's logit less the logit with the feature at its typical value. A row is copied once for
    each feature whose value is not the typical one. The copies are scored in batches of at most `batch_bytes`. Where
    the copies of a single row take more bytes, they are one batch.
    """
    reference = np.asarray(typical, dtype=np.float32)
    rows, width = matrix.shape
    out = np.zeros((rows, width))
    if rows == 0:
        return out
    own = logit(predict(matrix))
    step = max(1, batch_bytes // max(1, width * width * matrix.itemsize))
    for start in range(0, rows, step):
        part = matrix[start : start + step]
        moved = (part != reference) & ~(np.isnan(part) & np.isnan(reference))
        row, column = np.nonzero(moved)
        if len(row) == 0:
            continue
        copies = part[row]
        copies[np.arange(len(row)), column] = reference[column]
        out[start + row, column] = own[start + row] - logit(predict(copies))
    return out


def typical_values(features: Sequence[Feature], matrix: Any) -> list[float | None]:
    """Return the typical value of each of the k features of a float32 matrix (n, k).

    The typical value of numbers is their median. The typical value of categories and of yes and no is the commonest
    one. It is None where more than half of the values are missing, or all.
    """
    return [_typical(feature, matrix[:, place]) for place, feature in enumerate(features)]


def _typical(feature: Feature, column: Any) -> float | None:
    present = column[~np.isnan(column)]
    if 2 * len(present) < len(column) or len(present) == 0:
        return None
    if feature.dtype in ("boolean", "category"):
        values, counts = np.unique(present, return_counts=True)
        return float(values[np.argmax(counts)])
    # The typical value is one that somebody has. Nobody has half a visit, and trees were never split there.
    return float(np.quantile(present, 0.5, method="inverted_cdf"))
