"""In which direction a feature moves the score. It is for people who read a model card; nothing is decided by it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from propensity.registry.domain.reasons import Predict
from propensity.stats.calibration import logit

Effect = Literal["rises", "falls", "mixed", "none"]
_POINTS = 9  # values of a feature that are tried, at its quantiles
_LEAST = 1e-3  # logits; a feature that moves the mean score by less has no effect
_CLEAR = 0.9  # share of all movement that must go one way, or the effect is mixed


def trend(predict: Predict, matrix: Any, column: int) -> Effect:
    """How the mean logit of the rows, float32 (n, k), moves while one feature runs through its values in order.

    All other features stay as they are (partial dependence, Friedman 2001). The feature's missing values are not tried.
    """
    present = matrix[~np.isnan(matrix[:, column]), column]
    if len(present) == 0:
        return "none"
    values = np.unique(np.quantile(present, np.linspace(0.05, 0.95, _POINTS), method="inverted_cdf"))
    if len(values) == 1:  # a feature that nearly always has one value: take its least and its greatest
        values = np.unique(present[[present.argmin(), present.argmax()]])
    copies = np.tile(matrix, (len(values), 1))
    copies[:, column] = np.repeat(values, len(matrix)).astype(np.float32)
    return direction(logit(predict(copies)).reshape(len(values), -1).mean(axis=1))


def direction(curve: Any) -> Effect:
    """The direction of a curve. `curve`: its values in order, shape (m,), in logits."""
    steps = np.diff(curve)
    up, down = float(steps[steps > 0].sum()), -float(steps[steps < 0].sum())
    if max(up, down) < _LEAST:
        return "none"
    if max(up, down) < _CLEAR * (up + down):
        return "mixed"
    return "rises" if up > down else "falls"
