"""The deployed stack, once: what only real events, roles, layers and state machines can show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.stack.automotive import AS_OF, Generated, generate
from tests.stack.lake import Lake, rows_in_file
from tests.stack.scenarios import Drop
from tests.stack.stack import ROOT, Stack, StackError, running

WAIT = 300  # seconds; a guard against a hang, not an expectation
DAY = AS_OF.isoformat()
NEXT = date(AS_OF.year, AS_OF.month + 1, 1).isoformat()
MODEL = "service"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running("automotive", ROOT / "build/stack/test") as found:
        yield found


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("dealers"), dealers=3, customers=2_000)


def put(stack: Stack, lake: Lake, drops: list[Drop]) -> None:
    before = len(lake.keys("validation/"))
    for drop in drops:
        stack.s3.upload_file(str(drop.path), stack.outputs["LandingBucket"], drop.key)
    stack.wait(lambda: len(lake.keys("validation/")) >= before + len(drops), WAIT, "a report per file")
    stack.wait_for_queues(WAIT)


@pytest.fixture(scope="module")
def lake(stack: Stack, generated: Generated, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """History in Silver by events alone."""
    found = Lake(stack, tmp_path_factory.mktemp("lake"))
    put(stack, found, generated.phases["history"])
    return found


def started(stack: Stack, machine: str) -> list[str]:
    listed = stack.step_functions.list_executions(stateMachineArn=stack.outputs[machine])["executions"]
    return sorted(one["name"] for one in listed)


@pytest.fixture(scope="module")
def scored(stack: Stack, lake: Lake) -> dict[str, Any]:
    """One model trained and scored by the daily tick; the batch's receipt."""
    stack.invoke("StartDueRuns", {"slot": DAY, "models": [MODEL]})
    stack.wait_for_execution("TrainModel", f"train-{MODEL}-{DAY}", WAIT)
    return stack.wait_for_execution("ScorePopulation", f"score-{MODEL}-{DAY}-batch", WAIT)


def test_every_row_of_every_file_is_in_bronze_or_in_quarantine(lake: Lake, generated: Generated) -> None:
    rows_in: Counter[str] = Counter()
    for drop in generated.phases["history"]:
        rows_in[drop.dataset] += rows_in_file(drop.path)
    for dataset, rows in rows_in.items():
        counts = lake.counts(dataset)
        assert counts["bronze"] + counts["quarantine"] == rows, dataset
        assert 0 < counts["silver"] <= counts["bronze"], dataset


def test_the_same_file_again_under_another_version_changes_no_view(
    stack: Stack, lake: Lake, generated: Generated
) -> None:
    [again, *_] = [drop for drop in generated.phases["history"] if drop.dataset == "service_records"]
    before = lake.counts("service_records")["silver"]
    stack.s3.upload_file(str(again.path), stack.outputs["LandingBucket"], again.key)
    put(stack, lake, [Drop(again.path, f"{again.key.rpartition('/')[0]}/again-{again.path.name}")])
    assert lake.counts("service_records")["silver"] == before


