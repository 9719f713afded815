"""report_runs: which models there are and where they stand, and how the runs of a model stand.

Both answers are read from the run folders, from the registry and from the executions of the workflows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from propensity.kernel.errors import NotFoundError
from propensity.lake.domain.run_names import parse_day
from propensity.lake.json_objects import find_record
from propensity.operations.executions import SCORE, executions_of
from propensity.pack.current import pack_definition, pack_info
from propensity.ports import Execution, Ports
from propensity.registry.domain.ledger import model_standing
from propensity.registry.versions import (
    claims_of,
    failed_gates,
    load_version,
    read_ledger,
    version_numbers,
    why_no_champion,
)
from propensity.scoring.domain.sanity import Forced, SanityReport, forced_key, refused, sanity_key
from propensity.training.domain.schedule import next_scoring_due, next_training_due
from propensity.training.turns import TRAIN

_MOST = 100  # runs in one answer, the newest
_JUDGED = 24  # batches in one answer whose figures are read
_SCORING = re.compile(r"(?P<as_of>\d{4}-\d\d-\d\d)-v(?P<version>\d+)-(?P<scope>batch|gap)(?:-(?P<request>.+))?")
_TRAINING = re.compile(r"(?P<as_of>\d{4}-\d\d-\d\d)(?:-(?P<request>.+))?")

type State = Literal["running", "failed", "ended", "unfinished"]


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands.

    `ended` is a run with its result: a training's version, a scoring run's receipt. `failed` and `running` are those of
    the run's newest execution. `unfinished` is a run without a result of which no execution is known. `run` is None for
    a run without a plan, which failed before it. `executions` are the run's, newest first. `sanity` is what was looked
    at before a batch was made visible, and who forced it (docs/reference/scoring.md); None for any other run.
    """

    kind: Literal["training", "scoring"]
    as_of: str
    state: State
    reason: str | None
    run: str | None
    scope: str | None
    version: int | None
    executions: Sequence[Execution]
    sanity: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("kind", "as_of", "state", "reason", "run", "scope", "version")}
        told = ("name", "state", "began", "ended", "reason")
        executions = [{name: getattr(one, name) for name in told} for one in self.executions]
        return {**fields, "executions": executions, "sanity": self.sanity}


def report_runs(ports: Ports, model: str) -> dict[str, Any]:
    """Return the newest runs of a model, newest as-of date first, each as RunState has it.

    Raises NotFoundError for a model that the pack does not have and that was never registered.
    """
    if model not in pack_info(ports).models and not version_numbers(ports.lake, model):
        raise NotFoundError(f"model {model!r}: expected one of {', '.join(pack_info(ports).models)}")
    runs = _runs(ports, model)[:_MOST]
    judged = [run for run in runs if run.scope == "batch" and run.run][:_JUDGED]
    return {"model": model, "runs": [(_looked_at(ports, run) if run in judged else run).to_json() for run in runs]}


def list_models(ports: Ports, *, day: str) -> dict[str, Any]:
    """Return per model of the pack its champion, its newest version with the gates that failed, and its newest runs.

    `why` says why nobody is scored; it is None for a model with a champion. `next` has the days, later than `day`, on
    which the daily tick trains and scores.
    """
    today = parse_day(day, "day")
    return {"models": [_standing(ports, model, today) for model in pack_info(ports).models]}


def _standing(ports: Ports, model: str, today: date) -> dict[str, Any]:
    standing = model_standing(read_ledger(ports.lake, model))
    numbers, runs = version_numbers(ports.lake, model), _runs(ports, model)
    cadence, tomorrow = pack_definition(ports, model).model.cadence, today + timedelta(days=1)
    upcoming = next_scoring_due if standing.champion is None else next_training_due
    newest = None
    if numbers:
        version = load_version(ports.lake, model, numbers[-1])
        newest = {
            "version": version.number,
            "as_of": version.lineage["as_of"],
            "stage": standing.stage(version.number),
            "failed_gates": failed_gates(ports.lake, version),
        }
    return {
        "model": model,
        "champion": standing.champion,
        "staging": standing.staged,
        "why": why_no_champion(ports.lake, model) if standing.champion is None else None,
        "newest": newest,
        "training": _newest(runs, "training", ports),
        "scoring": _newest(runs, "scoring", ports),
        "next": {
            "training": upcoming(cadence, tomorrow).isoformat(),
            "scoring": next_scoring_due(cadence, tomorrow).isoformat(),
        },
    }


def _newest(runs: Sequence[RunState], kind: str, ports: Ports) -> dict[str, Any] | None:
    return next((_looked_at(ports, run).to_json() for run in runs if run.kind == kind), None)


