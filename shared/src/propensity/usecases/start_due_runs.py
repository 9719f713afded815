"""start_due_runs: what the day calls for. Started by the daily tick; a second tick of a day starts nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from propensity.domain.errors import NotFoundError
from propensity.domain.runs import execution_name, parse_day
from propensity.domain.schedule import due
from propensity.ports import Ports
from propensity.usecases.planning import pack_definition, pack_info
from propensity.usecases.registry import load_champion


def start_due_runs(ports: Ports, *, slot: str, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Start the executions that are due on the slot's day, of these models or of all.

    A model whose training and scoring fall on one day is trained first and scored by what came of it; one
    without a champion is trained on its first scoring day, whatever its cadence says.
    """
    day = parse_day(slot, "slot")
    runs: list[str] = []
    for model in pack_info(ports).models if models is None else models:
        cadence = pack_definition(ports, model).model.cadence
        scores = due(cadence, day, cadence.score_every_months)
        trains = due(cadence, day, cadence.train_every_months) or (scores and not _has_champion(ports, model))
        payload: dict[str, object] = {"model": model, "as_of": day.isoformat()}
        if trains:
            name = execution_name("train", model, day.isoformat())
            ports.workflows.start("train_model", name, {**payload, "then_score": scores})
        elif scores:
            name = execution_name("score", model, day.isoformat(), "batch")
            ports.workflows.start("score_population", name, {**payload, "scope": "batch"})
        else:
            continue
        runs.append(name)
    return {"slot": day.isoformat(), "due": runs}


def _has_champion(ports: Ports, model: str) -> bool:
    try:
        load_champion(ports.lake, model)
    except NotFoundError:
        return False
    return True
