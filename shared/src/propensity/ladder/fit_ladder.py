"""fit_ladder: fit the models of segments and of single tenants, by the family and setting that training chose.

Each model is fitted forward in time, on the same folds as the candidates, and once more on all its rows. Later
evaluate_ladder decides whether a model is used. A row belongs to one segment and to one tenant. So all these fits
together cost at most about two fits of the chosen setting per fold, and two at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from propensity.evaluation.evaluations import read_evaluation
from propensity.kernel.errors import ConflictError
from propensity.ladder.domain.evidence import by_name
from propensity.ladder.domain.rungs import FittedGroup, LadderFits
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import LadderSpec
from propensity.ports import ObjectStore, Ports
from propensity.stats.sampling import rarer
from propensity.training.data import TrainingData, read_training
from propensity.training.domain.search import Setting
from propensity.training.fitted_files import write_fitted
from propensity.training.search_run import Search

MAX_SEGMENTS = 50
_FITS = "ladder/fit.json"


@dataclass(frozen=True, slots=True)
class Group:
    """The rows that a model of the ladder is fitted on: the rows of one segment or of one tenant, as a mask (n,)."""

    kind: Literal["segment", "own"]
    name: str
    folder: str
    rows: Any


def fit_ladder(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/ladder/fit.json`, and a folder per model below `<run>/ladder/`.

    A folder has model.onnx and explanation.json. It has reference.parquet and probes.parquet for parity. Its
    oof.parquet has the row number and raw probability of validation rows.
    """
    plan, evaluation = read_plan(ports.lake, run, TrainingPlan), read_evaluation(ports.lake, run)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    data = training_of(ports, run, plan, definition)
    chosen = evaluation.chosen
    search = Search(ports, definition.model, chosen["family"], data, definition.directions)
    setting = Setting(chosen["parameters"], chosen["dates"])
    models = [_fit(ports, run, definition, search, setting, group, data) for group in groups_of(data, definition)]
    fits = LadderFits(models=tuple(models), offset=search.balance.offset, out=chosen["out"])
    ports.lake.put_new(f"{run}/{_FITS}", dumps(fits.model_dump()))
    return {"run": run, "model": plan.model, "models": len(models)}


def read_fits(store: ObjectStore, run: str) -> LadderFits:
    """Read the content of fit.json that fit_ladder wrote for a run."""
    return read_record(store, f"{run}/{_FITS}", LadderFits)


def training_of(ports: Ports, run: str, plan: TrainingPlan, definition: Definition) -> TrainingData:
    """Return the run's training set, with tenant and customer of each row, and the segment where there are segments."""
    keys = [result.features for result in results_of(ports.lake, run, BuildResult, len(plan.groups))]
    return read_training(
        ports, keys, definition, ["tenant_id", "customer_id", *(["segment"] if definition.has_segments else [])]
    )


def groups_of(data: TrainingData, definition: Definition) -> Iterator[Group]:
    """Return the groups that get a model: segments first, then tenants, each by evidence, most first.

    A segment needs enough evidence and at least two tenants. A tenant needs enough evidence.
    """
    spec = definition.model.ladder
    if spec is None:
        raise ConflictError(f"model {definition.model.name}: has no ladder to fit")
    for number, name in enumerate(_segments(data, spec), start=1):
        yield Group("segment", name, f"ladder/segment-{number:02d}", data.fitted & (data.columns["segment"] == name))
    for name in _enough(data, data.columns["tenant_id"], spec.min_positives_own)[: spec.max_own_models]:
        rows = data.fitted & (data.columns["tenant_id"] == name)
        if rows.sum() < data.fitted.sum():  # where there is one tenant only, its own model is the global one
            yield Group("own", name, f"ladder/tenant_id={name}", rows)


def _segments(data: TrainingData, spec: LadderSpec) -> list[str]:
    if spec.segment is None:
        return []
    segments, tenants = data.columns["segment"], data.columns["tenant_id"]
    found = []
    for name in _enough(data, segments, spec.min_positives_segment)[:MAX_SEGMENTS]:
        rows = data.fitted & (segments == name)
        if len(set(tenants[rows])) > 1 and rows.sum() < data.fitted.sum():
            found.append(name)
    return found


def _enough(data: TrainingData, owners: Any, least: int) -> list[str]:
    """Return the owners whose rarer class has at least `least` rows, most first.

    `owners` has each row's owner, object (n,).
    """
    owned = data.fitted & np.array([owner is not None for owner in owners], dtype=bool)
    counts = {name: rarer(data.labels[rows]) for name, rows in by_name(owners, np.flatnonzero(owned)).items()}
    return sorted((name for name, count in counts.items() if count >= least), key=lambda name: (-counts[name], name))


def _fit(
    ports: Ports,
    run: str,
    definition: Definition,
    search: Search,
    setting: Setting,
    group: Group,
    data: TrainingData,
) -> FittedGroup:
    out = f"{run}/{group.folder}"
    rows = data.newest(group.rows, setting.dates)
    fitted = search.fit(setting, rows)
    validation = _validation(search, setting, group, data)
    # typical values come from rows that were not chosen by label, where there are such rows
    members = group.rows & data.validated if (group.rows & data.validated).any() else rows
    newest = members & (data.as_of == data.as_of[members].max())
    mine = np.flatnonzero(group.rows)
    write_fitted(ports, out, fitted, data, definition, out_of_fold=validation, rows=mine, newest=newest)
    return FittedGroup(
        kind=group.kind,
        name=group.name,
        folder=group.folder,
        rows=int(rows.sum()),
        positives=int(data.labels[rows].sum()),
        out=out,
        probes=f"{out}/probes.parquet",
    )


def _validation(search: Search, setting: Setting, group: Group, data: TrainingData) -> dict[str, Any]:
    """Return the group's own validation rows and their raw probabilities.

    The model of a fold's probabilities is fitted on the fold's earlier dates. A fold is left out where the group's rows
    of the earlier dates are all positive or all negative.
    """
    owner = data.columns["segment" if group.kind == "segment" else "tenant_id"] == group.name
    numbers: list[Any] = [np.empty(0, np.int64)]
    raw: list[Any] = [np.empty(0)]
    for fold in search.folds:
        train, valid = data.newest(fold.train & group.rows, setting.dates), fold.valid & owner
        if rarer(data.labels[train]) and valid.any():
            numbers.append(np.flatnonzero(valid))
            raw.append(search.fit(setting, train).predict(data.matrix[valid]))
    return {"row": np.concatenate(numbers), "raw": np.concatenate(raw)}
