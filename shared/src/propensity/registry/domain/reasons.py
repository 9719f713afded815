"""Why a score is what it is: each feature's contribution to it, in logits of the raw score, as sentences.

exact: of a linear model, coefficient x (value - reference); with the reference at the training mean they add up to the
score's logit less that of the mean customer. ablation: of any other, logit(p) - logit(p with the feature at its typical
value), one feature at a time; what features do together counts for each of them, so these do not add up. For a linear
model the two are one (docs/reference/scoring.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, expm1, isnan
from string import Formatter
from typing import Any, Literal

import numpy as np

from propensity.pack.domain.feature_spec import Feature
from propensity.stats.calibration import logit

Method = Literal["exact", "ablation"]
Predict = Callable[[Any], Any]  # float32 (n, k) -> raw probabilities (n,)
_BATCH_BYTES = 64 * 2**20
# logits: onnxruntime adds float32 leaves in another order for few rows than for many, and differs by up to 1e-5 there
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Explained:
    """`contributions`: float64 (n, k), in logits; `typical`: float64 (k,), what each was held against, NaN for missing.

    `method` is None where the version says nothing that a reason could rest on; then all contributions are 0.
    """

    method: Method | None
    contributions: Any
    typical: Any


def explain(explanation: Mapping[str, Any], predict: Predict, matrix: Any) -> Explained:
    """How each feature moved each row's score, by the way that the version's explanation.json allows.

    A version of trees that was registered before it recorded typical values has no reasons.
    """
    if explanation["kind"] == "linear":
        return Explained("exact", contributions(explanation, matrix), np.asarray(explanation["mean"], dtype=np.float64))
    said = explanation.get("typical")
    if said is None:
        return Explained(None, np.zeros(matrix.shape), np.full(matrix.shape[1], np.nan))
    typical = np.array([np.nan if value is None else value for value in said], dtype=np.float64)
    return Explained("ablation", ablation(predict, matrix, typical), typical)


def contributions(explanation: Mapping[str, Any], matrix: Any) -> Any:
    """float64, shape (n, k), in logits, for a float32 matrix (n, k); missing values stand at the imputer's.

    `explanation` holds coefficients, imputed, mean and scale per feature, each of length k.
    """
    imputed = np.asarray(explanation["imputed"])
    filled = np.where(np.isnan(matrix), imputed, matrix).astype(np.float64)
    scale = np.asarray(explanation["scale"])
    return (filled - np.asarray(explanation["mean"])) / scale * np.asarray(explanation["coefficients"])


def ablation(predict: Predict, matrix: Any, typical: Any, batch_bytes: int = _BATCH_BYTES) -> Any:
    """float64, shape (n, k), in logits: the row's own logit less that with one feature at its typical value.

    Rows are copied once per feature whose value is not the typical one already, in batches of at most `batch_bytes`
    (or one row's copies, where those are more).
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
    """What a customer usually has of each feature, of a float32 matrix (n, k): the median, or the commonest of codes
    and of yes and no. None where missing is what is usual."""
    return [_typical(feature, matrix[:, place]) for place, feature in enumerate(features)]


def _typical(feature: Feature, column: Any) -> float | None:
    present = column[~np.isnan(column)]
    if 2 * len(present) < len(column) or len(present) == 0:
        return None
    if feature.dtype in ("boolean", "category"):
        values, counts = np.unique(present, return_counts=True)
        return float(values[np.argmax(counts)])
    # a value that somebody has: half a visit is nobody's, and lies where trees were never split
    return float(np.quantile(present, 0.5, method="inverted_cdf"))


def top_reasons(explained: Explained, features: Sequence[Feature], matrix: Any, count: int) -> Any:
    """Per row the `count` features that moved the score most, either way: object array of lists of structs.

    A feature that moved next to nothing (1e-4) is no reason; empty lists where there is no method.
    """
    out = np.empty(len(matrix), dtype=object)
    parts = explained.contributions
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :count]
    for row in range(len(matrix)):
        out[row] = [
            {
                "feature": features[column].name,
                "contribution": float(parts[row, column]),
                "text": sentence(features[column], float(matrix[row, column]), float(explained.typical[column])),
            }
            for column in order[row]
            if abs(parts[row, column]) >= _LEAST
        ]
    return out


def sentence(feature: Feature, value: float, typical: float) -> str:
    """What a person reads, e.g. `last purchase 12 days ago; typical 80`."""
    if isnan(value):
        return f"{feature.description}: unknown"
    if feature.reason is None:
        return f"{feature.description}: {_shown(feature, value)}"
    said = {"value": _shown(feature, value), "typical": _shown(feature, typical)}
    return _Sentence().vformat(feature.reason, (), said)


class _Sentence(Formatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        missing = isinstance(value, float) and isnan(value)
        return "unknown" if missing else super().format_field(value, format_spec)


def _shown(feature: Feature, value: float) -> float | str:
    if isnan(value):
        return value
    if feature.dtype == "boolean":
        return "yes" if value >= 0.5 else "no"
    if feature.dtype == "category":
        place = round(value)
        return feature.categories[place] if 0 <= place < len(feature.categories) else "unknown"
    if feature.shown_as == "exp":
        return exp(min(value, 700.0))
    if feature.shown_as == "expm1":
        return expm1(min(value, 700.0))
    return value
