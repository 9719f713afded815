"""start_due_runs: start the trainings and batches that are due on a day, and say of each model why or why not.

The daily tick calls this function. A second tick of the same day starts nothing new, unless an execution has failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from propensity.kernel.errors import NotFoundError
from propensity.lake.domain.run_names import execution_name, parse_day, training_run
from propensity.lake.silver_tables import datasets_used, silver_table
from propensity.operations.executions import SCORE, executions_of, free_names, newest_of
from propensity.pack.current import pack_definition, pack_info
from propensity.pack.domain.definition import Definition
from propensity.ports import Execution, Ports
from propensity.registry.pinned import OPEN
from propensity.registry.versions import (
    claims_of,
    failed_gates,
    load_champion,
    load_version,
    was_planned,
    why_no_champion,
)
from propensity.training.domain.schedule import last_scoring_due, last_training_due, next_scoring_due, next_training_due
from propensity.training.turns import TRAIN, take_turn

type Due = Literal["due", "follows", "not due", "no data", "under way", "waits", "failed"]


@dataclass(frozen=True, slots=True)
class DueAnswer:
    """What the tick did about one training or batch, and why.

    `due` means that `execution` was started, or that an earlier tick started it and it still runs. `follows` means that
    the training's execution scores afterwards. `waits` means that there is no champion, or that the model trains as of
    another day. `failed` means that the execution failed after its plan, and that a person must redrive it.
    """

    answer: Due
    why: str
    execution: str | None = None


def start_due_runs(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Start the executions of these models, or of all, that are due on the slot's day or were missed.

    A model that is due for training and for scoring on the same day is trained first, and the new champion scores. A
    model without a champion is trained on its scoring day, whatever its cadence says, once Silver has any of its data.
    A tick may not come, or an execution may end before its plan. The next tick, also one of the same day, then starts
    the execution again as of the day it was due; on later days the present champion scores meanwhile. An execution that
    failed after its plan is redriven by hand.

    The result `due` has the names of the executions that this call started. It also has the executions that an earlier
    call started and that still run. `models` has a DueAnswer per model for `training` and `scoring`, and `summary`
    has all of them as one text.
    """
    day = parse_day(slot, "slot")
    answers = {
        model: dict(zip(("training", "scoring"), _start(ports, model, day), strict=True))
        for model in (pack_info(ports).models if models is None else models)
    }
    told = [(model, kind, answer) for model, both in answers.items() for kind, answer in both.items()]
    return {
        "slot": day.isoformat(),
        "due": [answer.execution for _, _, answer in told if answer.answer == "due"],
        "summary": "; ".join(_summary(model, both) for model, both in answers.items()),
        "models": {
            model: {
                kind: {"answer": answer.answer, "why": answer.why, "execution": answer.execution}
                for kind, answer in both.items()
            }
            for model, both in answers.items()
        },
    }


def _summary(model: str, both: Mapping[str, DueAnswer]) -> str:
    said: dict[str, list[str]] = {}
    for kind, answer in both.items():
        said.setdefault(f"{answer.answer}: {answer.why}", []).append(kind)
    return "; ".join(f"{model} {' and '.join(kinds)} {text}" for text, kinds in said.items())


@dataclass(frozen=True, slots=True)
class _Days:
    """The slot's day, and the newest days on which the model's training and batch were due."""

    day: date
    training: date
    scoring: date


def _start(ports: Ports, model: str, day: date) -> tuple[DueAnswer, DueAnswer]:
    """Start the executions that are due for a model."""
    definition = pack_definition(ports, model)
    cadence = definition.model.cadence
    scoring = last_scoring_due(cadence, day)
    champion = _champion_day(ports, model)
    # without a champion nothing can be scored, and the newest day is the best to train on
    training = scoring if champion is None else last_training_due(cadence, day)
    days = _Days(day, training, scoring)
    unscored = not _has_batch(ports, model, scoring, "receipt")
    trained = was_planned(ports.lake, model, training_run(model, training))
    if not trained and champion is None and (missing := _no_data(ports, definition)):
        return DueAnswer("no data", missing), DueAnswer("no data", missing)
    if not trained and (champion is None or champion < training.isoformat()):
        started, then_score = _train(ports, model, days, champion is not None, unscored)
        if then_score:
            return started, DueAnswer("follows", f"{started.execution} scores once it has trained a champion")
    else:
        upcoming = next_scoring_due if champion is None else next_training_due
        following = upcoming(cadence, day + timedelta(days=1))
        started = _trained(ports, model, training, champion, following)
        if champion is not None and training == scoring == day and unscored:
            return started, DueAnswer("follows", "the training of today scores once it has ended")
    following = next_scoring_due(cadence, day + timedelta(days=1))
    if not unscored:
        return started, DueAnswer("not due", f"scored as of {scoring}; next on {following}")
    if champion is None:
        return started, DueAnswer("waits", why_no_champion(ports.lake, model))
    if champion > day.isoformat():
        # only a slot given by hand can be so early; the scores would be flattered by outcomes of their own days
        why = f"the champion was trained as of {champion}, after this slot of {day}, and knows what came since"
        return started, DueAnswer("not due", f"{why}; give a slot from {champion} on, or score the day by hand")
    return started, _score(ports, model, days, following)


def _no_data(ports: Ports, definition: Definition) -> str | None:
    """Say that none of the datasets that the model reads has a table in Silver yet; None where one has."""
    used = datasets_used(definition, pack_info(ports).datasets)
    if any(True for dataset in used for _ in ports.lake.keys(f"{silver_table(dataset)}/_delta_log/")):
        return None
    return f"no row of {', '.join(used)} has arrived in Silver; put files into the landing bucket, then tick again"


