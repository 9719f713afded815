"""start_due_runs: start the trainings and batches that are due on a day.

The daily tick calls this function. A second tick of the same day starts nothing new.
"""

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
from propensity.training.domain.schedule import last_scoring_due, last_training_due


def start_due_runs(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Start the executions of these models, or of all, that are due on the slot's day or were missed.

    A model that is due for training and for scoring on the same day is trained first, and the new champion scores. A
    model without a champion is trained on its scoring day, whatever its cadence says. A tick may not come, or an
    execution may end before its plan. A later tick then starts the execution as of the day it was due; meanwhile the
    present champion scores. An execution that failed after its plan is redriven by hand.

    The result `due` has the names of the executions that this call started. It also has the executions that an earlier
    call started and that still run.
    """
    day = parse_day(slot, "slot")
    runs = [
        name for model in (pack_info(ports).models if models is None else models) for name in _start(ports, model, day)
    ]
    return {"slot": day.isoformat(), "due": runs}


def _start(ports: Ports, model: str, day: date) -> Iterator[str]:
    """Start the executions that are due for a model; yield the names of the executions."""
    cadence = pack_definition(ports, model).model.cadence
    scoring = last_scoring_due(cadence, day)
    training = last_training_due(cadence, day)
    champion = _champion_day(ports, model)
    if champion is None:
        training = scoring  # without a champion nothing can be scored, and the newest day is the best to train on
    unscored = not _has_batch(ports, model, scoring, "receipt")
    trained = was_planned(ports.lake, model, training_run(model, training))
    if not trained and (champion is None or champion < training.isoformat()):
        payload: dict[str, object] = {"model": model, "as_of": training.isoformat()}
        if training < scoring:
            payload["scores_as_of"] = scoring.isoformat()  # a late training is scored as of the day that is due now
        then_score = training == scoring and unscored
        name = execution_name("train", model, training.isoformat())
        if ports.workflows.start("train_model", name, {**payload, "then_score": then_score}):
            yield name
            if then_score:
                return
        elif day == training:
            return  # an execution of today ended without a plan, and tomorrow's tick starts it again
        else:
            # The execution of an earlier tick left no plan. The training is started again, and the champion does not
            # wait for it. The earlier execution may still run, and be seconds away from its plan. Then both executions
            # go on: they have the same plan, and each file is written once.
            again = execution_name(name, day.isoformat())
            if ports.workflows.start("train_model", again, {**payload, "then_score": champion is None}):
                yield again
    elif training == scoring == day:
        return  # today's training is under way, and its execution scores afterwards
    if champion is not None and unscored:
        yield from _score(ports, model, scoring, day)


def _score(ports: Ports, model: str, scoring: date, day: date) -> Iterator[str]:
    """Start the batch; yield the name of its execution."""
    if _has_batch(ports, model, scoring, "plan"):
        return  # the batch is under way, or failed and is redriven by hand
    if day - scoring > OPEN:
        return  # the day is too long ago: the batch may have been scored, and its receipt may have expired (RunsDays)
    name = execution_name("score", model, scoring.isoformat(), "batch")
    payload = {"model": model, "as_of": scoring.isoformat(), "scope": "batch"}
    for free in names_to_try(name, scoring, day):
        if ports.workflows.start("score_population", free, payload):
            yield free
            return


def _champion_day(ports: Ports, model: str) -> str | None:
    """Return the as-of date that the champion was trained with; None without a champion."""
    try:
        return load_champion(ports.lake, model).provenance.as_of
    except NotFoundError:
        return None


def _has_batch(ports: Ports, model: str, day: date, file: str) -> bool:
    """Whether a batch as of the day, of any version, has the file: `plan` or `receipt`."""
    runs = ports.lake.keys(f"runs/score/{model}/{day.isoformat()}-v")
    return any(key.endswith(f"-batch/{file}.json") for key in runs)
