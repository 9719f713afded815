"""start_due_runs: what the day calls for. Started by the daily tick; a second tick of a day starts nothing new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from propensity.kernel.errors import NotFoundError
from propensity.lake.domain.run_names import execution_name, names_to_try, parse_day, training_run
from propensity.pack.current import pack_definition, pack_info
from propensity.ports import Ports
from propensity.registry.pinned import OPEN
from propensity.registry.versions import load_champion, was_planned
from propensity.training.domain.schedule import last_due


def start_due_runs(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Start the executions that are due on the slot's day, of these models or of all, and those that were missed.

    A model whose training and scoring fall on one day is trained first and scored by what came of it. One without
    a champion is trained on its scoring day, whatever its cadence says. Where a tick did not come, or an execution
    ended before its plan, a later tick makes up for it as of the day it was due, and the champion that there is scores
    meanwhile. What failed after its plan is redriven by hand.

    `due`: the names of the executions that run by this call, or still run by an earlier one.
    """
    day = parse_day(slot, "slot")
    runs = [
        name for model in (pack_info(ports).models if models is None else models) for name in _start(ports, model, day)
    ]
    return {"slot": day.isoformat(), "due": runs}


def _start(ports: Ports, model: str, day: date) -> Iterator[str]:
    cadence = pack_definition(ports, model).model.cadence
    scoring = last_due(cadence, day, cadence.score_every_months)
    training = last_due(cadence, day, cadence.train_every_months)
    champion = _champion_day(ports, model)
    if champion is None:
        training = scoring  # nothing to score with, and the newest day is the best to train on
    unscored = not _has_batch(ports, model, scoring, "receipt")
    trained = was_planned(ports.lake, model, training_run(model, training))
    if not trained and (champion is None or champion < training.isoformat()):
        payload: dict[str, object] = {"model": model, "as_of": training.isoformat()}
        if training < scoring:
            payload["scores_as_of"] = scoring.isoformat()  # trained late, it scores the day that everybody has
        then_score = training == scoring and unscored
        name = execution_name("train", model, training.isoformat())
        if ports.workflows.start("train_model", name, {**payload, "then_score": then_score}):
            yield name
            if then_score:
                return
        elif day == training:
            return  # an execution of today ended without a plan: tomorrow's tick tries again
        else:
            # that of an earlier tick left nothing, so the champion does not wait for this one. Should it still run and
            # have no plan, which is a matter of seconds, both go on: they have one plan, and write each file once
            again = execution_name(name, day.isoformat())
            if ports.workflows.start("train_model", again, {**payload, "then_score": champion is None}):
                yield again
    elif training == scoring == day:
        return  # this day's training is under way, and scores by itself
    if champion is not None and unscored:
        yield from _score(ports, model, scoring, day)


def _score(ports: Ports, model: str, scoring: date, day: date) -> Iterator[str]:
    """Start the batch; the name that it runs under."""
    if _has_batch(ports, model, scoring, "plan"):
        return  # under way, or to be redriven
    if day - scoring > OPEN:
        return  # its receipt may have expired with the plans of its time (RunsDays)
    name = execution_name("score", model, scoring.isoformat(), "batch")
    payload = {"model": model, "as_of": scoring.isoformat(), "scope": "batch"}
    for one in names_to_try(name, scoring, day):
        if ports.workflows.start("score_population", one, payload):
            yield one
            return


def _champion_day(ports: Ports, model: str) -> str | None:
    """The day that the champion was trained as of; None without one."""
    try:
        return str(load_champion(ports.lake, model).lineage["as_of"])
    except NotFoundError:
        return None


def _has_batch(ports: Ports, model: str, day: date, file: str) -> bool:
    """Whether a batch as of the day, by any version, has its plan, or its receipt."""
    runs = ports.lake.keys(f"runs/score/{model}/{day.isoformat()}-v")
    return any(key.endswith(f"-batch/{file}.json") for key in runs)
