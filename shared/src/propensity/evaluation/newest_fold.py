"""The newest validation fold, which the measured models have not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import ModelSpec
from propensity.stats.figures import Scored, scored
from propensity.training.data import TrainingData, folds


@dataclass(frozen=True, slots=True)
class Held:
    """Labels, and scores by a model and a calibrator fitted on older dates, (n,) each."""

    labels: Any
    scores: Any

    def rows(self, data: TrainingData, spec: ModelSpec) -> Any:
        """Where these rows stand in the training set, int64 (n,). Raises ConflictError where they are others."""
        rows = np.flatnonzero(folds(data, spec)[-1].valid)
        if not np.array_equal(data.labels[rows], self.labels):
            raise ConflictError(
                f"model {spec.name}: the newest validation fold has other labels than the fit kept; the run's feature "
                "files were changed after the fit: start a new run"
            )
        return rows


def group(scores: Any, labels: Any) -> Scored:
    """Arrays of scores and labels as groups. Raises EvidenceError where one of the classes is empty."""
    values, inverse = np.unique(scores, return_inverse=True)
    rows = np.bincount(inverse, minlength=len(values))
    positives = np.bincount(inverse, weights=labels, minlength=len(values)).astype(int)
    return scored(zip(values.tolist(), rows.tolist(), positives.tolist(), strict=True))
