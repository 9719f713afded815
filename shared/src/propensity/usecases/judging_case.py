"""What the gates judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from propensity.domain.calibration import Calibration
from propensity.domain.pack import Definition
from propensity.ports import Model
from propensity.usecases.held import Held
from propensity.usecases.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: the chosen candidate and the run's training set.

    `model` and `calibration` are what would be registered. `metrics`: estimates on `held`, as JSON; `scores` float64
    (n,): theirs of the newest date's rows.
    """

    definition: Definition
    data: TrainingData
    model: Model
    calibration: Calibration
    held: Held
    metrics: Mapping[str, Any]
    scores: Any
