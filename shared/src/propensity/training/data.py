"""The training set of a run as arrays, in one order, for fitting and for evaluating."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from propensity.features.labels import COLUMNS
from propensity.kernel.errors import EvidenceError
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import Built, TrainingPlan
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.stats.sampling import rarer
from propensity.training.content_hash import ContentHash
from propensity.training.domain.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class TrainingData:
    """`matrix` float32 (n, k); `labels` int8 (n,); `as_of` datetime64[D] (n,).

    `fit_weights` and `valid_weights` float64 (n,): how many rows of the population a row stands for where a model is
    fitted, and where one is validated or calibrated. 0: it takes no part. None: every row once. `columns`: others that
    were asked for, (n,) each.
    """

    matrix: Any
    labels: Any
    as_of: Any
    fit_weights: Any = None
    valid_weights: Any = None
    columns: dict[str, Any] = field(default_factory=dict)

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

    @property
    def fit_counts(self) -> Any:
        """`fit_weights`, 1 where every row counts once: float64 (n,)."""
        return np.ones(len(self.labels)) if self.fit_weights is None else self.fit_weights

    @property
    def valid_counts(self) -> Any:
        """`valid_weights`, 1 where every row counts once: float64 (n,)."""
        return np.ones(len(self.labels)) if self.valid_weights is None else self.valid_weights

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
    ports: Ports,
    keys: Sequence[str],
    definition: Definition,
    columns: Sequence[str] = (),
    *,
    hashed: ContentHash | None = None,
) -> TrainingData:
    """The rows of a run's files below `<run>/features/`, by as-of date and draw: however the work was cut.

    Rows that a cap leaves out are not kept in memory, beyond one file's. `columns` are read besides; `hashed` is given
    every row. Raises EvidenceError where there are no rows, or only one class.
    """
    chosen = training_set(ports, keys, definition)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:04d}.parquet" for number, _ in enumerate(keys)]
        for key, path in zip(keys, files, strict=True):
            ports.lake.download(key, path)
        parts = [_choose(ports, path, chosen) for path in files]
        merged = _Part(*(np.concatenate(values) for values in zip(*(part.arrays() for part in parts), strict=True)))
        # a run from before there were draws keeps the order of its files
        order = np.lexsort((merged.draw, merged.as_of)) if chosen else np.arange(len(merged.rows))
        data = _weighed(merged.at(order), definition, chosen)
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        start = 0
        for path, part in zip(files, parts, strict=True):
            here = places[start : start + len(part.rows)]
            start += len(part.rows)
            _fill(ports, path, part, here, data, definition, columns)
            if hashed is not None:
                _hash(ports, path, part, here, data, hashed)
    rows, positives = len(data.labels), int(data.labels.sum())
    if positives in (0, rows):
        raise EvidenceError(
            f"model {definition.model.name}: {positives} of {rows} training rows are positive; both kinds are needed. "
            f"Load more history, or look at the target's SQL{chosen.said() if chosen else ''}"
        )
    return data


def training_set(ports: Ports, keys: Sequence[str], definition: Definition) -> Chosen | None:
    """Who of a run's files takes part: `chosen_of` its plan and results."""
    run = keys[0].rpartition("/features/")[0]
    results = results_of(ports.lake, run, Built, len(keys))
    return chosen_of(results, read_plan(ports.lake, run, TrainingPlan), definition)


def chosen_of(results: Sequence[Built], plan: TrainingPlan, definition: Definition) -> Chosen | None:
    """None for a run that was planned before anybody was left out."""
    if any(result.strata is None for result in results):
        return None
    until = parse_day(plan.last_outcomes, "outcomes_until")
    counts = [result.to_json() for result in results]
    found = TrainingSet.of(counts, definition.model, until=until, silent_days=plan.silent_days)
    return Chosen(found, definition.model)


