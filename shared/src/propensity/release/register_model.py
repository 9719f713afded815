"""register_model: the chosen candidate of a training run becomes a version, staged or champion where its gates pass."""

from __future__ import annotations

from typing import Any

from propensity.ladder.version_files import ladder_files
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import TrainingPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan
from propensity.pack.current import policy_of
from propensity.ports import Ports
from propensity.registry.domain.ledger import CHAMPION, STAGING, GateSummary
from propensity.registry.versions import append_line, champion_number, recorded_files, register
from propensity.release.domain.promotion import Request, settle

BY = "register_model"


def register_model(ports: Ports, *, run: str, at: str | None) -> dict[str, Any]:
    """Write the version folder; where every gate passed promote it, or by the model's policy stage it for approvals.

    A version whose gates failed stays a candidate.
    A version that was trained on another Silver than the newest is there to be looked at: it is not promoted.

    The evaluation names the chosen candidate's files. A second call for the run finds its version and its line. `at`
    is when that is, RFC 3339: the ledger's line says it, for the run's day may be months ago. An execution that began
    before it was handed on has None, and the line the run's day.
    """
    store = ports.lake
    plan, evaluation = read_plan(store, run, TrainingPlan), read_json(store, f"{run}/evaluation.json")
    files = {name: store.get(key) for name, key in {**evaluation["files"], **ladder_files(store, run)}.items()}
    files["metrics.json"] = dumps(evaluation["metrics"])
    files["gates.json"] = dumps(evaluation["gates"])
    definition = f"{run}/definition/"
    files |= {f"definition/{key.removeprefix(definition)}": store.get(key) for key in store.keys(definition)}
    features = read_definition(store, f"{run}/definition", plan.model).feature_names
    lineage = {
        "run": run,
        "model": plan.model,
        "as_of": plan.as_of,
        "dates": plan.dates,
        "family": evaluation["family"],
        "parameters": evaluation["parameters"],
        "feature_set": plan.feature_set,
        "silver": plan.silver,
        "retracted": plan.retracted,
        "silver_at": plan.silver_at,
        "packages": evaluation["packages"],
        # what a rollback holds the version against; a plan from before this was written down has no columns
        "schema": {"features": list(features), "columns": plan.columns},
        "files": recorded_files(files),
        # an evaluation from before there was a hash has none
        "training_set": evaluation.get("training_set"),
        "seed": evaluation.get("seed"),
    }
    version = register(store, plan.model, files, lineage)
    gates = GateSummary.of(evaluation["gates"])
    line = None
    if not gates.failed and plan.silver_at is None:
        asked = Request(plan.model, version.number, by=BY, why="all gates passed", at=at or plan.as_of, gates=gates)
        policy = policy_of(ports, plan.model)
        held_against = plan.champion.version if plan.champion else None
        line = append_line(store, plan.model, lambda known: settle(asked, policy, held_against, known))
    promoted, staged = (line is not None and line.alias == alias for alias in (CHAMPION, STAGING))
    ports.metrics.count("ModelRegistered", model=plan.model, promoted=str(promoted).lower())
    return {
        "run": run,
        "model": plan.model,
        "version": version.number,
        "as_of": plan.as_of,
        "promoted": promoted,
        "staged": staged,
        # nobody can be scored before somebody approves; where a gate failed the run that follows shall ring the alarm
        "waits": staged and champion_number(store, plan.model) is None,
        "failed_gates": list(gates.failed),
    }
