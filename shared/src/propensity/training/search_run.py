"""The search of one candidate family: its settings are validated forward in time, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from propensity.kernel.errors import EvidenceError
from propensity.pack.domain.model_spec import Candidate, Family, ModelSpec
from propensity.ports import FittedModel, GrowingModel, Ports, Sample
from propensity.stats.calibration import identity, mean_log_loss
from propensity.stats.imbalance import balance_of
from propensity.stats.sampling import rarer
from propensity.training.data import TrainingData, folds
from propensity.training.domain.cost import GROWING, MAX_ITER, affordable, fit_seconds, search_seconds
from propensity.training.domain.search import Setting, Trial, halve, settings_of

_EVERY = 5  # iterations; the folds cannot tell which of two nearer numbers is better


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search: the best setting, the rows to fit it on (a mask (n,)), and how it was found.

    `best` has the setting's out-of-fold predictions. `untried` says how many settings the budget, or their dates, left
    out. `cpu_seconds` is the search's estimated cost.
    """

    setting: Setting
    rows: Any
    best: Tried
    trials: tuple[Trial, ...]
    untried: int
    cpu_seconds: float


class Search:
    """A search that fits models of one family and validates them forward in time."""

    def __init__(
        self, ports: Ports, spec: ModelSpec, family: Family, data: TrainingData, directions: Sequence[int] = ()
    ) -> None:
        self._ports, self._spec, self._family, self._data = ports, spec, family, data
        self._options: dict[str, Any] = {"seed": spec.training.seed, "directions": directions}
        self.folds = folds(data, spec)
        self.rows = max(int(fold.train.sum()) for fold in self.folds)
        counts = data.fit_counts
        positives = float(counts @ (data.labels == 1))
        # The balance is that of all rows, not of each fold's rows, so that a calibrator sees predictions with one
        # offset.
        self.balance = balance_of(spec.imbalance, positives, float(counts.sum()) - positives)

    def run(self, candidate: Candidate) -> Found:
        """Try as many of the candidate's settings by halving as the model's cpu_seconds allow."""
        training = self._spec.training
        asked = settings_of(candidate, training.date_counts, training.seed)
        settings = self._with_both_outcomes(asked)
        kept = affordable(settings, self.rows, self._price, training.cpu_seconds)
        trials, finalists = halve(
            settings[:kept],
            self.rows,
            lambda setting, share: self.validate(setting, share, candidate.patience).trial(setting, share),
        )
        tried = [self.validate(setting, 1.0, candidate.patience) for setting in finalists]
        best = min(range(len(tried)), key=lambda number: (tried[number].loss, number))
        trials += [result.trial(setting, 1.0) for setting, result in zip(finalists, tried, strict=True)]
        setting = finalists[best]
        if tried[best].iterations is not None:
            setting = Setting({**setting.parameters, "max_iter": tried[best].iterations}, setting.dates)
        return Found(
            setting,
            self._data.newest(self._data.fitted, setting.dates),
            tried[best],
            tuple(trials),
            len(asked) - kept,
            search_seconds([self._price(setting) for setting in settings[:kept]], self.rows),
        )

    def fit(self, setting: Setting, rows: Any) -> FittedModel:
        """Fit a model with a setting on the rows of a mask (n,)."""
        train = self._sample(rows, self._data.weights_of(rows))
        return self._ports.trainer.fit(self._family, setting.parameters, train, **self._options)

    def _with_both_outcomes(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return the settings with enough dates for every fit.

        With these dates each fold, and the last fit, has positives and negatives.
        """
        data = self._data
        masks = [*(fold.train for fold in self.folds), data.fitted]
        counts = {
            count
            for count in {setting.dates for setting in settings}
            if all(rarer(data.labels[data.newest(mask, count)]) for mask in masks)
        }
        found = [setting for setting in settings if setting.dates in counts]
        if not found:
            tried = " or ".join(str(count) for count in sorted({setting.dates for setting in settings}))
            raise EvidenceError(
                f"model {self._spec.name}: the newest {tried} as-of dates of what a fold is fitted on have positives "
                "only or negatives only. Raise training.newest, or load more history"
            )
        return found

    def validate(self, setting: Setting, share: float, patience: int) -> Tried:
        """Fit a setting on a share of each fold's training rows, and predict all of the fold's validation rows."""
        data, seed = self._data, self._spec.training.seed
        train = [data.sample(data.newest(fold.train, setting.dates), share, seed) for fold in self.folds]
        if patience and self._family in GROWING:
            return self._grown(setting, train, patience)
        return Tried(
            [self._predicted(number, self._predict(setting, rows, number)) for number, rows in enumerate(train)]
        )

    def _predict(self, setting: Setting, rows: Any, fold: int) -> Any:
        return self.fit(setting, rows).predict(self._data.matrix[self.folds[fold].valid])

    def _grown(self, setting: Setting, train: Sequence[Any], patience: int) -> Tried:
        """Find the number of iterations that is best over all folds together, so that the last fit can use it.

        Each fold's model grows until its own loss has not fallen for `patience` iterations. One model's best number is
        the largest, and then all models grow to that number. The mean loss is compared at every _EVERY iterations.
        While its last value is the least, all models grow on.
        """
        most = int(setting.parameters.get("max_iter", MAX_ITER))
        parameters = {**setting.parameters, "max_iter": most}
        # growth stops by the loss that the model is fitted to
        valid = [self._sample(fold.valid, self._data.valid_counts[fold.valid]) for fold in self.folds]
        models = [
            self._ports.trainer.grow(
                self._family,
                parameters,
                self._sample(rows, self._data.weights_of(rows)),
                validation,
                patience=patience,
                **self._options,
            )
            for rows, validation in zip(train, valid, strict=True)
        ]
        reach = min(most, ceil(max(model.best for model in models) / _EVERY) * _EVERY)
        while True:
            for model in models:
                if model.iterations < reach:
                    model.grow(reach)
            grown = min(model.iterations for model in models)
            looked = [at for at in range(1, grown + 1) if at % _EVERY == 0 or at == most]
            best = looked[int(np.argmin(self._mean_losses(models, valid, looked)))]
            if best < looked[-1] or grown == most:
                break
            reach = min(most, grown + max(patience, _EVERY))
        chosen = [
            next(iter(model.staged(validation.matrix, best))) for model, validation in zip(models, valid, strict=True)
        ]
        return Tried([self._predicted(number, raw) for number, raw in enumerate(chosen)], best)

    def _mean_losses(self, models: Sequence[GrowingModel], valid: Sequence[Sample], looked: Sequence[int]) -> Any:
        """Return the mean over the folds of the loss after each number of iterations in `looked`, in the same order."""
        parts = []
        for number, (model, validation) in enumerate(zip(models, valid, strict=True)):
            stages = enumerate(model.staged(validation.matrix), start=1)
            parts.append([self._predicted(number, raw).loss for at, raw in stages if at in looked])
        return np.mean(parts, axis=0)

    def _predicted(self, fold: int, raw: Any) -> Predicted:
        data, valid = self._data, self.folds[fold].valid
        return Predicted(data.labels[valid], raw, data.valid_counts[valid], self.balance.offset)

    def _sample(self, rows: Any, weights: Any) -> Sample:
        """Return the rows of a mask (n,), as the trainer takes them.

        A row's weight is how many rows it stands for (`weights`), times the factor that balances the classes.
        """
        labels = self._data.labels[rows]
        if self._spec.imbalance != "none":
            balanced = np.where(labels == 1, self.balance.positive, self.balance.negative)
            weights = balanced if weights is None else balanced * weights
        return Sample(self._data.matrix[rows], labels, weights)

    def _price(self, setting: Setting) -> float:
        """Return the estimated CPU-seconds of a setting on all rows and folds."""
        columns = self._data.matrix.shape[1]
        sizes = [int(self._data.newest(fold.train, setting.dates).sum()) for fold in self.folds]
        return sum(fit_seconds(self._family, setting.parameters, rows, columns) for rows in sizes)


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions for one fold's validation rows, with the rows' labels and weights: (n,) each.

    `raw` is the model's own probability. `offset` is what balanced classes put on the logit of `raw`.
    """

    label: Any
    raw: Any
    weight: Any
    offset: float

    @property
    def loss(self) -> float:
        """Return the log loss of the probabilities without the offset."""
        probability = identity(offset=self.offset).apply(self.raw) if self.offset else self.raw
        return mean_log_loss(probability, self.label, self.weight)


class Tried:
    """A setting that was tried, with its out-of-fold predictions and its log loss per fold."""

    def __init__(self, parts: Sequence[Predicted], iterations: int | None = None) -> None:
        self._parts, self.iterations = parts, iterations
        self.losses = [part.loss for part in parts]
        self.loss = float(np.mean(self.losses))

    def trial(self, setting: Setting, share: float) -> Trial:
        return Trial(setting, share, self.loss, self.iterations)

    def columns(self) -> dict[str, Any]:
        """Return fold, label, raw and weight of every validation row."""
        return {
            "fold": np.concatenate(
                [np.full(len(part.label), number, np.int32) for number, part in enumerate(self._parts)]
            ),
            "label": np.concatenate([part.label for part in self._parts]).astype(np.int32),
            "raw": np.concatenate([part.raw for part in self._parts]),
            "weight": np.concatenate([part.weight for part in self._parts]),
        }
