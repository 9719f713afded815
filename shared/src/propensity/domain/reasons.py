"""Why a score is what it is: a linear model's exact contributions, as sentences.

A contribution is coefficient x (value - reference) on the model's own scale, in logits; with the reference at
the training mean they add up to the score's logit less that of the mean customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, expm1, isnan
from typing import Any

import numpy as np

from propensity.domain.feature_spec import Feature


def contributions(explanation: Mapping[str, Any], matrix: Any) -> Any:
    """float64, shape (n, k), in logits, for a float32 matrix (n, k); missing values stand at the imputer's.

    `explanation` holds coefficients, imputed, mean and scale per feature, each of length k.
    """
    imputed = np.asarray(explanation["imputed"])
    filled = np.where(np.isnan(matrix), imputed, matrix).astype(np.float64)
    scale = np.asarray(explanation["scale"])
    return (filled - np.asarray(explanation["mean"])) / scale * np.asarray(explanation["coefficients"])


def top_reasons(explanation: Mapping[str, Any], features: Sequence[Feature], matrix: Any, count: int) -> Any:
    """Per row the `count` features that moved the score most, either way: object array of lists of structs.

    Empty lists for a family without exact contributions: nothing is better than a reason that is not one.
    """
    out = np.empty(len(matrix), dtype=object)
    if explanation["kind"] != "linear":
        out[:] = [[] for _ in range(len(matrix))]
        return out
    parts = contributions(explanation, matrix)
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :count]
    typical = [float(value) for value in explanation["mean"]]
    for row in range(len(matrix)):
        out[row] = [
            {
                "feature": features[column].name,
                "contribution": float(parts[row, column]),
                "text": sentence(features[column], float(matrix[row, column]), typical[column]),
            }
            for column in order[row]
        ]
    return out


def sentence(feature: Feature, value: float, typical: float) -> str:
    """What a person reads, e.g. `last purchase 12 days ago; typical 80`."""
    if isnan(value):
        return f"{feature.description}: unknown"
    if feature.reason is None:
        return f"{feature.description}: {_shown(feature, value)}"
    return feature.reason.format(value=_shown(feature, value), typical=_shown(feature, typical))


def _shown(feature: Feature, value: float) -> float | str:
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