def test_a_key_with_a_space_and_a_plus_is_read_as_it_is_written(stack: Stack, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    put(stack, lake, [Drop(path, "sales/tenant_id=dealer_01/1+1 = 2%20.csv")])
    [report] = [lake.json(key) for key in lake.keys("validation/sales/") if key.endswith(".rejected.json")]
    assert report["status"] == "rejected"
    assert "1+1 = 2%20.csv" in report["key"]
    assert "empty" in report["why"]


def test_a_batch_scores_everyone_once_and_a_second_tick_starts_nothing(
    stack: Stack, lake: Lake, scored: dict[str, Any]
) -> None:
    rows = lake.query("select count(*), count(distinct (tenant_id, customer_id)) from s", s=gold(lake))
    assert rows == [(scored["population"], scored["population"])]
    before = [started(stack, machine) for machine in ("TrainModel", "ScorePopulation")]
    stack.invoke("StartDueRuns", {"slot": DAY, "models": [MODEL]})
    assert [started(stack, machine) for machine in ("TrainModel", "ScorePopulation")] == before


def gold(lake: Lake) -> list[Path]:
    return lake.table_files("gold/scores")


def test_on_demand_answers_are_the_batch_s_and_are_logged(stack: Stack, lake: Lake, scored: dict[str, Any]) -> None:
    rows = lake.query(
        "select customer_id, score, decile from s where tenant_id = 'dealer_01' order by customer_id limit 3",
        s=gold(lake),
    )
    asked = {"model": MODEL, "tenant_id": "dealer_01", "customer_ids": [*(row[0] for row in rows), "nobody"]}
    status, answer = stack.call("POST", "/v1/scores", asked)
    assert status == 200, answer
    for (customer, score, decile), found in zip(rows, answer["scores"], strict=False):
        assert (found["customer_id"], found["decile"], found["as_of"]) == (customer, decile, DAY)
        assert found["score"] == pytest.approx(score, abs=1e-6)
        assert found["source"] == "champion"
    assert answer["scores"][3]["source"] == "fallback"
    stack.wait(lambda: bool(lake.keys("gold/inference_log/_delta_log/")), WAIT, "the inference log")
    logged = lake.query("select count(*) from l", l=lake.table_files("gold/inference_log"))
    assert logged == [(4,)]


def test_an_unsigned_call_is_refused(stack: Stack) -> None:
    status, _ = stack.call("POST", "/v1/scores", {"model": MODEL}, signed=False)
    assert status == 403


def test_a_rollback_is_followed_without_a_deploy(stack: Stack, lake: Lake, scored: dict[str, Any]) -> None:
    stack.run("TrainModel", "again", {"model": MODEL, "as_of": NEXT, "then_score": False}, WAIT)
    status, listed = stack.call("GET", f"/v1/models/{MODEL}")
    assert (status, listed["champion"], len(listed["versions"])) == (200, 2, 2)
    status, moved = stack.call("POST", f"/v1/models/{MODEL}/rollback", {"why": "the list looked wrong"})
    assert (status, moved["version"], moved["previous"]) == (200, 1, 2)
    asked = {"model": MODEL, "tenant_id": "dealer_01", "customer_ids": ["nobody"]}

    def follows() -> bool:
        status, answer = stack.call("POST", "/v1/scores", asked)
        assert status == 200
        return bool(answer["model_version"] == 1)

    stack.wait(follows, 30, "the champion's cache of ten seconds to end")
    receipt = stack.run("ScorePopulation", "next", {"model": MODEL, "as_of": NEXT, "scope": "batch"}, WAIT)
    assert receipt["version"] == 1
    status, refused = stack.call("POST", f"/v1/models/{MODEL}/promote", {"version": 9, "why": "x"})
    assert status == 404
    assert "9" in refused["message"]


def test_a_function_may_do_what_its_policy_says_and_nothing_else(stack: Stack, scored: dict[str, Any]) -> None:
    """The roles are enforced here: the tick loses its policy and fails, and has it back and works."""
    iam = stack.client("iam")
    configuration = stack.functions.get_function_configuration(FunctionName=stack.outputs["StartDueRuns"])
    role = configuration["Role"].rsplit("/", 1)[1]
    [name, *_] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName=name)
    with stack.expecting_errors(), pytest.raises(StackError, match="AccessDenied"):
        stack.invoke("StartDueRuns", {"slot": DAY, "models": [MODEL]})
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    assert stack.invoke("StartDueRuns", {"slot": DAY, "models": [MODEL]})["due"] == [f"train-{MODEL}-{DAY}"]


def test_nobody_without_credentials_reads_the_lake(stack: Stack, lake: Lake) -> None:
    anonymous = boto3.client("s3", endpoint_url=stack.endpoint, config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError, match="AccessDenied"):
        anonymous.list_objects_v2(Bucket=stack.outputs["LakeBucket"])
