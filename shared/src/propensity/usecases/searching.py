"""The search of one candidate family: settings validated forward in time, within what it may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.domain.calibration import identity, log_loss
from propensity.domain.cost import GROWING, MAX_ITER, affordable, fit_seconds, search_seconds
from propensity.domain.imbalance import balance_of
from propensity.domain.model_spec import Candidate, Family, ModelSpec
from propensity.domain.search import Setting, Trial, halve, settings_of
from propensity.ports import FittedModel, Ports
from propensity.usecases.training_data import TrainingData, folds

# each time a model is grown, its rows are binned and scored again: rarely enough, that costs little beside the trees
_FIRST = 40
_EVERY = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ends with: the best setting, the rows to fit it on (a mask), and how it was found."""

    setting: Setting
    rows: Any
    best: Tried
    trials: tuple[Trial, ...]
    untried: int
    cpu_seconds: float


class Search:
    """Fits of one family, validated forward in time."""

    def __init__(
        self, ports: Ports, spec: ModelSpec, family: Family, data: TrainingData, directions: Sequence[int] = ()
    ) -> None:
        self._ports, self._spec, self._family, self._data = ports, spec, family, data
        self._directions = directions
        self.folds = folds(data, spec)
        self.rows = max(int(fold.train.sum()) for fold in self.folds)
        counts = data.fit_counts
        positives = float(counts @ (data.labels == 1))
        # of all rows and not of each fold's: one offset for all that a calibrator is fitted on
        self.balance = balance_of(spec.imbalance, positives, float(counts.sum()) - positives)

    def run(self, candidate: Candidate) -> Found:
        """Halve the candidate's settings, as many as the model's cpu_seconds allow."""
        training = self._spec.training
        settings = settings_of(candidate, training.date_counts, training.seed)
        kept = affordable(settings, self.rows, self._price, training.cpu_seconds)
        trials, finalists = halve(
            settings[:kept],
            self.rows,
            lambda setting, share: self.validate(setting, share, candidate.patience).trial(setting, share),
        )
        tried = [self.validate(setting, 1.0, candidate.patience) for setting in finalists]
        best = min(range(len(tried)), key=lambda number: (tried[number].loss, number))
        trials += [one.trial(setting, 1.0) for setting, one in zip(finalists, tried, strict=True)]
        setting = finalists[best]
        if tried[best].iterations is not None:
            setting = Setting({**setting.parameters, "max_iter": tried[best].iterations}, setting.dates)
        return Found(
            setting,
            self._data.newest(self._data.fitted, setting.dates),
            tried[best],
            tuple(trials),
            len(settings) - kept,
            search_seconds([self._price(one) for one in settings[:kept]], self.rows),
        )

    def fit(self, setting: Setting, rows: Any) -> FittedModel:
        """Fit on a mask of rows (n,)."""
        return self._ports.trainer.fit(self._family, setting.parameters, **self._asked(rows))

    def validate(self, setting: Setting, share: float, patience: int) -> Tried:
        """Fitted on a share of each fold's rows, held against all that the fold validates on."""
        data, seed = self._data, self._spec.training.seed
        train = [data.sample(data.newest(fold.train, setting.dates), share, seed) for fold in self.folds]
        if patience and self._family in GROWING:
            return self._grown(setting, train, patience)
        return Tried([self._held(number, self._predict(setting, rows, number)) for number, rows in enumerate(train)])

    def _predict(self, setting: Setting, rows: Any, fold: int) -> Any:
        return self.fit(setting, rows).predict(self._data.matrix[self.folds[fold].valid])

    def _grown(self, setting: Setting, train: Sequence[Any], patience: int) -> Tried:
        """As many iterations as are best over the folds together, so that one number holds for the last fit.

        All folds grow side by side, by half as much again each time, until the mean loss, looked at every _EVERY
        iterations, has not fallen for `patience` of them.
        """
        data, most = self._data, int(setting.parameters.get("max_iter", MAX_ITER))
        models = [self._ports.trainer.grow(self._family, setting.parameters, **self._asked(rows)) for rows in train]
        valid = [data.matrix[fold.valid] for fold in self.folds]
        losses: dict[int, float] = {}
        grown = best = 0
        while grown < most and grown - best < patience:
            before, grown = grown, min(max(_FIRST, patience, grown * 3 // 2), most)
            looked = [at for at in range(before + 1, grown + 1) if at % _EVERY == 0 or at == most]
            parts = []
            for number, (model, matrix) in enumerate(zip(models, valid, strict=True)):
                model.grow(grown)
                stages = enumerate(model.staged(matrix, before + 1), start=before + 1)
                parts.append([self._held(number, raw).loss for at, raw in stages if at in looked])
            losses |= dict(zip(looked, np.mean(parts, axis=0).tolist(), strict=True))
            best = min(losses, key=lambda at: (losses[at], at), default=0)
        chosen = [next(iter(model.staged(matrix, best))) for model, matrix in zip(models, valid, strict=True)]
        return Tried([self._held(number, raw) for number, raw in enumerate(chosen)], best)

    def _held(self, fold: int, raw: Any) -> Predicted:
        data, valid = self._data, self.folds[fold].valid
        return Predicted(data.labels[valid], raw, data.valid_counts[valid], self.balance.offset)

    def _asked(self, rows: Any) -> dict[str, Any]:
        """What the trainer is given of a mask of rows (n,)."""
        return {
            "matrix": self._data.matrix[rows],
            "labels": self._data.labels[rows],
            "seed": self._spec.training.seed,
            "weights": self._weights(rows),
            "directions": self._directions,
        }

    def _weights(self, rows: Any) -> Any:
        """What rows count: what they stand for, and what evens the classes out."""
        weights = self._data.weights_of(rows)
        if self._spec.imbalance == "none":
            return weights
        even = np.where(self._data.labels[rows] == 1, self.balance.positive, self.balance.negative)
        return even if weights is None else even * weights

    def _price(self, setting: Setting) -> float:
        columns = self._data.matrix.shape[1]
        sizes = [int(self._data.newest(fold.train, setting.dates).sum()) for fold in self.folds]
        return sum(fit_seconds(self._family, setting.parameters, rows, columns) for rows in sizes)


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions of one fold's validation rows, held against what became of them: (n,) each.

    `raw`: the model's own; `offset`: what balanced classes put on its logit.
    """

    label: Any
    raw: Any
    weight: Any
    offset: float

    @property
    def loss(self) -> float:
        """Log loss of the probabilities, the offset taken off."""
        said = identity(offset=self.offset).apply(self.raw) if self.offset else self.raw
        return log_loss(said, self.label, self.weight)


class Tried:
    """Out-of-fold predictions of one setting, and the log loss per fold."""

    def __init__(self, parts: Sequence[Predicted], iterations: int | None = None) -> None:
        self._parts, self.iterations = parts, iterations
        self.losses = [part.loss for part in parts]
        self.loss = float(np.mean(self.losses))

    def trial(self, setting: Setting, share: float) -> Trial:
        return Trial(setting, share, self.loss, self.iterations)

    def columns(self) -> dict[str, Any]:
        """fold, label, raw and weight of every validation row."""
        return {
            "fold": np.concatenate(
                [np.full(len(one.label), number, np.int32) for number, one in enumerate(self._parts)]
            ),
            "label": np.concatenate([one.label for one in self._parts]).astype(np.int32),
            "raw": np.concatenate([one.raw for one in self._parts]),
            "weight": np.concatenate([one.weight for one in self._parts]),
        }
