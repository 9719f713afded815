"""check_replay: compare the training set and the scores of a replay with those of the registered version."""

from __future__ import annotations

from typing import Any

import numpy as np

from propensity.evaluation.evaluations import read_evaluation
from propensity.kernel.errors import ConflictError, IncompleteRunError, NotFoundError
from propensity.kernel.tenant import TENANT
from propensity.ladder.version_files import ladder_files
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.erased import erasure_records, rows_erased_since
from propensity.lake.json_objects import dumps, parse_record, read_json, write_once
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.registry.domain.ladder import GLOBAL, LADDER, Ladder, Place
from propensity.registry.domain.ledger import model_root
from propensity.registry.tenant_models import TenantModels, load_tenant_models
from propensity.registry.versions import load_version
from propensity.release.domain.replay import MAX_ABS, Replayed, ReplayReport
from propensity.stats.calibration import Calibration
from propensity.stats.sampling import spread
from propensity.training.report import read_hashed

REFERENCE_ROWS = 10_000


def check_replay(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `registry/<model>/replays/<version>-<request>.json`; nothing is registered, and no alias moves.

    Both models score up to 10,000 rows, spread evenly over the replayed training set, with their calibrations. Where
    there are ladders, both ladders score the rows too.
    """
    store = ports.lake
    plan, evaluation = read_plan(store, run, TrainingPlan), read_evaluation(store, run)
    if plan.replay_of is None:
        raise ConflictError(f"{run}: no replay of a version; start TrainModel with replay_of")
    version = load_version(store, plan.model, plan.replay_of)
    definition = read_definition(store, f"{run}/definition", plan.model)
    data, digest = read_hashed(ports, _keys(ports, run, plan), definition, [TENANT])
    rows = spread(len(data.labels), REFERENCE_ROWS)
    matrix, tenants = np.ascontiguousarray(data.matrix[rows]), data.columns[TENANT][rows]
    del data  # this frees memory for the original's training set, which is as large
    then, now = (
        ports.scorer(onnx).predict(matrix) for onnx in (version.onnx(store), store.get(evaluation.files["model.onnx"]))
    )
    before = Calibration.from_json(version.json(store, "calibration.json"))
    after = Calibration.from_json(read_json(store, evaluation.files["calibration.json"]))
    provenance, scores = version.provenance, (before.apply(then), after.apply(now))
    ladders = load_tenant_models(ports, version), _replayed_ladder(ports, run)
    laddered = None
    # an execution that began before ladders were replayed makes no ladder, so the ladders cannot be compared then
    without_ladder = ladders[0] is not None and ladders[1] is None
    if without_ladder:
        ladders = None, None
    if any(ladders):
        by_ladder = [
            score if ladder is None else ladder.apply(matrix, tenants, raw, score)[1]
            for ladder, raw, score in zip(ladders, (then, now), scores, strict=True)
        ]
        laddered = _furthest(*by_ladder)
    found = Replayed(
        registered_hash=provenance.training_set,
        replayed_hash=digest,
        original_now=_hash_of_original(ports, provenance.run, definition),
        registered_seed=provenance.seed,
        replayed_seed=definition.model.training.seed,
        registered_packages=provenance.packages,
        replayed_packages=evaluation.packages,
        registered_model=(provenance.family, provenance.parameters),
        replayed_model=(evaluation.family, evaluation.parameters),
        erased=rows_erased_since(erasure_records(store), provenance.silver),
        raw=_furthest(then, now),
        calibrated=_furthest(*scores),
        laddered=laddered,
        moved=_moved(*ladders),
        without_ladder=without_ladder,
    )
    report = found.report(version=version.number, run=run, silver=plan.silver, rows=len(rows))
    key = f"{model_root(plan.model)}/replays/{version.number:06d}-{plan.replay_request}.json"
    # the report of an earlier call stays as it is
    written = parse_record(write_once(store, key, dumps(report.model_dump())), key, ReplayReport)
    ports.metrics.count("ModelReplayed", model=plan.model, same=str(written.same).lower())
    return {
        "run": run,
        "model": plan.model,
        "version": version.number,
        "same": written.same,
        "said": written.said,
        "report": key,
    }


def _keys(ports: Ports, run: str, plan: TrainingPlan) -> list[str]:
    return [result.features for result in results_of(ports.lake, run, BuildResult, len(plan.groups))]


def _hash_of_original(ports: Ports, run: str, definition: Definition) -> str | None:
    """Return the hash of the files that a version was trained on, as they are today; None where the files are gone."""
    try:
        plan = read_plan(ports.lake, run, TrainingPlan)
        return read_hashed(ports, _keys(ports, run, plan), definition)[1]
    except (NotFoundError, IncompleteRunError):
        return None  # the files of a run expire after a while, and a version does not need them


def _replayed_ladder(ports: Ports, run: str) -> TenantModels | None:
    key = ladder_files(ports.lake, run).get(LADDER)
    return None if key is None else TenantModels(ports, run, Ladder.from_json(read_json(ports.lake, key)))


def _moved(then: TenantModels | None, now: TenantModels | None) -> int:
    """Return how many tenants stand elsewhere: on another rung, or on the same rung with another place.

    Another place has another model, intercept or rate.
    """
    tenants = {tenant for models in (then, now) if models for tenant in models.ladder.places}

    def place(models: TenantModels | None, tenant: str) -> Place:
        return models.place(tenant) if models else GLOBAL

    return sum(not place(then, tenant).is_near(place(now, tenant), MAX_ABS) for tenant in tenants)


def _furthest(then: Any, now: Any) -> float:
    return float(np.abs(then - now).max())
