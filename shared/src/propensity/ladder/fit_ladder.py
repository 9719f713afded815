"""fit_ladder: the models of segments and of single tenants, by the family and setting that training chose.

Each is fitted forward in time on the folds that the candidates were, and once more on all its rows. Whether one is used
is decided afterwards (evaluate_ladder). The sum of all these fits is at most about two fits of the chosen setting per
fold and at the end: a row belongs to one segment and to one tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError
from propensity.ladder.domain.evidence import by_name
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import Built, TrainingPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import LadderSpec
from propensity.ports import Ports
from propensity.stats.sampling import rarer
from propensity.training.data import TrainingData, read_training
from propensity.training.domain.search import Setting
from propensity.training.fitted_files import write_fitted
from propensity.training.search_run import Search

MAX_SEGMENTS = 50
FITS = "ladder/fit.json"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows (mask) that a model of the ladder is fitted on: one segment's or one tenant's."""

    kind: str
    name: str
    folder: str
    rows: Any


def fit_ladder(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/ladder/fit.json`, and per model below `<run>/ladder/`: model.onnx, explanation.json,
    reference.parquet and probes.parquet for parity, oof.parquet: row number and raw probability of validation rows.
    """
    plan, evaluation = read_plan(ports.lake, run, TrainingPlan), read_json(ports.lake, f"{run}/evaluation.json")
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    data = training_of(ports, run, plan, definition)
    chosen = next(one for one in evaluation["candidates"] if one["family"] == evaluation["family"])
    search = Search(ports, definition.model, chosen["family"], data, definition.directions)
    setting = Setting(chosen["parameters"], chosen["dates"])
    made = [_fit(ports, run, definition, search, setting, group, data) for group in groups_of(data, definition)]
    ports.lake.put_new(f"{run}/{FITS}", dumps({"models": made, "offset": search.balance.offset, "out": chosen["out"]}))
    return {"run": run, "model": plan.model, "models": len(made)}


def training_of(ports: Ports, run: str, plan: TrainingPlan, definition: Definition) -> TrainingData:
    """The run's training set with whose rows they are."""
    keys = [result.features for result in results_of(ports.lake, run, Built, len(plan.groups))]
    return read_training(
        ports, keys, definition, ["tenant_id", "customer_id", *(["segment"] if definition.has_segments else [])]
    )


def groups_of(data: TrainingData, definition: Definition) -> Iterator[Group]:
    """The segments with enough positives and at least two tenants, then the tenants with enough, most first."""
    spec = definition.model.ladder
    if spec is None:
        raise ConflictError(f"model {definition.model.name}: has no ladder to fit")
    for number, name in enumerate(_segments(data, spec), start=1):
        yield Group("segment", name, f"ladder/segment-{number:02d}", data.fitted & (data.columns["segment"] == name))
    for name in _enough(data, data.columns["tenant_id"], spec.min_positives_own)[: spec.max_own_models]:
        rows = data.fitted & (data.columns["tenant_id"] == name)
        if rows.sum() < data.fitted.sum():  # the only tenant's own model is the global one
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
    """Owners (object, (n,)) whose rarer class has enough rows, most first."""
    owned = data.fitted & np.array([one is not None for one in owners], dtype=bool)
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
) -> dict[str, Any]:
    out = f"{run}/{group.folder}"
    rows = data.newest(group.rows, setting.dates)
    fitted = search.fit(setting, rows)
    held = _held_out(search, setting, group, data)
    # what is typical is of rows that were not chosen by label, where there are any
    members = group.rows & data.validated if (group.rows & data.validated).any() else rows
    newest = members & (data.as_of == data.as_of[members].max())
    mine = np.flatnonzero(group.rows)
    write_fitted(ports, out, fitted, data, definition, out_of_fold=held, rows=mine, newest=newest)
    return {
        "kind": group.kind,
        "name": group.name,
        "folder": group.folder,
        "rows": int(rows.sum()),
        "positives": int(data.labels[rows].sum()),
        "out": out,
        "probes": f"{out}/probes.parquet",
    }


def _held_out(search: Search, setting: Setting, group: Group, data: TrainingData) -> dict[str, Any]:
    """Of each fold whose earlier dates hold both classes of the group, the group's own validation rows."""
    owner = data.columns["segment" if group.kind == "segment" else "tenant_id"] == group.name
    numbers: list[Any] = [np.empty(0, np.int64)]
    raw: list[Any] = [np.empty(0)]
    for fold in search.folds:
        train, valid = data.newest(fold.train & group.rows, setting.dates), fold.valid & owner
        if rarer(data.labels[train]) and valid.any():
            numbers.append(np.flatnonzero(valid))
            raw.append(search.fit(setting, train).predict(data.matrix[valid]))
    return {"row": np.concatenate(numbers), "raw": np.concatenate(raw)}
