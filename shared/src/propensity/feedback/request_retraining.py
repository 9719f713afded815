"""request_retraining: start trainings off the cadence, requested by drift, by performance or by hand.

Each request is written once as `registry/<model>/retraining/<day>-<cause>-….json`, even if it was declined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Literal

from pydantic import TypeAdapter

from propensity.feedback.domain.retraining import Check, Decision, Kind, apart, decide, drift_check, performance_check
from propensity.feedback.reports import drift_key, matchback_keys
from propensity.kernel.callers import reason_given
from propensity.kernel.errors import NotFoundError
from propensity.kernel.spec import Record
from propensity.lake.domain.run_names import batch_day, execution_name, names_to_try, parse_day, training_run
from propensity.lake.json_objects import dumps, find_json, read_json, read_record
from propensity.pack.current import pack_definition, pack_info
from propensity.ports import Ports
from propensity.registry.batches import batch_runs
from propensity.registry.domain.ledger import model_root
from propensity.registry.versions import Version, claimed_runs, load_champion, was_planned
from propensity.training.turns import take_turn, turns_root

BY_HAND: Literal["by_hand"] = "by_hand"


class RetrainingRequest(Record):
    """The fields of every request.

    `execution` is the execution of the workflow that trains; it is None for a request that was declined. `decision`
    says in words why the request was accepted or declined.
    """

    model: str
    as_of: str
    cause: Kind | Literal["by_hand"]
    accepted: bool
    decision: str
    execution: str | None


class RequestByChecks(RetrainingRequest):
    """A request by drift or performance: the version that was checked, and its newest checks, oldest first."""

    version: int
    checks: tuple[Check, ...]


class RequestByHand(RetrainingRequest):
    """A request by a person: the reason that was given, who asked, and when."""

    why: str
    by: str
    at: str


_ANY_REQUEST: TypeAdapter[RequestByChecks | RequestByHand] = TypeAdapter(RequestByChecks | RequestByHand)


def request_retraining(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Look at the checks of each champion, and start a training where the rule decides so.

    A request is written where the newest check of a kind is violated. A second call on the same day finds the requests
    of the first call, and starts nothing twice. A training may have ended before its plan was written; a call on a
    later day starts it again. `execution` of a request is the execution in which its training runs or ran; it is null
    where there is none.
    """
    day = parse_day(slot, "slot")
    chosen = pack_info(ports).models if models is None else models
    requests = [request for model in chosen for request in _of_model(ports, model, day)]
    return {"slot": day.isoformat(), "requests": [request.model_dump(mode="json") for request in requests]}


def request_by_hand(ports: Ports, model: str, *, why: object, by: str, at: str, request_id: str) -> dict[str, Any]:
    """Train as of the request's day, whatever the checks and the cool-down say; one training at a time, once a day.

    A request that is sent again is answered as it was the first time. Another request is declined while a training
    runs.
    Raises BadInputError where the reason is no reason or the time is no time.
    """
    pack_definition(ports, model)  # raises NotFoundError for a model that the pack does not have
    given = reason_given(why, "record")
    day = parse_day(at, "at")
    # The execution has a name of its own. The day's usual name may belong to a training that ended before its plan, and
    # that name would be refused for 90 days.
    execution = execution_name("train", model, day.isoformat(), request_id)
    planned = was_planned(ports.lake, model, training_run(model, day))
    if planned:
        decision = Decision(False, f"planned as of {day} already; where that training failed, redrive its execution")
    elif (turn := take_turn(ports, execution, _payload(model, day.isoformat()), day)) and turn.execution != execution:
        again = "if it fails" if turn.as_of == day.isoformat() else "once it has ended"
        decision = Decision(False, f"{turn.execution} trains as of {turn.as_of} already; ask again {again}")
    else:
        decision = Decision(True, "asked for by hand")
    decided = _decided(model, day, decision, execution)
    request = RequestByHand(**decided, cause=BY_HAND, why=given, by=by, at=at)
    root = f"{day.isoformat()}-{BY_HAND}-"
    earlier = list(ports.lake.keys(f"{_folder(model)}/{root}"))
    for key in earlier:
        stands = RequestByHand.model_validate_json(ports.lake.get(key))
        # A signed call can be sent again, and then has another request id. Until the training has
        # its plan, the call is answered as it was the first time.
        if not planned and stands.accepted and (stands.why, stands.by, stands.at) == (given, by, at):
            started = _started(ports, stands, day)
            if started or stands.execution == execution:
                return stands.model_copy(update={"execution": started}).model_dump(mode="json")
    # the number is taken once, so of two requests at the same instant the second finds the first
    name = f"{root}{len(earlier) + 1:03d}"
    return _write_and_start(ports, name, request, day).model_dump(mode="json")