class Chosen:
    """Which rows of a file take part, and what they count."""

    def __init__(self, found: TrainingSet, spec: ModelSpec) -> None:
        self.found, self.rates = found, found.rates(spec)
        self.silent = {day: names for day, names in found.silent_on(spec).items() if names}
        self.treated_weight = spec.treatment.weight if spec.treatment else None

    def said(self) -> str:
        """What was left out, for an error's text; empty where nothing was."""
        rows: Counter[str] = Counter()
        for (_, reason), count in self.found.left_out.items():
            rows[reason] += count
        return f"; left out: {', '.join(f'{count} {reason}' for reason, count in sorted(rows.items()))}" if rows else ""


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one file that take part: where in the file they are, and what is needed to order and weigh them."""

    rows: Any
    labels: Any
    as_of: Any
    draw: Any
    treated: Any

    def arrays(self) -> tuple[Any, ...]:
        return self.rows, self.labels, self.as_of, self.draw, self.treated

    def at(self, places: Any) -> _Part:
        return _Part(*(values[places] for values in self.arrays()))


def _choose(ports: Ports, path: Path, chosen: Chosen | None) -> _Part:
    wanted = ["as_of", "label"] if chosen is None else ["as_of", *COLUMNS]
    if chosen and chosen.silent:
        wanted.append("tenant_id")
    columns = ports.frames.read(path, wanted)
    days, labels = columns["as_of"].astype("datetime64[D]"), np.asarray(columns["label"], dtype=np.int8)
    if chosen is None:
        everything = np.arange(len(labels))
        return _Part(everything, labels, days, np.zeros(len(labels)), np.zeros(len(labels), dtype=np.int8))
    draw = np.asarray(columns["_draw"], dtype=np.float64)
    keep = np.zeros(len(labels), dtype=bool)
    for day in np.unique(days):
        there = days == day
        share = np.where(labels == 1, chosen.rates.fit[1], chosen.rates.fit[0])
        share = np.maximum(share, chosen.rates.valid.get(as_date(day), 0.0))
        keep |= there & (draw < share)
        gone = chosen.silent.get(as_date(day))
        if gone:
            keep &= ~(there & np.isin(columns["tenant_id"], list(gone)))
    rows = np.flatnonzero(keep)
    return _Part(rows, labels[rows], days[rows], draw[rows], np.asarray(columns["_treated"], dtype=np.int8)[rows])


def _weighed(rows: _Part, definition: Definition, chosen: Chosen | None) -> TrainingData:
    """The rows in their order with what they count; their matrix is still empty."""
    matrix = np.empty((len(rows.labels), len(definition.feature_names)), dtype=np.float32)
    fit = valid = None
    if chosen and not chosen.rates.whole:
        fit, valid = _sampled(chosen, rows)
    if chosen and chosen.treated_weight is not None:
        counts = np.where(rows.treated == 1, chosen.treated_weight, 1.0)
        fit = counts if fit is None else fit * counts
        valid = counts if valid is None else valid * counts
    return TrainingData(matrix, rows.labels, rows.as_of, fit, valid)


def _sampled(chosen: Chosen, rows: _Part) -> tuple[Any, Any]:
    """Weights of the rows of a capped set: in fits the rows of their stratum that each stands for, 0 for none."""
    fit, valid = np.zeros(len(rows.labels)), np.zeros(len(rows.labels))
    for (day, label), count in chosen.found.counts().items():
        there = (rows.as_of == np.datetime64(day, "D")) & (rows.labels == label)
        taken = there & (rows.draw < chosen.rates.fit[label])
        if taken.any():
            fit[taken] = count / int(taken.sum())
        valid[there & (rows.draw < chosen.rates.valid.get(day, 0.0))] = 1.0
    return fit, valid


def _fill(
    ports: Ports,
    path: Path,
    part: _Part,
    here: Any,
    data: TrainingData,
    definition: Definition,
    columns: Sequence[str],
) -> None:
    """Put a file's rows at their places, so that there is never more than one file beside the matrix."""
    data.matrix[here] = ports.frames.matrix(path, definition.feature_names)[part.rows]
    if columns:
        read = ports.frames.read(path, columns)
        for name in columns:
            values = read[name][part.rows]
            if name not in data.columns:
                data.columns[name] = np.empty(len(data.labels), dtype=values.dtype)
            data.columns[name][here] = values


def _hash(ports: Ports, path: Path, part: _Part, here: Any, data: TrainingData, hashed: ContentHash) -> None:
    keys = ports.frames.read(path, ["tenant_id", "customer_id"])
    hashed.add(
        [
            f"{tenant}\0{customer}"
            for tenant, customer in zip(keys["tenant_id"][part.rows], keys["customer_id"][part.rows], strict=True)
        ],
        data.as_of[here].astype(np.int64),
        data.labels[here],
        data.fit_counts[here],
        data.valid_counts[here],
        data.matrix[here],
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """Train on the rows of earlier dates whose outcomes were known, validate on those of one date. Row masks."""

    day: Any
    train: Any
    valid: Any


def folds(data: TrainingData, spec: ModelSpec) -> list[Fold]:
    """Forward in time, oldest first: the last dates that have purged dates before them, at most spec's count.

    Purged: a training date's label window has ended and settled by the validation date. A date with fewer positives or
    negatives than `validation.min_positives` is no fold: every fold counts alike, however few rows it has. Raises
    EvidenceError where there is none.
    """
    made = []
    for day in data.dates:
        train = data.fitted & known_by(data.as_of, day, spec)
        valid = data.validated & (data.as_of == day)
        if rarer(data.labels[train]) and rarer(data.labels[valid]) >= spec.validation.min_positives:
            made.append(Fold(day, train, valid))
    if not made:
        raise EvidenceError(
            f"model {spec.name}: no as-of date with {spec.validation.min_positives} positives and as many negatives "
            "has training dates whose outcomes were known by then; "
            f"{len(data.dates)} dates from {data.dates[0]} to {data.dates[-1]}, horizon {spec.horizon_days} days. "
            "Raise training.as_of_count or load more history"
        )
    return made[-spec.validation.folds :]


def known_by(days: Any, day: Any, spec: ModelSpec) -> Any:
    """Mask of the as-of days, datetime64 (n,), whose outcomes were all known by a day."""
    return days + np.timedelta64(timedelta(days=spec.reach_days), "D") <= np.datetime64(day, "D")


def as_date(day: Any) -> date:
    """A numpy day as a date."""
    value: date = day.astype("datetime64[D]").item()
    return value
