"""The case of a training run on which the gates judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.evaluation.calibrate import NewestFold
from propensity.evaluation.champions import Champion
from propensity.kernel.tenant import TENANT
from propensity.pack.domain.definition import Definition
from propensity.ports import Model
from propensity.stats.calibration import Calibration
from propensity.training.data import TrainingData


@dataclass(frozen=True, slots=True)
class Case:
    """The chosen candidate together with the training set of its run.

    `model` and `calibration` are what would be registered. `scores`, float64 (n,), are their scores of the newest
    date's rows. `fold` is the newest validation fold. `rows`, int64 (m,), says where the fold's rows stand in the
    training set. `metrics` has the estimates on the fold, as JSON. `champion_scores`, float64 (m,), are the champion's
    scores of the fold's rows. They are None where there is no champion, or where the champion cannot score the rows.
    `loaded_at_once` are the datasets of which no row had arrived by the newest date.
    """

    definition: Definition
    data: TrainingData
    model: Model
    calibration: Calibration
    fold: NewestFold
    rows: Any
    metrics: Mapping[str, Any]
    scores: Any
    champion: Champion | None
    champion_scores: Any | None
    loaded_at_once: Sequence[str] = ()

    @property
    def tenants(self) -> Any:
        """The tenant of each row of the fold, (m,)."""
        return self.data.columns[TENANT][self.rows]