def list_requests(ports: Ports, model: str) -> dict[str, Any]:
    """Return every request of a model, oldest first, as the request was written."""
    pack_definition(ports, model)
    keys = [key for key in ports.lake.keys(f"{_folder(model)}/") if not key.startswith(turns_root(model))]
    requests = [_ANY_REQUEST.validate_json(ports.lake.get(key)) for key in keys]
    return {"model": model, "requests": [request.model_dump(mode="json") for request in requests]}


def _of_model(ports: Ports, model: str, day: date) -> Iterator[RequestByChecks]:
    try:
        champion = load_champion(ports.lake, model)
    except NotFoundError:
        return  # the model was never trained; its cadence starts the first training
    rules = champion.definition(ports.lake).model.retraining
    seen = _checks(ports, champion, day)
    kinds: tuple[Kind, ...] = ("drift", "performance")
    for kind in kinds:
        checks = apart(sorted((check for check in seen if check.kind == kind), key=lambda check: check.day))
        if not checks or not checks[-1].violated:
            continue
        decision = decide(checks, rules, day=day, trained=_last_training(ports, model, day))
        decided = _decided(model, day, decision, execution_name("train", model, day.isoformat()))
        newest = tuple(checks[-rules.of_last :])
        request = RequestByChecks(**decided, cause=kind, version=champion.number, checks=newest)
        # There is one request per check. Its name has the check's day, so that tomorrow's look finds today's request.
        name = f"{checks[-1].day.isoformat()}-{kind}-v{champion.number:06d}"
        yield _write_and_start(ports, name, request, day)


def _decided(model: str, day: date, decision: Decision, execution: str) -> dict[str, Any]:
    """Return the fields that a decision gives every request, whoever asked."""
    return {
        "model": model,
        "as_of": day.isoformat(),
        "accepted": decision.accepted,
        "decision": decision.why,
        "execution": execution if decision.accepted else None,
    }


def _checks(ports: Ports, version: Version, day: date) -> list[Check]:
    """Return the checks of a version up to a day: of each of its batches the drift, and the first matchback."""
    spec = version.definition(ports.lake).model
    metrics = version.json(ports.lake, "metrics.json")
    found: list[Check] = []
    for run in batch_runs(ports, version.model):
        if not re.fullmatch(rf"runs/score/{version.model}/[0-9-]+-v{version.number:06d}-batch", run):
            continue
        if drift := find_json(ports.lake, drift_key(run)):
            found.append(drift_check(drift, spec.retraining))
        if matched := next(matchback_keys(ports.lake, run), None):
            window = spec.label_window(batch_day(run))
            days = (window.start, window.end)
            found.append(performance_check(read_json(ports.lake, matched), metrics, spec.retraining, days))
    return [check for check in found if check.day <= day]


def _write_and_start[R: RetrainingRequest](ports: Ports, name: str, request: R, day: date) -> R:
    """Write the request, or find the request that stands.

    The training of an accepted request is started unless it is planned already.
    """
    key = f"{_folder(request.model)}/{name}.json"
    new = ports.lake.put_new(key, dumps(request.model_dump(mode="json")))
    stands = request if new else read_record(ports.lake, key, type(request))
    if stands.accepted:
        stands = stands.model_copy(update={"execution": _started(ports, stands, day)})
    if new:
        accepted = str(stands.accepted).lower()
        ports.metrics.count("RetrainingRequested", model=stands.model, cause=stands.cause, accepted=accepted)
    return stands


def _started(ports: Ports, request: RetrainingRequest, day: date) -> str | None:
    """Return the execution of an accepted request, which is started now unless its training is planned already.

    Where another execution trains as of the same day, the result is that execution. The result is None where the model
    trains as of another day, and where Step Functions refused every name.
    """
    model, as_of, name = request.model, request.as_of, str(request.execution)
    if was_planned(ports.lake, model, training_run(model, date.fromisoformat(as_of))):
        return name
    for tried in names_to_try(name, date.fromisoformat(as_of), day):
        if turn := take_turn(ports, tried, _payload(model, as_of), day):
            return turn.execution if turn.as_of == as_of else None
    return None


def _payload(model: str, as_of: str) -> dict[str, Any]:
    return {"model": model, "as_of": as_of, "then_score": False}


def _folder(model: str) -> str:
    return f"{model_root(model)}/retraining"


def _last_training(ports: Ports, model: str, day: date) -> date | None:
    """Return the newest as-of day, not after `day`, of a training that was planned over the newest Silver."""
    found = re.compile(rf"runs/train/{model}/(\d{{4}}-\d{{2}}-\d{{2}})/plan\.json")
    plans = [*ports.lake.keys(f"runs/train/{model}/"), *(f"{run}/plan.json" for run in claimed_runs(ports.lake, model))]
    days = [date.fromisoformat(match[1]) for key in plans if (match := found.fullmatch(key))]
    return max((planned for planned in days if planned <= day), default=None)
