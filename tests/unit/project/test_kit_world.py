"""The kit's World takes the steps of a training, a replay and a scoring in the order of the state machines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from tests.kit import world as kit
from tests.kit.world import World

ROOT = Path(__file__).resolve().parents[3]
# what every use case answers here, as far as the World reads it
ANSWER = {"run": "r", "build_items": "i", "fit_items": "i", "items": "i", "ladder": True, "report": "r", "same": True}
FILES = {"i": b'[{"item": "one"}]', "r": b'{"same": true}'}


def steps(workflow: str, *, yes: Collection[str] = ()) -> list[str]:
    """The functions of a state machine in their order. It takes the first branch of each choice of `yes`."""
    states = json.loads((ROOT / f"functions/workflows/{workflow}.asl.json").read_text())
    name, found = states["StartAt"], []
    while name:
        state = states["States"][name]
        if state["Type"] == "Choice":
            name = state["Choices"][0]["Next"] if name in yes else state["Default"]
            continue
        if state["Type"] == "Map" or state.get("Resource", "").endswith("lambda:invoke"):
            found.append(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        name = state.get("Next")
    return found


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The use cases that a World calls, each of which answers the same."""
    called: list[str] = []

    def record(name: str) -> Callable[..., dict[str, Any]]:
        def answer(ports: object, **arguments: object) -> dict[str, Any]:
            called.append(name)
            return ANSWER

        return answer

    for function in (path.parent.name for path in (ROOT / "functions").glob("*/handler.py")):
        if hasattr(kit, function):
            monkeypatch.setattr(kit, function, record(function))
    return called


@pytest.mark.parametrize(
    ("work", "workflow", "yes"),
    [
        (lambda world: world.train("m", "2025-07-01"), "train_model", {"HasLadder"}),
        (lambda world: world.replay("m", 1, "again"), "train_model", {"IsReplay", "HasLadder", "IsReplayed"}),
        (lambda world: world.score("m", "2025-07-01"), "score_population", set()),
    ],
    ids=["train", "replay", "score"],
)
def test_the_world_takes_the_steps_of_the_state_machine(
    taken: list[str], tmp_path: Path, work: Callable[[World], object], workflow: str, yes: Collection[str]
) -> None:
    world = World("automotive", tmp_path)
    for key, body in FILES.items():
        world.lake.put(key, body)
    work(world)
    assert taken == steps(workflow, yes=yes)
    assert len(taken) > 5
