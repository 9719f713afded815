"""What the gates judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from propensity.evaluation.champions import Champion
from propensity.evaluation.newest_fold import Held
from propensity.pack.domain.definition import Definition
from propensity.ports import Model
from propensity.stats.calibration import Calibration
from propensity.training.data import TrainingData


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: the chosen candidate and the run's training set.

    `model` and `calibration` are what would be registered; `scores` float64 (n,): theirs of the newest date's rows.
    `rows`: where the rows of `held` stand in the training set; `metrics`: estimates on them, as JSON;
    `champion_scores`: of the same rows, None where there is no champion or it cannot score them.
    """

    definition: Definition
    data: TrainingData
    model: Model
    calibration: Calibration
    held: Held
    rows: Any
    metrics: Mapping[str, Any]
    scores: Any
    champion: Champion | None
    champion_scores: Any | None