def _looked_at(ports: Ports, run: RunState) -> RunState:
    """Return the run with what was looked at before it was made visible.

    A stopped batch has failed, and its figures say why, also where its execution is no longer known.
    """
    report = find_record(ports.lake, sanity_key(run.run), SanityReport) if run.run and run.scope == "batch" else None
    if report is None or run.run is None:
        return run
    forced = find_record(ports.lake, forced_key(run.run), Forced) if report.stopped else None
    told = replace(run, sanity={**report.model_dump(mode="json"), "forced": forced and forced.model_dump()})
    if report.stopped and forced is None and run.state == "unfinished":
        return replace(told, state="failed", reason=str(refused(report)))
    return told


def _runs(ports: Ports, model: str) -> list[RunState]:
    found = [*_trainings(ports, model), *_scorings(ports, model)]
    began = {id(run): max((one.began for one in run.executions), default="") for run in found}
    return sorted(found, key=lambda run: (run.as_of, began[id(run)]), reverse=True)


def _trainings(ports: Ports, model: str) -> list[RunState]:
    folder, claims = f"runs/train/{model}/", claims_of(ports.lake, model)
    runs = _planned(ports, folder) | {run: "" for run in claims if run.startswith(folder)}
    executions = [one for one in executions_of(ports, TRAIN, model) if "replay_of" not in one.payload]
    found, told = [], set()
    for run in runs:
        named = _TRAINING.fullmatch(run.removeprefix(folder))
        if named is None:
            continue
        apart = named["request"] is not None
        mine = [one for one in executions if _is_of(one, as_of=named["as_of"]) and _is_apart(one) == apart]
        told |= {one.name for one in mine}
        found.append(_state("training", named["as_of"], run, None, claims.get(run), run in claims, mine))
    return found + _before_plans("training", executions, told)


def _scorings(ports: Ports, model: str) -> list[RunState]:
    folder = f"runs/score/{model}/"
    keys, executions = _planned(ports, folder), executions_of(ports, SCORE, model)
    found, told = [], set()
    for run, files in keys.items():
        named = _SCORING.fullmatch(run.removeprefix(folder))
        if named is None:
            continue
        mine = [one for one in executions if _is_of(one, as_of=named["as_of"], scope=named["scope"])]
        if named["scope"] == "gap":  # the request of a gap run is its execution's name
            mine = [one for one in mine if (named["request"] or "").startswith(one.name)]
        told |= {one.name for one in mine}
        ended = "receipt" in files
        found.append(_state("scoring", named["as_of"], run, named["scope"], int(named["version"]), ended, mine))
    return found + _before_plans("scoring", executions, told)


def _planned(ports: Ports, folder: str) -> dict[str, str]:
    """Return the runs below the folder that have a plan; the value names the files `plan` and `receipt` of a run."""
    found: dict[str, str] = {}
    for key in ports.lake.keys(folder):
        run, _, name = key.rpartition("/")
        if name in ("plan.json", "receipt.json") and run.count("/") == folder.count("/"):
            found[run] = f"{found.get(run, '')} {name.removesuffix('.json')}"
    return found


def _is_of(execution: Execution, **payload: str) -> bool:
    wanted: Mapping[str, str] = payload
    return all(str(execution.payload.get(name, ""))[:10] == value for name, value in wanted.items())


def _is_apart(execution: Execution) -> bool:
    """Whether the execution is of a run over another Silver than the newest, which has a name of its own."""
    return any(key.startswith("silver_") for key in execution.payload)


def _state(
    kind: Literal["training", "scoring"],
    as_of: str,
    run: str | None,
    scope: str | None,
    version: int | None,
    ended: bool,
    executions: Sequence[Execution],
) -> RunState:
    state: State = "unfinished"
    reason = "no execution of it is known: it was started under another name, or ended more than 90 days ago"
    if ended:
        return RunState(kind, as_of, "ended", None, run, scope, version, executions)
    if executions:
        newest = next((one for one in executions if one.state == "running"), executions[0])
        state = "ended" if newest.state == "succeeded" else newest.state
        reason = newest.reason or ""
    return RunState(kind, as_of, state, reason or None, run, scope, version, executions)


def _before_plans(
    kind: Literal["training", "scoring"], executions: Sequence[Execution], told: set[str]
) -> list[RunState]:
    """Return a state for each execution that has no run: it failed before its plan, or is about to write it."""
    return [
        _state(kind, str(one.payload.get("as_of", ""))[:10], None, one.payload.get("scope"), None, False, [one])
        for one in executions
        if one.name not in told
    ]
