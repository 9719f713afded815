"""register_model: the chosen candidate of a training run becomes a version, staged or champion if its gates pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from propensity.evaluation.evaluations import read_evaluation
from propensity.ladder.version_files import ladder_files
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import TrainingPlan
from propensity.lake.json_objects import dumps, find_json
from propensity.lake.run_files import read_plan
from propensity.pack.current import policy_of
from propensity.ports import ObjectStore, Ports
from propensity.registry.domain.ledger import CHAMPION, STAGING, GateSummary, version_folder
from propensity.registry.versions import (
    VersionLineage,
    VersionSchema,
    append_to_ledger,
    champion_number,
    recorded_files,
    register,
    why_no_champion,
)
from propensity.release.domain.promotion import Request, registration_line

BY = "register_model"


def register_model(ports: Ports, *, run: str, at: str | None) -> dict[str, Any]:
    """Write the version's folder; where all gates passed, promote or stage the version, as the policy says.

    A version that was trained on fewer than half as many dates as the champion is staged, whatever the policy says: its
    data ended before its day, or most of them are gone. A version whose gates failed stays a candidate. A version that
    was trained on another Silver than the newest was only trained to be looked at, and stays a candidate too.

    The run's evaluation names the files of the chosen candidate. A second call for the run finds the run's version and
    ledger line. `at` is the instant of the call (RFC 3339) for the ledger's line, because the run's day may be months
    ago. It is None in an execution that began before the workflow passed it on; the line then has the run's day.
    """
    store = ports.lake
    plan, evaluation = read_plan(store, run, TrainingPlan), read_evaluation(store, run)
    files = {name: store.get(key) for name, key in {**evaluation.files, **ladder_files(store, run)}.items()}
    files["metrics.json"] = dumps(evaluation.metrics)
    files["gates.json"] = dumps(evaluation.gates)
    definition = f"{run}/definition/"
    files |= {f"definition/{key.removeprefix(definition)}": store.get(key) for key in store.keys(definition)}
    trained = read_definition(store, f"{run}/definition", plan.model)
    lineage = VersionLineage(
        run=run,
        model=plan.model,
        as_of=plan.as_of,
        dates=plan.dates,
        family=evaluation.family,
        parameters=evaluation.parameters,
        feature_set=plan.feature_set,
        recipe=trained.recipe,
        silver=plan.silver,
        retracted=plan.retracted,
        silver_at=plan.silver_at,
        packages=evaluation.packages,
        # a plan from before columns were recorded has no columns
        schema=VersionSchema(features=trained.feature_names, columns=plan.columns),
        files=recorded_files(files),
        # an evaluation from before training sets were hashed has no hash
        training_set=evaluation.training_set,
        seed=evaluation.seed,
    )
    version = register(store, plan.model, files, lineage.to_json())
    gates = GateSummary.of(evaluation.gates)
    line = None
    if not gates.failed and plan.silver_at is None:
        request = Request(plan.model, version.number, by=BY, why="all gates passed", at=at or plan.as_of, gates=gates)
        policy = policy_of(ports, plan.model)
        held_against = plan.champion.version if plan.champion else None
        doubt = _lost_dates(store, plan.model, held_against, files)
        line = append_to_ledger(
            store, plan.model, lambda known: registration_line(request, policy, held_against, known, doubt)
        )
    promoted, staged = (line is not None and line.alias == alias for alias in (CHAMPION, STAGING))
    ports.metrics.count("ModelRegistered", model=plan.model, promoted=str(promoted).lower())
    unscored = champion_number(store, plan.model) is None
    # the alarm NobodyScoredAlarm rings: nobody of this model is scored until a version becomes champion
    ports.metrics.count("NobodyScored", int(unscored and bool(gates.failed)))
    return {
        "run": run,
        "model": plan.model,
        "version": version.number,
        "as_of": plan.as_of,
        "promoted": promoted,
        "staged": staged,
        # without a champion nobody can be scored, so the workflow starts no scoring run
        "waits": unscored,
        "waits_because": why_no_champion(store, plan.model) if unscored else None,
        "failed_gates": list(gates.failed),
    }


def _lost_dates(store: ObjectStore, model: str, champion: int | None, files: Mapping[str, bytes]) -> str | None:
    """Say in words that most of the dates that the champion was trained on have no rows any more; None where not."""
    if champion is None:
        return None
    had = _dates_with_rows(find_json(store, f"{version_folder(model, champion)}/training.json"))
    has = _dates_with_rows(json.loads(files.get("training.json", b"{}")))
    if had is None or has is None or 2 * has >= had:
        return None
    return f"{has} of its training dates have rows, of version {champion}'s {had} have"


def _dates_with_rows(training: Mapping[str, Any] | None) -> int | None:
    dates = training.get("dates") if training else None  # the reports of early releases have no dates
    return None if dates is None else sum(day["rows"] > 0 for day in dates)
