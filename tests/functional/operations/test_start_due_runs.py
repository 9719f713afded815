"""The daily tick starts what is due, once, and what was missed, as of the day on which it was due."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.operations.start_due_runs import start_due_runs
from propensity.pack.domain.model_spec import Cadence
from propensity.registry.versions import register
from propensity.runtime.pack_files import pack_files
from propensity.training.domain.schedule import last_due, last_scoring_due, last_training_due
from tests.fakes.memory import MemoryStore, MemoryWorkflows
from tests.kit.registries import crown

MODEL = "service"  # trained every six months from January, scored every month


@pytest.fixture
def ports() -> SimpleNamespace:
    return SimpleNamespace(
        pack="automotive", pack_files=pack_files("automotive"), lake=MemoryStore(), workflows=MemoryWorkflows()
    )


def tick(ports: SimpleNamespace, slot: str) -> list[str]:
    due: list[str] = start_due_runs(ports, slot=slot, models=[MODEL])["due"]
    return due


def champion(ports: SimpleNamespace, as_of: str) -> None:
    lineage = {"run": as_of, "as_of": as_of, "feature_set": "f"}
    number = register(ports.lake, MODEL, {}, lineage).number
    crown(ports.lake, MODEL, number)
    ports.lake.put(f"runs/train/{MODEL}/{as_of}/plan.json", b"{}")


def scored(ports: SimpleNamespace, as_of: str) -> None:
    ports.lake.put(f"runs/score/{MODEL}/{as_of}-v000001-batch/receipt.json", b"{}")


def test_without_a_champion_the_newest_scoring_day_is_trained_on_and_scored(ports: SimpleNamespace) -> None:
    assert tick(ports, "2025-03-15") == [f"train-{MODEL}-2025-03-01"]
    [payload] = ports.workflows.started.values()
    assert payload == {"model": MODEL, "as_of": "2025-03-01", "then_score": True}


def test_on_a_scoring_day_the_champion_scores(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    scored(ports, "2025-01-01")
    assert tick(ports, "2025-02-01") == [f"score-{MODEL}-2025-02-01-batch"]
    scored(ports, "2025-02-01")
    assert tick(ports, "2025-02-01") == []
    assert tick(ports, "2025-02-20") == []


def test_on_a_training_day_training_comes_first_and_scores_by_itself(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    assert tick(ports, "2025-07-01") == [f"train-{MODEL}-2025-07-01"]
    ports.lake.put(f"runs/train/{MODEL}/2025-07-01/plan.json", b"{}")
    assert tick(ports, "2025-07-01") == []


def test_after_a_failed_training_the_old_champion_scores_the_next_day(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    ports.lake.put(f"runs/train/{MODEL}/2025-07-01/plan.json", b"{}")
    assert tick(ports, "2025-07-02") == [f"score-{MODEL}-2025-07-01-batch"]


def test_a_tick_that_did_not_come_is_made_up_for(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    assert tick(ports, "2025-07-04") == [f"train-{MODEL}-2025-07-01"]
    champion(ports, "2025-07-01")
    scored(ports, "2025-07-01")
    assert tick(ports, "2025-08-03") == [f"score-{MODEL}-2025-08-01-batch"]


def test_a_training_that_ended_without_a_plan_is_tried_again_each_day_and_the_champion_scores_meanwhile(
    ports: SimpleNamespace,
) -> None:
    champion(ports, "2025-01-01")
    first = f"train-{MODEL}-2025-07-01"
    assert tick(ports, "2025-07-01") == tick(ports, "2025-07-01") == [first]
    ports.workflows.end()
    # a second tick of the day does not start it under another name, and does not say that it did
    assert tick(ports, "2025-07-01") == []
    assert tick(ports, "2025-07-02") == [f"{first}-2025-07-02", f"score-{MODEL}-2025-07-01-batch"]
    assert ports.workflows.started["train_model", f"{first}-2025-07-02"] == {
        "model": MODEL,
        "as_of": "2025-07-01",
        "then_score": False,
    }
    scored(ports, "2025-07-01")
    assert tick(ports, "2025-07-02") == [f"{first}-2025-07-02"]
    ports.workflows.end()
    assert tick(ports, "2025-07-03") == [f"{first}-2025-07-03"]
    ports.lake.put(f"runs/train/{MODEL}/2025-07-01/plan.json", b"{}")
    assert tick(ports, "2025-07-04") == []


def test_a_training_that_still_runs_is_started_under_no_other_name(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    first = tick(ports, "2025-07-01")
    assert tick(ports, "2025-07-02") == first
    assert len(ports.workflows.started) == 1


def test_without_a_champion_what_is_tried_again_scores_by_itself(ports: SimpleNamespace) -> None:
    assert tick(ports, "2025-03-01") == [f"train-{MODEL}-2025-03-01"]
    ports.workflows.end()
    assert tick(ports, "2025-03-02") == [f"train-{MODEL}-2025-03-01-2025-03-02"]
    assert [one["then_score"] for one in ports.workflows.started.values()] == [True, True]


def test_a_scoring_that_ended_without_a_plan_is_tried_again_and_one_with_a_plan_is_redriven(
    ports: SimpleNamespace,
) -> None:
    champion(ports, "2025-01-01")
    first = f"score-{MODEL}-2025-02-01-batch"
    assert tick(ports, "2025-02-01") == [first]
    ports.workflows.end()
    assert tick(ports, "2025-02-01") == []
    assert tick(ports, "2025-02-02") == [f"{first}-2025-02-02"]
    ports.workflows.end()
    ports.lake.put(f"runs/score/{MODEL}/2025-02-01-v000001-batch/plan.json", b"{}")
    assert tick(ports, "2025-02-03") == []


def test_a_training_that_comes_months_late_says_which_day_its_version_is_to_score(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    assert tick(ports, "2025-08-01") == [f"train-{MODEL}-2025-07-01", f"score-{MODEL}-2025-08-01-batch"]
    payload = ports.workflows.started["train_model", f"train-{MODEL}-2025-07-01"]
    assert (payload["scores_as_of"], payload["then_score"]) == ("2025-08-01", False)


def test_a_training_whose_plan_has_expired_is_known_by_the_number_of_its_version(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    register(ports.lake, MODEL, {}, {"run": f"runs/train/{MODEL}/2025-07-01", "as_of": "2025-07-01"})
    scored(ports, "2025-11-01")
    assert tick(ports, "2025-11-02") == []  # a gate had failed, so the champion is older than the cadence


def test_scores_of_a_day_so_long_ago_that_its_receipt_may_have_expired_are_not_computed_again(
    ports: SimpleNamespace,
) -> None:
    path = f"models/{MODEL}.yaml"
    rarely = ports.pack_files[path].replace("score_every_months: 1", "score_every_months: 6")
    assert rarely != ports.pack_files[path]
    ports.pack_files = {**ports.pack_files, path: rarely}
    champion(ports, "2025-07-01")
    assert tick(ports, "2025-08-30") == [f"score-{MODEL}-2025-07-01-batch"]
    ports.workflows.end()
    assert tick(ports, "2025-08-31") == []


def test_a_champion_that_is_newer_than_the_cadence_is_not_trained_again(ports: SimpleNamespace) -> None:
    champion(ports, "2025-07-15")
    assert tick(ports, "2025-08-01") == [f"score-{MODEL}-2025-08-01-batch"]


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 12), st.integers(1, 12), st.integers(1, 28))
def test_the_last_due_day_is_due_and_no_later_one_is(slot: date, every: int, anchor: int, day: int) -> None:
    cadence = Cadence(anchor_month=anchor, day=day)
    found = last_due(cadence, slot, every)
    assert found <= slot
    assert found.day == day
    assert (found.month - anchor) % every == 0
    months = (slot.year - found.year) * 12 + slot.month - found.month
    assert months <= 12


def test_a_weekly_model_scores_each_monday_and_trains_every_fourth(ports: SimpleNamespace) -> None:
    path = f"models/{MODEL}.yaml"
    weekly = ports.pack_files[path].replace("cadence: {", "cadence: {train_every_days: 28, score_every_days: 7, ")
    assert weekly != ports.pack_files[path]
    ports.pack_files = {**ports.pack_files, path: weekly}
    cadence = Cadence(train_every_days=28, score_every_days=7)
    trained = last_training_due(cadence, date(2025, 7, 30))
    champion(ports, trained.isoformat())
    scored(ports, trained.isoformat())
    monday = trained.replace(day=trained.day + 7)
    assert monday.weekday() == 0
    assert tick(ports, monday.replace(day=monday.day - 1).isoformat()) == []
    assert tick(ports, monday.isoformat()) == [f"score-{MODEL}-{monday}-batch"]


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 366))
def test_the_last_due_day_by_days_is_at_most_a_step_ago(slot: date, every: int) -> None:
    cadence = Cadence(train_every_days=every, score_every_days=every)
    found = last_scoring_due(cadence, slot)
    assert found == last_training_due(cadence, slot)
    assert 0 <= (slot - found).days < every
    assert (found - cadence.anchor_day).days % every == 0
    assert last_scoring_due(Cadence(), slot) == last_due(Cadence(), slot, 1)
