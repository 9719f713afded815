"""The validation rows of a training run, scored by every rung, each fold only by what was known by its day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.evaluation.evaluations import Evaluation
from propensity.evaluation.parity import read_frame
from propensity.kernel.errors import ConflictError
from propensity.ladder.domain.choice import RungLosses
from propensity.ladder.domain.evidence import between, by_name, intercept, shift_of, smoothed_rate
from propensity.ladder.domain.rungs import LadderFits
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.registry.domain.ladder import Rung
from propensity.registry.tenant_models import shifted
from propensity.stats.calibration import FITS, Calibration, fit_sigmoid, identity, row_losses
from propensity.stats.sampling import rarer
from propensity.training.data import Fold, TrainingData, folds, known_by

# the least rows of the rarer class for a fit of two parameters; with fewer, the model's own probabilities stay
_CALIBRATED = 30


@dataclass(frozen=True, slots=True)
class ValidationRows:
    """The validation rows of all folds, oldest fold first, (n,) each.

    `index` says where the rows stand in the training set.
    """

    index: Any
    fold: Any
    label: Any
    weight: Any
    raw: Any
    tenant: Any
    customer: Any


class HeldOut:
    """The scores that every rung gives to the validation rows, n of them.

    `scores` has, by rung, float64 (n,). `judged` is the mask of the rows that are judged. A fold's rows are not judged
    where no other fold's outcomes were known by its day, because such rows have no scores by a calibration.
    """

    def __init__(
        self,
        ports: Ports,
        data: TrainingData,
        definition: Definition,
        evaluation: Evaluation,
        fits: LadderFits,
    ) -> None:
        self._data, self._offset = data, fits.offset
        self._method = str(evaluation.metrics["calibration"])
        self._folds = folds(data, definition.model)
        self.rows = _rows(ports, data, self._folds, fits.out)
        self._place = np.full(len(data.labels), -1)
        self._place[self.rows.index] = np.arange(len(self.rows.index))
        days = np.array([fold.day for fold in self._folds])
        known = [known_by(days, day, definition.model) for day in days]
        # by number of the fold, a mask of the rows of other folds on which the fold may be calibrated
        self._older = {number: mask[self.rows.fold] for number, mask in enumerate(known) if mask.any()}
        self.judged = np.isin(self.rows.fold, list(self._older))
        self.scores: dict[Rung, Any] = {"global": self._global(), "heuristic": self._heuristic()}
        self.scores["intercept"] = self._intercepts()

    def sub(self, ports: Ports, out: str) -> tuple[Any, Calibration]:
        """Return a model's scores of the validation rows, and the model's calibration on all these rows.

        A score is NaN where the model has none.
        """
        frame = read_frame(ports, f"{out}/oof.parquet")
        raw = np.full(len(self.rows.index), np.nan)
        raw[self._place[frame["row"].astype(np.int64)]] = frame["raw"]
        scores = np.full(len(raw), np.nan)
        for number, older in self._older.items():
            mine = (self.rows.fold == number) & np.isfinite(raw)
            scores[mine] = self._sub_calibration(raw, older).apply(raw[mine])
        return scores, self._sub_calibration(raw, np.ones(len(raw), dtype=bool))

    def losses(self, segment: Any, own: Any) -> RungLosses:
        """Return the judged rows with their loss by every rung.

        `segment` and `own` are the scores by such models, as `sub` returns them.
        """
        rows, label = self.judged, self.rows.label[self.judged]
        scores: dict[Rung, Any] = {**self.scores, "segment": segment, "own": own}
        losses: dict[Rung, Any] = {rung: row_losses(values[rows], label) for rung, values in scores.items()}
        return RungLosses(label, self.rows.weight[rows], self.rows.customer[rows], losses)

    def final_intercepts(self, calibrated: Calibration) -> tuple[float, dict[str, float]]:
        """Return (variance between the tenants, intercept of each tenant), from the validation rows of all folds."""
        return self._shifts(calibrated.apply(self.rows.raw), np.ones(len(self.rows.raw), dtype=bool))

    def rates(self, rows: Any) -> dict[str, float]:
        """Return each tenant's smoothed rate among `rows`, a mask of the training set.

        Everyone's rate has the key ''.
        """
        data = self._data
        counts = data.fit_counts
        everyone = float(np.average(data.labels[rows], weights=counts[rows]))
        names, place = np.unique(data.columns["tenant_id"][rows].astype(str), return_inverse=True)
        total = np.bincount(place, weights=counts[rows])
        positives = np.bincount(place, weights=counts[rows] * data.labels[rows])
        found = zip(names.tolist(), positives.tolist(), total.tolist(), strict=True)
        return {"": everyone, **{name: smoothed_rate(hits, count, everyone) for name, hits, count in found}}

    def _calibration(self, rows: Any) -> Calibration:
        """Return the calibration of the global model, fitted on `rows`, a mask."""
        if self._method == "none":
            return identity(offset=self._offset)
        return FITS[self._method](self.rows.raw[rows], self.rows.label[rows], self.rows.weight[rows])

    def _sub_calibration(self, raw: Any, rows: Any) -> Calibration:
        """Return the calibration of another model of the ladder, by its raw probabilities, fitted on `rows`, a mask."""
        known = rows & np.isfinite(raw)
        label = self.rows.label[known]
        if self._method == "none" or rarer(label) < _CALIBRATED:
            return identity(len(label), int(label.sum()), self._offset)
        return fit_sigmoid(raw[known], label, self.rows.weight[known])

    def _global(self) -> Any:
        scores = np.full(len(self.rows.raw), np.nan)
        for number, older in self._older.items():
            mine = self.rows.fold == number
            scores[mine] = self._calibration(older).apply(self.rows.raw[mine])
        return scores

    def _heuristic(self) -> Any:
        scores = np.full(len(self.rows.raw), np.nan)
        for number, fold in enumerate(self._folds):
            rates, mine = self.rates(fold.train), self.rows.fold == number
            scores[mine] = [rates.get(str(tenant), rates[""]) for tenant in self.rows.tenant[mine]]
        return scores

    def _intercepts(self) -> Any:
        scores = self.scores["global"].copy()
        for number, older in self._older.items():
            mine = self.rows.fold == number
            _, found = self._shifts(self._calibration(older).apply(self.rows.raw), older)
            for tenant, rows in by_name(self.rows.tenant, np.flatnonzero(mine)).items():
                if tenant in found:
                    scores[rows] = shifted(scores[rows], found[tenant])
        return scores

    def _shifts(self, scores: Any, rows: Any) -> tuple[float, dict[str, float]]:
        parts = {
            name: (scores[mine], self.rows.label[mine], self.rows.weight[mine])
            for name, mine in by_name(self.rows.tenant, np.flatnonzero(rows)).items()
        }
        variance = between([shift_of(*part) for part in parts.values()])
        return variance, {name: intercept(*part, variance) for name, part in parts.items()}


def _rows(ports: Ports, data: TrainingData, made: Sequence[Fold], out: str) -> ValidationRows:
    frame = read_frame(ports, f"{out}/oof.parquet")
    index = np.concatenate([np.flatnonzero(fold.valid) for fold in made])
    if len(index) != len(frame["label"]) or (data.labels[index] != frame["label"]).any():
        raise ConflictError(f"{out}/oof.parquet: is not of this run's folds; train the model again")
    tenants = data.columns["tenant_id"][index]
    _, tenant = np.unique(tenants.astype(str), return_inverse=True)
    _, customer = np.unique(data.columns["customer_id"][index].astype(str), return_inverse=True)
    return ValidationRows(
        index=index,
        fold=np.concatenate([np.full(int(fold.valid.sum()), number) for number, fold in enumerate(made)]),
        label=frame["label"].astype(np.int64),
        weight=frame["weight"].astype(np.float64),
        raw=frame["raw"].astype(np.float64),
        tenant=tenants,
        customer=tenant.astype(np.int64) * (len(index) + 1) + customer,
    )
