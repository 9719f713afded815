"""The training set of a run as arrays, in one order, for fitting and for evaluating."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from propensity.domain.errors import EvidenceError
from propensity.domain.model_spec import ModelSpec
from propensity.domain.pack import Definition
from propensity.ports import Ports


@dataclass(frozen=True, slots=True)
class TrainingData:
    """`matrix` float32 (n, k); `labels` int8 (n,); `as_of` datetime64[D] (n,).

    `fit_weights` and `valid_weights` float64 (n,): how many rows of the population a row stands for where a model is
    fitted, and where one is validated or calibrated. 0: it takes no part. None: every row once.

    `columns`: others that were asked for, (n,) each.
    """

    matrix: Any
    labels: Any
    as_of: Any
    fit_weights: Any = None
    valid_weights: Any = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fitted(self) -> Any:
        """Mask (n,) of the rows that models are fitted on."""
        return self._takes_part(self.fit_weights)

    @property
    def validated(self) -> Any:
        """Mask (n,) of the rows that models are validated on."""
        return self._takes_part(self.valid_weights)

    def _takes_part(self, weights: Any) -> Any:
        return np.ones(len(self.labels), dtype=bool) if weights is None else weights > 0

    def weights_of(self, rows: Any) -> Any:
        """What the rows of a mask or of indices count in a fit, as `Trainer.fit` takes it; None: each once."""
        return None if self.fit_weights is None else self.fit_weights[rows]

    @property
    def dates(self) -> list[Any]:
        return list(np.unique(self.as_of))

    def newest(self, rows: Any, dates: int) -> Any:
        """Of a mask of rows (n,) those of its newest as-of dates, at most so many."""
        return rows & np.isin(self.as_of, np.unique(self.as_of[rows])[-dates:])

    def sample(self, rows: Any, share: float, seed: int) -> Any:
        """Of a mask of rows (n,) a share, in (0, 1], of each class at random, one at least; always the same."""
        if share >= 1:
            return rows
        chance, kept = np.random.default_rng(seed), np.zeros(len(rows), dtype=bool)
        for label in (0, 1):
            there = np.flatnonzero(rows & (self.labels == label))
            size = min(len(there), max(1, round(share * len(there))))  # one of few, or nothing could be fitted
            kept[chance.choice(there, size=size, replace=False)] = True
        return kept


def read_training(
    ports: Ports, keys: Sequence[str], definition: Definition, columns: Sequence[str] = ()
) -> TrainingData:
    """Raises EvidenceError where there are no rows, or only one class."""
    matrices, labels, days = [], [], []
    others: dict[str, list[Any]] = {name: [] for name in columns}
    with tempfile.TemporaryDirectory() as folder:
        for number, key in enumerate(keys):
            path = Path(folder) / f"{number:04d}.parquet"
            ports.lake.download(key, path)
            matrices.append(ports.frames.matrix(path, definition.feature_names))
            read = ports.frames.read(path, ["as_of", "label", *columns])
            labels.append(np.asarray(read["label"], dtype=np.int8))
            days.append(read["as_of"].astype("datetime64[D]"))
            for name, parts in others.items():
                parts.append(read[name])
    data = TrainingData(
        np.vstack(matrices),
        np.concatenate(labels),
        np.concatenate(days),
        columns={name: np.concatenate(parts) for name, parts in others.items()},
    )
    rows, positives = len(data.labels), int(data.labels.sum())
    if positives in (0, rows):
        raise EvidenceError(
            f"model {definition.model.name}: {positives} of {rows} training rows are positive; both kinds are needed. "
            "Load more history, or look at the target's SQL"
        )
    return data


@dataclass(frozen=True, slots=True)
class Fold:
    """Train on the rows of earlier dates whose outcomes were known, validate on those of one date. Row masks."""

    day: Any
    train: Any
    valid: Any


def folds(data: TrainingData, spec: ModelSpec) -> list[Fold]:
    """Forward in time, oldest first: the last dates that have purged dates before them, at most spec's count.

    Purged: a training date's label window has ended and settled by the validation date. Raises EvidenceError where
    no date has one.
    """
    reach = np.timedelta64(timedelta(days=spec.gap_days + spec.horizon_days + spec.settle_days), "D")
    made = []
    for day in data.dates:
        train = data.fitted & (data.as_of + reach <= day)
        valid = data.validated & (data.as_of == day)
        if _two_classes(data.labels[train]) and _two_classes(data.labels[valid]):
            made.append(Fold(day, train, valid))
    if not made:
        raise EvidenceError(
            f"model {spec.name}: no as-of date has training dates whose outcomes were known by then; "
            f"{len(data.dates)} dates from {data.dates[0]} to {data.dates[-1]}, horizon {spec.horizon_days} days. "
            "Raise training.as_of_count or load more history"
        )
    return made[-spec.validation.folds :]


def _two_classes(labels: Any) -> bool:
    return bool(len(labels)) and 0 < int(labels.sum()) < len(labels)


def as_date(day: Any) -> date:
    """A numpy day as a date."""
    value: date = day.astype("datetime64[D]").item()
    return value