def _train(ports: Ports, model: str, days: _Days, has_champion: bool, unscored: bool) -> tuple[DueAnswer, bool]:
    """Start the training; return the answer, and whether its execution scores afterwards.

    Executions of earlier ticks left no plan. Where one of them runs, no other is started.
    """
    payload: dict[str, object] = {"model": model, "as_of": days.training.isoformat()}
    if days.training < days.scoring:
        payload["scores_as_of"] = days.scoring.isoformat()  # a late training is scored as of the day that is due now
    then_score = days.training == days.scoring and unscored
    name = execution_name("train", model, days.training.isoformat())
    as_of = f"as of {days.training}"
    before = newest_of(executions_of(ports, TRAIN, model), as_of=days.training.isoformat())
    if before and before.state == "running":
        since = "started, or running since an earlier tick" if before.name == name else f"running since {before.began}"
        return DueAnswer("due", f"{as_of}: {since}", before.name), bool(before.payload.get("then_score"))
    turn = take_turn(ports, name, {**payload, "then_score": then_score}, days.day)
    if turn is None:
        if days.day != days.training:
            then_score = not has_champion  # on a later day the champion does not wait for the training
        for tried in free_names(name, days.training, days.day):
            turn = take_turn(ports, tried, {**payload, "then_score": then_score}, days.day)
            if turn is not None:
                break
    if turn is None:
        return DueAnswer("failed", f"{as_of}: every name of the day is taken; tick again tomorrow"), False
    if turn.as_of != days.training.isoformat():
        return DueAnswer("waits", f"{as_of}: {turn.execution} trains as of {turn.as_of} first; tick again"), False
    if turn.execution == name:
        why = f"{as_of}: started, or running since an earlier tick"
    else:
        reason = before.reason if before and before.reason else "reason unknown"
        why = f"{as_of}: {name} ended before its plan ({reason}); started again"
    return DueAnswer("due", why, turn.execution), bool(turn.payload.get("then_score"))


def _start_again(ports: Ports, machine: str, names: Iterator[str], payload: Mapping[str, object]) -> str | None:
    """Start the execution under the first name that no ended execution has; return the name."""
    for name in names:
        if ports.workflows.start(machine, name, payload):
            return name
        taken = ports.workflows.find(machine, name)
        if taken and taken.state == "running":
            return name
    return None


def _trained(ports: Ports, model: str, training: date, champion: str | None, following: date) -> DueAnswer:
    """Say what became of the training that was due, which has a plan or is not needed."""
    number = claims_of(ports.lake, model).get(training_run(model, training))
    if number is not None:
        failed = ", ".join(failed_gates(ports.lake, load_version(ports.lake, model, number)))
        held = f" and failed gates: {failed}" if failed else ""
        return DueAnswer("not due", f"version {number} was trained as of {training}{held}; next on {following}")
    if champion is not None and champion >= training.isoformat():
        return DueAnswer("not due", f"the champion was trained as of {champion}; next on {following}")
    execution = newest_of(executions_of(ports, TRAIN, model), as_of=training.isoformat())
    return _planned(f"training as of {training}", model, execution)


def _planned(what: str, model: str, execution: Execution | None) -> DueAnswer:
    """Say what became of a run that has a plan and no result."""
    if execution is None or execution.state != "failed":
        return DueAnswer("under way", f"{what} is planned and has not ended; GET /v1/runs/{model} says how it stands")
    return DueAnswer("failed", f"{what} failed after its plan: {execution.reason}; redrive {execution.name}")


def _score(ports: Ports, model: str, days: _Days, following: date) -> DueAnswer:
    """Start the batch."""
    scoring = days.scoring
    if _has_batch(ports, model, scoring, "plan"):
        execution = newest_of(executions_of(ports, SCORE, model), as_of=scoring.isoformat(), scope="batch")
        return _planned(f"batch as of {scoring}", model, execution)
    if days.day - scoring > OPEN:
        # the day is too long ago: the batch may have been scored, and its receipt may have expired (RunsDays)
        return DueAnswer("not due", f"{scoring} is more than {OPEN.days} days ago; next on {following}")
    name = execution_name("score", model, scoring.isoformat(), "batch")
    payload = {"model": model, "as_of": scoring.isoformat(), "scope": "batch"}
    if ports.workflows.start(SCORE, name, payload):
        return DueAnswer("due", f"as of {scoring}: started, or running since an earlier tick", name)
    before = newest_of(executions_of(ports, SCORE, model), as_of=scoring.isoformat(), scope="batch")
    if before and before.state == "running":
        return DueAnswer("due", f"as of {scoring}: running since {before.began}", before.name)
    found = _start_again(ports, SCORE, free_names(name, scoring, days.day), payload)
    if found is None:
        return DueAnswer("failed", f"as of {scoring}: every name of the day is taken; tick again tomorrow")
    reason = before.reason if before and before.reason else "reason unknown"
    return DueAnswer("due", f"as of {scoring}: {name} ended before its plan ({reason}); started again", found)


def _champion_day(ports: Ports, model: str) -> str | None:
    """Return the as-of date that the champion was trained with; None without a champion."""
    try:
        as_of: str = load_champion(ports.lake, model).lineage["as_of"]
    except NotFoundError:
        return None
    return as_of


def _has_batch(ports: Ports, model: str, day: date, file: str) -> bool:
    """Whether a batch as of the day, of any version, has the file: `plan` or `receipt`."""
    runs = ports.lake.keys(f"runs/score/{model}/{day.isoformat()}-v")
    return any(key.endswith(f"-batch/{file}.json") for key in runs)
