"""A model has one training at a time, whoever asks for it: the daily tick, its checks, or a person."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from propensity.feedback.request_retraining import list_requests, request_by_hand
from propensity.lake.json_objects import dumps
from propensity.operations.start_due_runs import start_due_runs
from propensity.registry.versions import register
from propensity.training.turns import TRAIN, take_turn, turns_root
from tests.kit.registries import crown, trainable

MODEL = "service"  # trained every six months from January
DUE = "train-service-2025-07-01"


@pytest.fixture
def ports() -> SimpleNamespace:
    """With a champion that was trained in January, so that the next training is due on 1 July."""
    made = trainable("automotive")
    crown(made.lake, MODEL, register(made.lake, MODEL, {}, {"run": "r", "as_of": "2025-01-01"}).number)
    made.lake.put(f"runs/train/{MODEL}/2025-01-01/plan.json", b"{}")
    return made


def tick(ports: Any, slot: str) -> tuple[str, str]:
    told = start_due_runs(ports, slot=slot, models=[MODEL])["models"][MODEL]["training"]
    return told["answer"], told["why"]


def ask(ports: Any, day: str, request: str = "r1") -> dict[str, Any]:
    at = f"{day}T09:00:00Z"
    return request_by_hand(ports, MODEL, why="new prices", by="arn:anna", at=at, request_id=request)


def trainings(ports: Any) -> list[str]:
    return [name for machine, name in ports.workflows.started if machine == TRAIN]


def test_a_request_by_hand_on_the_day_of_the_tick_waits_for_the_tick_s_training(ports: SimpleNamespace) -> None:
    assert tick(ports, "2025-07-01")[0] == "due"
    asked = ask(ports, "2025-07-01")
    assert (asked["accepted"], asked["execution"]) == (False, None)
    assert asked["decision"] == f"{DUE} trains as of 2025-07-01 already; ask again if it fails"
    assert trainings(ports) == [DUE]


def test_a_tick_on_the_day_of_a_request_by_hand_takes_its_training(ports: SimpleNamespace) -> None:
    made = ask(ports, "2025-07-01")
    assert made["accepted"]
    answer, why = tick(ports, "2025-07-01")
    assert (answer, why.startswith("as of 2025-07-01: running since")) == ("due", True)
    assert trainings(ports) == [made["execution"]]


def test_trainings_as_of_two_days_do_not_run_at_once(ports: SimpleNamespace) -> None:
    tick(ports, "2025-07-01")
    ports.lake.put(f"runs/train/{MODEL}/2025-07-01/plan.json", b"{}")
    asked = ask(ports, "2025-07-03")
    assert asked["decision"] == f"{DUE} trains as of 2025-07-01 already; ask again once it has ended"
    assert trainings(ports) == [DUE]
    ports.workflows.end()
    assert ask(ports, "2025-07-03", "r2")["execution"] == "train-service-2025-07-03-r2"
    assert trainings(ports) == [DUE, "train-service-2025-07-03-r2"]


def test_a_tick_waits_while_the_model_trains_as_of_another_day_and_goes_on_afterwards(ports: SimpleNamespace) -> None:
    made = ask(ports, "2025-06-30")
    ports.lake.put(f"runs/train/{MODEL}/2025-06-30/plan.json", b"{}")
    assert tick(ports, "2025-07-01") == (
        "waits",
        f"as of 2025-07-01: {made['execution']} trains as of 2025-06-30 first; tick again",
    )
    assert trainings(ports) == [made["execution"]]
    ports.workflows.end()
    assert tick(ports, "2025-07-02")[0] == "due"
    assert trainings(ports) == [made["execution"], DUE]


def test_of_a_tick_and_a_person_at_the_same_instant_one_starts_a_training(ports: SimpleNamespace) -> None:
    lake = ports.lake
    answers: list[dict[str, Any]] = []

    class Meeting:
        """A lake in which a person's request is answered whole just before the tick takes its turn."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake, name)

        def put_new(self, key: str, body: bytes) -> bool:
            if not answers:
                answers.append(ask(SimpleNamespace(**vars(ports) | {"lake": lake}), "2025-07-01"))
            return bool(lake.put_new(key, body))

    ports.lake = Meeting()
    assert tick(ports, "2025-07-01")[0] == "due"
    assert trainings(ports) == [answers[0]["execution"]]


def test_a_start_that_was_lost_is_made_up_for_by_whoever_asks_next(ports: SimpleNamespace) -> None:
    turn = {"execution": DUE, "payload": {"model": MODEL, "as_of": "2025-07-01"}, "day": "2025-07-01"}
    ports.lake.put(f"{turns_root(MODEL)}000001.json", dumps(turn))
    assert not ask(ports, "2025-07-02")["accepted"]
    assert trainings(ports) == [DUE]


def test_an_execution_that_was_forgotten_is_not_started_again(ports: SimpleNamespace) -> None:
    """Step Functions forgets a name 90 days after its execution has ended."""
    tick(ports, "2025-07-01")
    ports.workflows.started.clear()
    made = ask(ports, "2025-11-02")
    assert trainings(ports) == [made["execution"]] == ["train-service-2025-11-02-r1"]


def test_a_name_that_has_ended_gets_nothing_and_turns_are_no_requests(ports: SimpleNamespace) -> None:
    payload = {"model": MODEL, "as_of": "2025-07-01", "then_score": False}
    first = take_turn(ports, DUE, payload, date(2025, 7, 1))
    assert first is not None
    assert take_turn(ports, DUE, {**payload, "then_score": True}, date(2025, 7, 1)) == first
    ports.workflows.end()
    assert take_turn(ports, DUE, payload, date(2025, 7, 1)) is None
    assert list_requests(ports, MODEL)["requests"] == []
