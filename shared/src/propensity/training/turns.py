"""One training at a time per model: whoever starts a training takes the model's next turn first.

The daily tick, the checks and people start trainings, and none of them sees what the others are about to start. Two
trainings of a model at once would promote whichever ends last. A turn is an object that is written once, so of two who
ask at the same instant one gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from propensity.kernel.errors import RetryableError
from propensity.kernel.spec import Record
from propensity.lake.json_objects import dumps, read_record
from propensity.ports import Ports
from propensity.registry.domain.ledger import model_root

TRAIN = "train_model"
_RACES = 20
_STARTING = 1  # days after its turn on which an execution that nobody knows is started: its start was lost


class Turn(Record):
    """A turn: the execution that has it, with what it was started with, and the day on which it was taken."""

    execution: str
    payload: Mapping[str, Any]
    day: str

    @property
    def as_of(self) -> str:
        return str(self.payload["as_of"])


def take_turn(ports: Ports, name: str, payload: Mapping[str, Any], day: date) -> Turn | None:
    """Start the execution `name`, unless another one trains the model; return the turn of the one that then runs.

    The model is the payload's. The result is None where the execution `name` has ended, and nothing runs. An execution
    that has the newest turn and runs stays as it is, also where the payload is another one by now.
    """
    model = str(payload["model"])
    for _ in range(_RACES):
        turns = _turn_keys(ports, model)
        newest = read_record(ports.lake, turns[-1], Turn) if turns else None
        if newest and newest.execution == name:
            return newest if ports.workflows.start(TRAIN, name, newest.payload) else None
        if newest and _runs(ports, newest, day):
            return newest
        turn = Turn(execution=name, payload=payload, day=day.isoformat())
        if ports.lake.put_new(f"{turns_root(model)}{len(turns) + 1:06d}.json", dumps(turn.model_dump(mode="json"))):
            return turn if ports.workflows.start(TRAIN, name, payload) else None
    raise RetryableError(f"model {model}: others keep starting trainings; try again")


def turns_root(model: str) -> str:
    return f"{model_root(model)}/retraining/turns/"


def _turn_keys(ports: Ports, model: str) -> list[str]:
    return list(ports.lake.keys(turns_root(model)))


def _runs(ports: Ports, turn: Turn, day: date) -> bool:
    """Whether the execution of a turn runs. One that took its turn and did not come to start is started now."""
    found = ports.workflows.find(TRAIN, turn.execution)
    if found is not None:
        return found.state == "running"
    # an execution is forgotten 90 days after its end, and must not begin again then
    lost = abs((day - date.fromisoformat(turn.day)).days) <= _STARTING
    return lost and ports.workflows.start(TRAIN, turn.execution, turn.payload)
