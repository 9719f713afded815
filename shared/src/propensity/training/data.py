"""The training set of a run as arrays in a fixed order, for fitting and for evaluating."""

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
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.stats.sampling import rarer
from propensity.training.content_hash import ContentHash
from propensity.training.domain.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows of a training set as arrays: `matrix` float32 (n, k); `labels` int8 (n,); `as_of` datetime64[D] (n,).

    `fit_weights`, float64 (n,), says how many rows of the population each row stands for where a model is fitted.
    `valid_weights`, float64 (n,), says the same where a model is validated or calibrated. A row of weight 0 takes no
    part. Where the weights are None, every row counts once. `columns` has the other columns that were asked for, (n,)
    each.
    """

    matrix: Any
    labels: Any
    as_of: Any
    fit_weights: Any = None
    valid_weights: Any = None
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def fitted(self) -> Any:
        """Return the mask (n,) of the rows that models are fitted on."""
        return self._takes_part(self.fit_weights)

    @property
    def validated(self) -> Any:
        """Return the mask (n,) of the rows that models are validated on."""
        return self._takes_part(self.valid_weights)

    def _takes_part(self, weights: Any) -> Any:
        return np.ones(len(self.labels), dtype=bool) if weights is None else weights > 0

    @property
    def fit_counts(self) -> Any:
        """Return `fit_weights`, float64 (n,); 1 where every row counts once."""
        return np.ones(len(self.labels)) if self.fit_weights is None else self.fit_weights

    @property
    def valid_counts(self) -> Any:
        """Return `valid_weights`, float64 (n,); 1 where every row counts once."""
        return np.ones(len(self.labels)) if self.valid_weights is None else self.valid_weights

    def weights_of(self, rows: Any) -> Any:
        """Return the `fit_weights` of some rows, given by mask or indices, as `Trainer.fit` takes weights.

        None says that each row counts once.
        """
        return None if self.fit_weights is None else self.fit_weights[rows]

    @property
    def dates(self) -> list[Any]:
        return list(np.unique(self.as_of))

    def newest(self, rows: Any, dates: int) -> Any:
        """Return the rows of a mask (n,) that are of its newest as-of dates, at most `dates` of these."""
        return rows & np.isin(self.as_of, np.unique(self.as_of[rows])[-dates:])

    def sample(self, rows: Any, share: float, seed: int) -> Any:
        """Draw a share, in (0, 1], of each class of a mask's rows (n,), at least one row of each class.

        The rows are drawn at random; equal inputs give equal rows.
        """
        if share >= 1:
            return rows
        chance, kept = np.random.default_rng(seed), np.zeros(len(rows), dtype=bool)
        for label in (0, 1):
            there = np.flatnonzero(rows & (self.labels == label))
            # at least one row is drawn of each class, else nothing could be fitted
            size = min(len(there), max(1, round(share * len(there))))
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
    """Read the rows of a run's files below `<run>/features/`, sorted by as-of date and draw, however the work was cut.

    Rows that a cap leaves out are in memory only while their file is read. `columns` names further columns to read.
    `hashed` gets every row that takes part. Raises EvidenceError where there are no rows, or rows of one class only.
    """
    chosen = training_set(ports, keys, definition)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:04d}.parquet" for number, _ in enumerate(keys)]
        for key, path in zip(keys, files, strict=True):
            ports.lake.download(key, path)
        parts = [_choose(ports, path, chosen) for path in files]
        merged = _Part(*(np.concatenate(values) for values in zip(*(part.arrays() for part in parts), strict=True)))
        # the rows of an early run have no draw, and keep the order of the run's files
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
    if not rows:
        raise EvidenceError(f"model {definition.model.name}: {_why_empty(ports, keys, chosen)}")
    if positives in (0, rows):
        raise EvidenceError(
            f"model {definition.model.name}: {positives} of {rows} training rows are positive; both kinds are needed. "
            f"Load more history, or look at the target's SQL{chosen.left_out() if chosen else ''}"
        )
    return data


def _why_empty(ports: Ports, keys: Sequence[str], chosen: Chosen | None) -> str:
    """Say why a training set has no rows: most often the history is known from its arrival only."""
    run = keys[0].rpartition("/features/")[0]
    plan = read_plan(ports.lake, run, TrainingPlan)
    late = sorted(dataset for dataset, shape in (plan.shapes or {}).items() if shape.by_arrival)
    days = f"for the as-of dates {min(plan.dates)} to {max(plan.dates)}"
    if chosen and (left := chosen.left_out()):
        return f"0 of 0 training rows are kept {days}{left}. Look at why rows are left out, or load more history"
    said = f"no training rows {days}"
    if late:
        return (
            f"{said}; rows of {', '.join(late)} count from their arrival, because their contracts have no knownAt or "
            "say arrival, so history that was loaded later is not seen on these dates. Give the contract knownAt with "
            "{column: …} or {lagDays: n}, as a new version in an empty lake, and load the history again"
        )
    return f"{said}; no customer is in the population on these dates. Load more history, or look at population's SQL"


def training_set(ports: Ports, keys: Sequence[str], definition: Definition) -> Chosen | None:
    """Return which rows of a run's files take part, by the run's plan and results, as `chosen_of` does."""
    run = keys[0].rpartition("/features/")[0]
    results = results_of(ports.lake, run, BuildResult, len(keys))
    return chosen_of(results, read_plan(ports.lake, run, TrainingPlan), definition)


def chosen_of(results: Sequence[BuildResult], plan: TrainingPlan, definition: Definition) -> Chosen | None:
    """Return which rows of a run take part; None for an early run, which left nobody out."""
    if any(result.strata is None for result in results):
        return None
    until = parse_day(plan.last_outcomes, "outcomes_until")
    counts = [result.to_json() for result in results]
    rows = TrainingSet.of(counts, definition.model, until=until, silent_days=plan.silent_days)
    return Chosen(rows, definition.model)


class Chosen:
    """The rule that says which rows of a file take part, and how much each row counts."""

    def __init__(self, rows: TrainingSet, spec: ModelSpec) -> None:
        self.rows, self.rates = rows, rows.rates(spec)
        self.silent = {day: names for day, names in rows.silent_on(spec).items() if names}
        self.treated_weight = spec.treatment.weight if spec.treatment else None

    def left_out(self) -> str:
        """Return how many rows were left out, by reason, for an error's text; empty where none was left out."""
        by_reason: Counter[str] = Counter()
        for (_, reason), count in self.rows.left_out.items():
            by_reason[reason] += count
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(by_reason.items()))
        return f"; left out: {listed}" if listed else ""


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one file that take part, (n,) each.

    `rows` are the rows' places in the file. The other columns order and weigh the rows.
    """

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
    """Return the rows of a file whose draw is below their share, without the rows of tenants that fell silent."""
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
        on_day = days == day
        share = np.where(labels == 1, chosen.rates.fit[1], chosen.rates.fit[0])
        share = np.maximum(share, chosen.rates.valid.get(as_date(day), 0.0))
        keep |= on_day & (draw < share)
        silent = chosen.silent.get(as_date(day))
        if silent:
            keep &= ~(on_day & np.isin(columns["tenant_id"], list(silent)))
    rows = np.flatnonzero(keep)
    return _Part(rows, labels[rows], days[rows], draw[rows], np.asarray(columns["_treated"], dtype=np.int8)[rows])


def _weighed(rows: _Part, definition: Definition, chosen: Chosen | None) -> TrainingData:
    """Return the rows, in their order, with their weights; the matrix is filled afterwards."""
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
    """Return (fit, valid): the weights of the rows of a capped set, float64 (n,) each.

    A row that is fitted on stands for its share of the rows of its date and label; any other row has the fit weight 0.
    In validation a row counts 1 or 0.
    """
    fit, valid = np.zeros(len(rows.labels)), np.zeros(len(rows.labels))
    for (day, label), count in chosen.rows.counts().items():
        stratum = (rows.as_of == np.datetime64(day, "D")) & (rows.labels == label)
        taken = stratum & (rows.draw < chosen.rates.fit[label])
        if taken.any():
            fit[taken] = count / int(taken.sum())
        valid[stratum & (rows.draw < chosen.rates.valid.get(day, 0.0))] = 1.0
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
    """Put a file's rows at their places `here` in the arrays.

    Memory never holds more than one file beside the matrix.
    """
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
    """A fold with its validation date: `train` are rows of earlier dates whose outcomes were known by then.

    `valid` are the rows of the date itself. Both are masks (n,).
    """

    day: Any
    train: Any
    valid: Any


def folds(data: TrainingData, spec: ModelSpec) -> list[Fold]:
    """Return the newest folds to validate on, oldest first, at most `validation.folds` of them.

    A fold trains on earlier dates whose label windows had ended and settled by the fold's own date (purging). A date
    with fewer positives or negatives than `validation.min_positives` is no fold, because every fold counts alike,
    however few rows it has. Raises EvidenceError where there is no fold.
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
    """Return the mask of the as-of days, datetime64 (n,), whose outcomes were all known by `day`."""
    return days + np.timedelta64(timedelta(days=spec.reach_days), "D") <= np.datetime64(day, "D")


def as_date(day: Any) -> date:
    """Convert a numpy day to a date."""
    value: date = day.astype("datetime64[D]").item()
    return value
