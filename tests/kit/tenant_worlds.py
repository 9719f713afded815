"""Small validation folds of several tenants, with scores that are right: what gates say of a model is then known."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from propensity.evaluation.calibrate import NewestFold, lists_of, newest_fold_metrics, tenant_metrics
from propensity.evaluation.domain.gates import MEASURED, Gate, level, quality
from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate


def judged(seed: int, *, auc: float, tenants: int = 8, rows: int = 65, odds: float = 1.0) -> dict[str, Gate]:
    """The gates of quality and level, by name, with default limits; without `rows`, of about 51 positives of 520 rows.

    `auc` is the model's true AUC within tenants. The tenants' rates differ by a factor of five, and the scores know
    them. A score is the exact chance of the row, but for its odds, which are `odds` times what is right.
    """
    chance = np.random.default_rng(seed)
    apart = 2**0.5 * NormalDist().inv_cdf(auc)
    levels = np.repeat(np.log(np.linspace(0.035, 0.175, tenants)), rows)
    labels = (chance.random(len(levels)) < np.exp(levels)).astype(int)
    seen = chance.normal(labels * apart, 1)
    logits = levels - np.log1p(-np.exp(levels)) + apart * seen - apart**2 / 2 + np.log(odds)
    fold = NewestFold(labels, 1 / (1 + np.exp(-logits)))
    names = np.repeat([f"t{number}" for number in range(tenants)], rows)
    figures: dict[str, Any] = newest_fold_metrics(fold) | tenant_metrics(fold, names)
    metrics = {name: Estimate(**figures[name]) for name in MEASURED}
    gates = [*quality(metrics, Gates()), level(lists_of(fold, names), Gates())]
    return {gate.name: gate for gate in gates}
