"""The daily tick starts what is due, once, and what was missed, as of the day on which it was due."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
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
    lake = MemoryStore()
    lake.put("silver/sales/_delta_log/00000000000000000000.json", b"{}")
    return SimpleNamespace(
        pack="automotive", pack_files=pack_files("automotive"), lake=lake, workflows=MemoryWorkflows()
    )


def tick(ports: SimpleNamespace, slot: str) -> list[str]:
    due: list[str] = start_due_runs(ports, slot=slot, models=[MODEL])["due"]
    return due


def why(ports: SimpleNamespace, slot: str, kind: str) -> tuple[str, str]:
    """What a tick says of the model's training or scoring: the answer and the reason."""
    told = start_due_runs(ports, slot=slot, models=[MODEL])["models"][MODEL][kind]
    return told["answer"], told["why"]


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


def test_a_slot_before_the_champions_own_day_is_not_scored_and_says_why(ports: SimpleNamespace) -> None:
    champion(ports, "2025-07-01")
    assert tick(ports, "2025-03-01") == []
    answer, reason = why(ports, "2025-03-01", "scoring")
    assert answer == "not due"
    assert reason.startswith("the champion was trained as of 2025-07-01, after this slot of 2025-03-01")
    assert "give a slot from 2025-07-01 on" in reason
    assert tick(ports, "2025-07-02") == [f"score-{MODEL}-2025-07-01-batch"]


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
    assert tick(ports, "2025-02-02") == tick(ports, "2025-02-03") == [f"{first}-2025-02-02"]
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


def test_before_any_file_nothing_is_started_and_the_answer_names_the_data_that_is_missing(
    ports: SimpleNamespace,
) -> None:
    ports.lake = MemoryStore()
    assert tick(ports, "2025-07-01") == []
    assert ports.workflows.started == {}
    for kind in ("training", "scoring"):
        answer, reason = why(ports, "2025-07-01", kind)
        assert answer == "no data"
        assert reason.startswith("no row of customers, vehicles, sales, ")
    told = start_due_runs(ports, slot="2025-07-01", models=[MODEL])
    assert told["summary"] == f"{MODEL} training and scoring no data: {reason}"
    ports.lake.put("silver/sales/_delta_log/00000000000000000000.json", b"{}")
    assert tick(ports, "2025-07-01") == [f"train-{MODEL}-2025-07-01"]  # the same slot, now that a file came


def test_a_training_that_failed_before_its_plan_is_started_again_by_the_same_slot_with_the_reason(
    ports: SimpleNamespace,
) -> None:
    first = f"train-{MODEL}-2025-07-01"
    assert tick(ports, "2025-07-01") == [first]
    for number in (2, 3):
        ports.workflows.fail("EvidenceError: Silver holds none of sales")
        answer, reason = why(ports, "2025-07-01", "training")
        assert (answer, reason.partition("(")[2]) == (
            "due",
            "EvidenceError: Silver holds none of sales); started again",
        )
        assert tick(ports, "2025-07-01") == [f"{first}-{number}"]
    assert [payload["then_score"] for payload in ports.workflows.started.values()] == [True] * 3


def test_a_batch_that_failed_before_its_plan_is_started_again_by_the_same_slot(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    first = f"score-{MODEL}-2025-02-01-batch"
    assert tick(ports, "2025-02-01") == [first]
    ports.workflows.fail("RetryableError: Silver is spread over 2 buckets")
    assert why(ports, "2025-02-01", "scoring")[1].endswith(
        "(RetryableError: Silver is spread over 2 buckets); started again"
    )
    assert tick(ports, "2025-02-01") == [f"{first}-2"]


def test_what_is_not_due_says_when_it_is_next(ports: SimpleNamespace) -> None:
    champion(ports, "2025-01-01")
    scored(ports, "2025-02-01")
    assert why(ports, "2025-02-20", "training") == (
        "not due",
        "the champion was trained as of 2025-01-01; next on 2025-07-01",
    )
    assert why(ports, "2025-02-20", "scoring") == ("not due", "scored as of 2025-02-01; next on 2025-03-01")


def test_a_run_that_failed_after_its_plan_is_told_with_its_reason_and_the_execution_to_redrive(
    ports: SimpleNamespace,
) -> None:
    first = f"train-{MODEL}-2025-07-01"
    assert tick(ports, "2025-07-01") == [first]
    ports.lake.put(f"runs/train/{MODEL}/2025-07-01/plan.json", b"{}")
    assert why(ports, "2025-07-01", "training")[0] == "under way"
    ports.workflows.fail("EvidenceError: 0 of 0 rows are positive")
    assert why(ports, "2025-07-01", "training") == (
        "failed",
        f"training as of 2025-07-01 failed after its plan: EvidenceError: 0 of 0 rows are positive; redrive {first}",
    )


def test_where_gates_hold_the_version_back_no_batch_starts_and_the_gates_are_named(ports: SimpleNamespace) -> None:
    lineage = {"run": f"runs/train/{MODEL}/2025-07-01", "as_of": "2025-07-01", "feature_set": "f"}
    gates = b'[{"name": "auc_floor", "passed": false}, {"name": "parity", "passed": true}]'
    register(ports.lake, MODEL, {"gates.json": gates}, lineage)
    assert tick(ports, "2025-07-02") == []
    assert why(ports, "2025-07-02", "training") == (
        "not due",
        "version 1 was trained as of 2025-07-01 and failed gates: auc_floor; next on 2025-08-01",
    )
    answer, reason = why(ports, "2025-07-02", "scoring")
    assert answer == "waits"
    assert "version 1, trained as of 2025-07-01, is candidate because it failed: auc_floor" in reason


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 12), st.integers(1, 12), st.integers(1, 28))
def test_the_last_due_day_is_due_and_no_later_one_is(slot: date, every: int, anchor: int, day: int) -> None:
    cadence = Cadence(anchor_month=anchor, day=day)
    found = last_due(cadence, slot, every)
    assert found <= slot
    assert found.day == day
    assert ((found.year - 2000) * 12 + found.month - anchor) % every == 0
    months = (slot.year - found.year) * 12 + slot.month - found.month
    assert months <= every


def test_every_five_months_is_every_five_months_over_the_ends_of_years() -> None:
    cadence, due, day = Cadence(anchor_month=1, day=1), set(), date(2025, 1, 1)
    while day < date(2028, 1, 1):
        due.add(last_due(cadence, day, 5))
        day += timedelta(days=1)
    steps = [(one.year * 12 + one.month) - (other.year * 12 + other.month) for other, one in pairwise(sorted(due))]
    assert steps == [5] * len(steps)
    assert len(due) >= 7


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
