"""The executions of a model's trainings and scoring runs, as Step Functions has them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from propensity.lake.domain.run_names import execution_name
from propensity.ports import Execution, Ports

SCORE = "score_population"
_NEWEST = 20  # executions of a model that are described, per workflow
_TRIES = 30  # starts under one day's name; a name is taken for 90 days after its execution has ended


def executions_of(ports: Ports, machine: str, model: str) -> list[Execution]:
    """Return the model's newest executions, newest first. Their names have the model's name between two dashes.

    The trainings of backtests have not, and are left out.
    """
    found = ports.workflows.recent(machine, f"-{model}-", _NEWEST)
    return [execution for execution in found if execution.payload.get("model") == model]


def newest_of(executions: list[Execution], **payload: object) -> Execution | None:
    """Return the execution with these entries in its payload: one that runs, or else the newest.

    An execution over another Silver than the newest (`silver_…` in its payload) has a run of its own, and is left out.
    """
    newest = [one for one in executions if not any(key.startswith("silver_") for key in one.payload)]
    found = [one for one in newest if all(one.payload.get(key) == value for key, value in payload.items())]
    running = [one for one in found if one.state == "running"]
    return next(iter(running or found), None)


def free_names(name: str, due: date, day: date) -> Iterator[str]:
    """Yield the names to start an execution under, after the execution of its own name has ended before its plan.

    On a later day than the day on which the execution was due, the name has the day besides. The name of an execution
    that has ended stays taken, so a number follows.
    """
    first = name if day == due else execution_name(name, day.isoformat())
    if first != name:
        yield first
    for number in range(2, _TRIES):
        yield execution_name(first, str(number))
