"""The newest validation fold. The models and the calibrator whose scores are measured on it have not seen its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import ModelSpec
from propensity.stats.figures import Scored, scored
from propensity.training.data import TrainingData, folds


@dataclass(frozen=True, slots=True)
class NewestFold:
    """Its labels, and scores by a model and a calibrator that were fitted on older dates, (n,) each."""

    labels: Any
    scores: Any

    def rows(self, data: TrainingData, spec: ModelSpec) -> Any:
        """Where its rows stand in the training set, int64 (n,). Raises ConflictError where the labels there differ."""
        rows = np.flatnonzero(folds(data, spec)[-1].valid)
        if not np.array_equal(data.labels[rows], self.labels):
            raise ConflictError(
                f"model {spec.name}: the newest validation fold has other labels than the fit kept; the run's feature "
                "files were changed after the fit: start a new run"
            )
        return rows


def group(scores: Any, labels: Any) -> Scored:
    """Scores and labels, (n,) each, with equal scores merged. Raises EvidenceError where one class is empty."""
    values, inverse = np.unique(scores, return_inverse=True)
    rows = np.bincount(inverse, minlength=len(values))
    positives = np.bincount(inverse, weights=labels, minlength=len(values)).astype(int)
    return scored(zip(values.tolist(), rows.tolist(), positives.tolist(), strict=True))
