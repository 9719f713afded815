"""GET /v1/models and GET /v1/runs/{model}: where models and runs stand, and why there is nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from propensity.kernel.errors import NotFoundError
from propensity.lake.json_objects import dumps
from propensity.operations.report_runs import list_models, report_runs
from propensity.operations.start_due_runs import start_due_runs
from propensity.registry.versions import register
from propensity.runtime import composition
from propensity.runtime.champion_cache import Champions
from propensity.runtime.pack_files import pack_files
from tests.fakes.memory import MemoryStore, MemoryWorkflows
from tests.kit.handlers import call
from tests.kit.registries import crown

MODEL, DAY = "service", "2025-07-01"
TRAINING, BATCH = f"runs/train/{MODEL}/{DAY}", f"runs/score/{MODEL}/{DAY}-v000001-batch"


@pytest.fixture
def ports() -> Any:
    lake = MemoryStore()
    lake.put("silver/sales/_delta_log/00000000000000000000.json", b"{}")
    return SimpleNamespace(
        pack="automotive", pack_files=pack_files("automotive"), lake=lake, workflows=MemoryWorkflows()
    )


def registered(ports: Any, *failed: str) -> None:
    gates = [{"name": name, "passed": False} for name in failed] or [{"name": "parity", "passed": True}]
    register(ports.lake, MODEL, {"gates.json": dumps(gates)}, {"run": TRAINING, "as_of": DAY, "feature_set": "f"})


def runs(ports: Any) -> list[tuple[str, str, str | None]]:
    return [(run["kind"], run["state"], run["reason"]) for run in report_runs(ports, MODEL)["runs"]]


def standing(ports: Any) -> dict[str, Any]:
    [found] = [one for one in list_models(ports, day=DAY)["models"] if one["model"] == MODEL]
    return dict(found)


def test_a_training_runs_then_fails_with_its_reason_then_ends_with_its_version(ports: Any) -> None:
    start_due_runs(ports, slot=DAY, models=[MODEL])
    assert runs(ports) == [("training", "running", None)]
    ports.lake.put(f"{TRAINING}/plan.json", b"{}")
    assert runs(ports) == [("training", "running", None)]
    ports.workflows.fail("EvidenceError: 0 of 0 rows are positive")
    assert runs(ports) == [("training", "failed", "EvidenceError: 0 of 0 rows are positive")]
    registered(ports)
    [run] = report_runs(ports, MODEL)["runs"]
    assert (run["state"], run["reason"], run["run"], run["version"]) == ("ended", None, TRAINING, 1)
    assert [one["name"] for one in run["executions"]] == [f"train-{MODEL}-{DAY}"]


def test_an_execution_that_failed_before_its_plan_is_listed_with_its_reason(ports: Any) -> None:
    start_due_runs(ports, slot=DAY, models=[MODEL])
    ports.workflows.fail("EvidenceError: Silver holds none of sales")
    start_due_runs(ports, slot=DAY, models=[MODEL])
    assert sorted(runs(ports), key=str) == [
        ("training", "failed", "EvidenceError: Silver holds none of sales"),
        ("training", "running", None),
    ]


def test_a_batch_is_ended_by_its_receipt_and_one_without_an_execution_is_unfinished(ports: Any) -> None:
    ports.lake.put(f"{BATCH}/plan.json", b"{}")
    [(kind, state, reason)] = runs(ports)
    assert (kind, state) == ("scoring", "unfinished")
    assert "no execution of it is known" in str(reason)
    ports.lake.put(f"{BATCH}/receipt.json", b"{}")
    ports.lake.put(f"{BATCH}/results/score_shard/0001.json", b"{}")
    assert runs(ports) == [("scoring", "ended", None)]


def test_two_gap_runs_of_one_day_keep_their_own_executions(ports: Any) -> None:
    payload = {"model": MODEL, "as_of": DAY, "scope": "gap"}
    for name in (f"gap-{MODEL}-{DAY}", f"pull-{MODEL}-b"):
        ports.workflows.start("score_population", name, payload)
        ports.lake.put(f"runs/score/{MODEL}/{DAY}-v000001-gap-{name}/plan.json", b"{}")
    ports.lake.put(f"runs/score/{MODEL}/{DAY}-v000001-gap-gap-{MODEL}-{DAY}/receipt.json", b"{}")
    found = {run["executions"][0]["name"]: run["state"] for run in report_runs(ports, MODEL)["runs"]}
    assert found == {f"gap-{MODEL}-{DAY}": "ended", f"pull-{MODEL}-b": "running"}


def test_runs_of_a_model_that_is_not_there_are_a_404_that_lists_the_models(ports: Any) -> None:
    with pytest.raises(NotFoundError, match="model 'x': expected one of buy, service"):
        report_runs(ports, "x")


def test_the_models_say_who_scores_why_nobody_does_and_what_is_next(ports: Any) -> None:
    found = standing(ports)
    assert (found["champion"], found["newest"], found["training"]) == (None, None, None)
    assert found["why"] == f"model {MODEL!r}: no champion; train it, no version is registered yet"
    assert found["next"] == {"training": "2025-08-01", "scoring": "2025-08-01"}
    registered(ports, "auc_floor", "lift_top_decile")
    found = standing(ports)
    assert found["newest"] == {
        "version": 1,
        "as_of": DAY,
        "stage": "candidate",
        "failed_gates": ["auc_floor", "lift_top_decile"],
    }
    assert "version 1, trained as of 2025-07-01, is candidate because it failed: auc_floor, lift_top" in found["why"]
    crown(ports.lake, MODEL, 1)
    found = standing(ports)
    assert (found["champion"], found["why"], found["training"]["state"]) == (1, None, "ended")
    assert found["next"] == {"training": "2026-01-01", "scoring": "2025-08-01"}


def test_scores_of_a_model_without_a_champion_name_candidate_gates_and_the_training_that_has_begun(ports: Any) -> None:
    def refused(model: str = MODEL) -> str:
        with pytest.raises(NotFoundError) as error:
            Champions().get(ports, model)
        return str(error.value)

    assert refused() == (
        f"model {MODEL!r}: no champion; train it, no version is registered yet; GET /v1/runs/{MODEL} lists its runs"
    )
    registered(ports, "auc_floor")
    ports.lake.put(f"{TRAINING}/plan.json", b"{}")
    assert "is candidate because it failed: auc_floor" in refused()
    assert "has begun" not in refused()
    ports.lake.put(f"runs/train/{MODEL}/2025-08-01/plan.json", b"{}")
    assert f"; runs/train/{MODEL}/2025-08-01 has begun and registered no version yet; GET /v1/runs/" in refused()
    assert "expected a model of the pack, buy, service" in refused("x")


def test_the_api_reads_runs_from_step_functions(aws: SimpleNamespace) -> None:
    lake = composition.ports().lake
    lake.put("silver/sales/_delta_log/00000000000000000000.json", b"{}")
    start_due_runs(composition.ports(), slot=DAY, models=[MODEL])
    status, found = call("report_runs", "GET", "/v1/runs/{model}")
    assert (status, found) == (200, {"model": "buy", "runs": []})
    status, found = call("report_runs", "GET", "/v1/models")
    assert (status, [one["model"] for one in found["models"]]) == (200, ["buy", "service"])
    assert [one["training"] and one["training"]["state"] for one in found["models"]] == [None, "running"]
    states = boto3.client("stepfunctions")
    for one in states.list_executions(stateMachineArn=aws.variables["TRAIN_MACHINE_ARN"])["executions"]:
        states.stop_execution(executionArn=one["executionArn"])
    _, found = call("report_runs", "GET", "/v1/models")
    assert [one["training"] and one["training"]["reason"] for one in found["models"]] == [None, "aborted"]
