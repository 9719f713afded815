"""start_due_runs: what the day calls for. Started by the daily tick; a second tick of a day starts nothing new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from propensity.domain.errors import NotFoundError
from propensity.domain.runs import execution_name, parse_day, training_run
from propensity.domain.schedule import last_due
from propensity.ports import Ports
from propensity.usecases.planning import pack_definition, pack_info
from propensity.usecases.registry import load_champion
from propensity.usecases.run_files import is_planned


def start_due_runs(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Start the executions that are due on the slot's day, of these models or of all, and those that were missed.

    A model whose training and scoring fall on one day is trained first and scored by what came of it. One without
    a champion is trained on its scoring day, whatever its cadence says. Where a tick did not come, or a training
    failed, a later tick makes up for it: scores as of the day they were due, by the champion that there is.
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
    scored = _scored(ports, model, scoring)
    planned = is_planned(ports.lake, training_run(model, training))
    if not planned and (champion is None or champion < training.isoformat()):
        name = execution_name("train", model, training.isoformat())
        then_score = training == scoring and not scored
        payload = {"model": model, "as_of": training.isoformat(), "then_score": then_score}
        ports.workflows.start("train_model", name, payload)
        yield name
        if then_score:
            return
    elif training == scoring == day:
        return  # this day's training is under way, and scores by itself
    if champion is not None and not scored:
        name = execution_name("score", model, scoring.isoformat(), "batch")
        payload = {"model": model, "as_of": scoring.isoformat(), "scope": "batch"}
        ports.workflows.start("score_population", name, payload)
        yield name


def _champion_day(ports: Ports, model: str) -> str | None:
    """The day that the champion was trained as of; None without one."""
    try:
        return str(load_champion(ports.lake, model).lineage["as_of"])
    except NotFoundError:
        return None


def _scored(ports: Ports, model: str, day: date) -> bool:
    runs = ports.lake.keys(f"runs/score/{model}/{day.isoformat()}-v")
    return any(key.endswith("-batch/receipt.json") for key in runs)
