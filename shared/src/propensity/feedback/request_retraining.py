"""request_retraining: trainings off the cadence, asked for by drift, by performance or by hand; each on record.

A request is `registry/<model>/retraining/<day>-<cause>-….json`, written once, also when it was declined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from propensity.feedback.domain.retraining import Check, Decision, Kind, decide, drift_check, performance_check
from propensity.kernel.callers import reason_given
from propensity.kernel.errors import NotFoundError
from propensity.lake.domain.run_names import execution_name, names_to_try, parse_day, training_run
from propensity.lake.json_objects import dumps, find_json, read_json
from propensity.pack.current import pack_definition, pack_info
from propensity.ports import Ports
from propensity.registry.batches import batch_runs
from propensity.registry.domain.ledger import model_root
from propensity.registry.versions import Version, claimed_runs, load_champion, was_planned

BY_HAND = "by_hand"


def request_retraining(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Look at the checks of each champion; where the newest of a kind is violated, ask, decide, and start what is due.

    A second call of a day finds its requests and starts nothing twice; one of a later day starts again what ended
    before its plan. `execution` of a request is the one that its training runs or ran in, null where none does.
    """
    day = parse_day(slot, "slot")
    chosen = pack_info(ports).models if models is None else models
    requests = [one for model in chosen for one in _of_model(ports, model, day)]
    return {"slot": day.isoformat(), "requests": requests}


def request_by_hand(ports: Ports, model: str, *, why: object, by: str, at: str, request_id: str) -> dict[str, Any]:
    """Train as of the request's day, whatever the checks and the cool-down say; once a day. Raises BadInputError."""
    pack_definition(ports, model)  # raises NotFoundError for a model that the pack does not have
    given = reason_given(why, "record")
    day = parse_day(at, "at")
    if was_planned(ports.lake, model, training_run(model, day)):
        decision = Decision(False, f"planned as of {day} already; where that training failed, redrive its execution")
    else:
        decision = Decision(True, "asked for by hand")
    # a name of its own: that of a training of the same day which ended before its plan would be refused for 90 days.
    # Two who ask before there is a plan, which is a matter of seconds, start two: one plan, each file written once
    execution = execution_name("train", model, day.isoformat(), request_id)
    record = _record(model, day, BY_HAND, decision, execution) | {"why": given, "by": by, "at": at}
    return _settle(ports, f"{day.isoformat()}-{BY_HAND}-{request_id}", record, day)


def list_requests(ports: Ports, model: str) -> dict[str, Any]:
    """Every request of a model, oldest first, with its cause and what was decided."""
    pack_definition(ports, model)
    keys = ports.lake.keys(f"{_folder(model)}/")
    return {"model": model, "requests": [read_json(ports.lake, key) for key in keys]}


def _of_model(ports: Ports, model: str, day: date) -> Iterator[dict[str, Any]]:
    try:
        champion = load_champion(ports.lake, model)
    except NotFoundError:
        return  # nothing was trained yet: the cadence's own business
    rules = champion.definition(ports.lake).model.retraining
    seen = _checks(ports, champion, day)
    kinds: tuple[Kind, ...] = ("drift", "performance")
    for kind in kinds:
        checks = sorted((one for one in seen if one.kind == kind), key=lambda one: one.day)
        if not checks or not checks[-1].violated:
            continue
        decision = decide(checks, rules, day=day, trained=_last_training(ports, model, day))
        execution = execution_name("train", model, day.isoformat())
        record = _record(model, day, kind, decision, execution) | {
            "version": champion.number,
            "checks": [asdict(one) | {"day": one.day.isoformat()} for one in checks[-rules.of_last :]],
        }
        # one request per check: the day is the check's, so that tomorrow's look finds today's
        yield _settle(ports, f"{checks[-1].day.isoformat()}-{kind}-v{champion.number:06d}", record, day)


def _checks(ports: Ports, version: Version, day: date) -> list[Check]:
    """What was seen of a version by a day: each of its batches' drift, and the first matchback of each."""
    spec = version.definition(ports.lake).model
    auc = float(version.json(ports.lake, "metrics.json")["auc"]["value"])
    found: list[Check] = []
    for run in batch_runs(ports, version.model):
        if not re.fullmatch(rf"runs/score/{version.model}/[0-9-]+-v{version.number:06d}-batch", run):
            continue
        if drift := find_json(ports.lake, f"{run}/drift.json"):
            found.append(drift_check(drift, spec.retraining))
        if matched := next(iter(ports.lake.keys(f"{run}/matchback-")), None):
            found.append(performance_check(read_json(ports.lake, matched), auc, spec.retraining))
    return [one for one in found if one.day <= day]


def _record(model: str, day: date, cause: str, decision: Decision, execution: str) -> dict[str, Any]:
    named = execution if decision.accepted else None
    said = {"accepted": decision.accepted, "decision": decision.why, "execution": named}
    return {"model": model, "as_of": day.isoformat(), "cause": cause, **said}


def _settle(ports: Ports, name: str, record: dict[str, Any], day: date) -> dict[str, Any]:
    """Write the request, or find it; start the training of an accepted one that was not planned yet."""
    key = f"{_folder(str(record['model']))}/{name}.json"
    new = ports.lake.put_new(key, dumps(record))
    stands = record if new else read_json(ports.lake, key)
    if stands["accepted"]:
        stands = {**stands, "execution": _started(ports, stands, day)}
    if new:
        accepted = str(stands["accepted"]).lower()
        ports.metrics.count("RetrainingRequested", model=stands["model"], cause=stands["cause"], accepted=accepted)
    return stands


def _started(ports: Ports, request: Mapping[str, Any], day: date) -> str | None:
    """The execution of an accepted request: started now, unless it is planned. None where its name was refused."""
    model, as_of, name = (str(request[field]) for field in ("model", "as_of", "execution"))
    if was_planned(ports.lake, model, training_run(model, date.fromisoformat(as_of))):
        return name
    payload = {"model": model, "as_of": as_of, "then_score": False}
    names = names_to_try(name, date.fromisoformat(as_of), day)
    return next((one for one in names if ports.workflows.start("train_model", one, payload)), None)


def _folder(model: str) -> str:
    return f"{model_root(model)}/retraining"


def _last_training(ports: Ports, model: str, day: date) -> date | None:
    """The newest day, not after `day`, as of which a training over the newest Silver was planned."""
    found = re.compile(rf"runs/train/{model}/(\d{{4}}-\d{{2}}-\d{{2}})/plan\.json")
    plans = [*ports.lake.keys(f"runs/train/{model}/"), *(f"{run}/plan.json" for run in claimed_runs(ports.lake, model))]
    days = [date.fromisoformat(match[1]) for key in plans if (match := found.fullmatch(key))]
    return max((one for one in days if one <= day), default=None)
