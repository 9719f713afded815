"""Which way a feature pulls, and how much it matters: for people who read a model card, not for a decision."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from propensity.registry.domain.reasons import Predict
from propensity.stats.calibration import logit

Effect = Literal["rises", "falls", "mixed", "none"]
_POINTS = 9  # values of a feature that are tried, at its quantiles
_LEAST = 1e-3  # logits; a feature that moves the mean score by less does nothing
_CLEAR = 0.9  # share of all movement that goes one way


def trend(predict: Predict, matrix: Any, column: int) -> Effect:
    """How the mean logit of the rows (n, k) goes as one feature takes its own values in order, all else as it is.

    Friedman (2001), partial dependence. Missing values are left out of the values tried.
    """
    present = matrix[~np.isnan(matrix[:, column]), column]
    if len(present) == 0:
        return "none"
    values = np.unique(np.quantile(present, np.linspace(0.05, 0.95, _POINTS), method="inverted_cdf"))
    if len(values) == 1:  # the rare values of a feature that is nearly always one
        values = np.unique(present[[present.argmin(), present.argmax()]])
    copies = np.tile(matrix, (len(values), 1))
    copies[:, column] = np.repeat(values, len(matrix)).astype(np.float32)
    return direction(logit(predict(copies)).reshape(len(values), -1).mean(axis=1))


def direction(curve: Any) -> Effect:
    """Of a curve's values in order, shape (m,), in logits."""
    steps = np.diff(curve)
    up, down = float(steps[steps > 0].sum()), -float(steps[steps < 0].sum())
    if max(up, down) < _LEAST:
        return "none"
    if max(up, down) < _CLEAR * (up + down):
        return "mixed"
    return "rises" if up > down else "falls"
