"""make watch and make why, over an account in moto: what happened from now on, to which file, and why."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.stack import down, why
from tests.stack.stack import Stack
from tests.stack.up import variable, write_environment
from tests.stack.watch import Executions, Files, Log, lines, why_of

NAMES = {"ValidateUpload": "p-ValidateUpload-1", "TrainModel": "p-train-model", "Logs": "group", "LakeBucket": "lake"}
KEY = "sales/tenant_id=dealer_01/2025 sales.csv"


class Account(Stack):
    """A stack whose resources stand in moto. `answers` are those of its API."""

    answers: dict[str, Any]

    def resources(self, *kinds: str) -> dict[str, str]:
        return NAMES

    def call(self, method: str, path: str, body: object = None, **_: Any) -> tuple[int, Any]:
        return 200, self.answers[path]


@pytest.fixture
def account(moto: str, tmp_path: Path) -> Account:
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    machine = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    create = boto3.client("stepfunctions").create_state_machine
    machines = {
        name: create(name=name, definition=machine, roleArn=role)["stateMachineArn"]
        for name in ("TrainModel", "ScorePopulation")
    }
    for bucket in ("lake", "landing"):
        boto3.client("s3").create_bucket(Bucket=bucket)
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName="group")
    logs.create_log_stream(logGroupName="group", logStreamName="s")
    outputs = {**machines, "LakeBucket": "lake", "LandingBucket": "landing", "ApiId": "api"}
    return Account(tmp_path, moto, os.getpid(), "automotive", outputs)


def say(record: dict[str, Any], at: int | None = None) -> None:
    told = {"level": "INFO", "timestamp": time.strftime("%Y-%m-%d %H:%M:%S"), "function_name": "p-ValidateUpload-1"}
    event = {
        "timestamp": at or int(time.time() * 1000),
        "message": json.dumps({**told, **record}, separators=(",", ":")),
    }
    boto3.client("logs").put_log_events(logGroupName="group", logStreamName="s", logEvents=[event])


def report(content: str, **fields: Any) -> None:
    place = f"landings/ingest_date={time.strftime('%Y-%m-%d')}/tenant_id=dealer_01/sales/{content}.json"
    counts = {"rows_in": 9, "bronze": 0, "quarantine": 0, "report_key": "validation/x.json"}
    body = {"key": KEY, "content_id": content, **counts, **fields}
    boto3.client("s3").put_object(Bucket="lake", Key=place, Body=json.dumps(body))


def shown(account: Account, since: int) -> list[str]:
    """The lines up to the first pause."""
    found: list[str] = []
    for line in lines(account, since):
        if line is None:
            return found
        found.append(str(line))
    raise AssertionError


def test_watching_begins_now_and_shows_each_line_once(account: Account) -> None:
    now = int(time.time() * 1000)
    say({"message": "done", "asked": {"slot": "2025-06-30"}}, at=now - 60_000)
    log = Log(account, now)
    assert log.new() == []
    say({"message": "done", "asked": {"slot": "2025-07-01"}}, at=now + 1)
    boto3.client("logs").put_log_events(
        logGroupName="group", logStreamName="s", logEvents=[{"timestamp": now + 2, "message": "START RequestId: 1"}]
    )
    assert [one["asked"] for one in log.new()] == [{"slot": "2025-07-01"}]
    say({"message": "done", "asked": {"slot": "2025-07-02"}}, at=now)  # it ended later, and stands before the last
    assert [one["asked"] for one in log.new()] == [{"slot": "2025-07-02"}]
    assert log.new() == []


def test_a_line_names_the_function_the_file_and_why_its_rows_were_refused(account: Account) -> None:
    now = int(time.time() * 1000)
    rules = [
        {"column": name, "rule": "required", "rows": rows} for name, rows in (("a", 1), ("b", 9), ("c", 2), (None, 3))
    ]
    report("1" * 32, status="accepted", reasons=rules)
    report("2" * 32, status="rejected", why="the file is empty")
    for content in ("1" * 32, "2" * 32, "3" * 32):
        say({"message": "worked", "answered": {"content_id": content, "dataset": "sales", "tenant_id": "dealer_01"}})
    first, second, third = shown(account, now)
    assert "ValidateUpload " in first
    assert f"file={KEY}  why=b required (9 rows), line required (3 rows), c required (2 rows), 1 rules more" in first
    assert second.endswith(f"file={KEY}  why=the file is empty")
    assert "file=" not in third  # its report is not there: the line is shown all the same


def test_an_error_a_refusal_and_the_api_have_their_line(account: Account) -> None:
    now = int(time.time() * 1000)
    say({"level": "ERROR", "message": "model m: no rows", "error": "EvidenceError", "where": ["a.py:1 f"]})
    say({"level": "WARNING", "message": "refused", "status": 404, "error": "NotFoundError"})
    asked, answered = {"httpMethod": "POST", "resource": "/v1/scores"}, {"statusCode": 404}
    say({"message": "done", "asked": asked, "answered": answered, "seconds": 0.2})
    failed, refused, answer = shown(account, now)
    assert failed.endswith("error=EvidenceError: model m: no rows")
    assert refused.endswith("status=404  error=NotFoundError: refused")
    assert answer.endswith("httpMethod=POST  resource=/v1/scores  statusCode=404  seconds=0.2")


def test_each_execution_is_shown_when_it_starts_and_when_it_ends_with_the_reason(account: Account) -> None:
    client, arn = boto3.client("stepfunctions"), account.outputs["TrainModel"]
    client.start_execution(stateMachineArn=arn, name="old")
    executions = Executions(account)
    assert executions.changed() == []
    started = client.start_execution(stateMachineArn=arn, name="train-buy-2025-07-01")["executionArn"]
    assert executions.changed() == [("TrainModel", "train-buy-2025-07-01", "RUNNING", "")]
    client.stop_execution(executionArn=started)
    assert executions.changed() == [("TrainModel", "train-buy-2025-07-01", "ABORTED", "ABORTED")]
    assert executions.changed() == []


def test_a_workflow_has_its_lines_among_those_of_functions(account: Account) -> None:
    client, arn = boto3.client("stepfunctions"), account.outputs["TrainModel"]
    following = lines(account, int(time.time() * 1000))
    assert next(following) is None
    started = client.start_execution(stateMachineArn=arn, name="train-buy-2025-08-01")["executionArn"]
    assert str(next(following)).endswith("execution=train-buy-2025-08-01  running")
    client.stop_execution(executionArn=started)
    found = [str(line) for line in (next(following), next(following)) if line is not None]
    assert found[0].endswith("execution=train-buy-2025-08-01  aborted  reason=ABORTED")


def test_the_reasons_of_a_good_file_are_empty() -> None:
    assert why_of({"status": "accepted", "reasons": []}) == ""


def test_a_file_without_a_report_has_no_name_in_its_line(account: Account) -> None:
    assert Files(account).fields({"rows": 2}, "2025-07-01") == {}


RUN = {
    "kind": "training",
    "scope": None,
    "as_of": "2025-07-01",
    "state": "failed",
    "reason": "EvidenceError: no rows",
    "run": "runs/train/buy/2025-07-01",
    "executions": [
        {
            "name": "train-buy-2025-07-01",
            "state": "failed",
            "began": "b",
            "ended": "e",
            "reason": "EvidenceError: no rows",
        }
    ],
}
EXECUTION = "train-buy-2025-07-01"
STANDING = {
    "model": "buy",
    "champion": None,
    "why": "model 'buy': no champion; train it, no version is registered yet",
    "newest": {"version": 1, "as_of": "2025-06-01", "stage": "candidate", "failed_gates": ["auc_floor"]},
    "training": RUN,
    "scoring": None,
    "next": {"training": "2025-08-01", "scoring": "2025-08-01"},
}


def test_why_follows_a_model_a_run_an_execution_and_a_file(account: Account) -> None:
    account.answers = {"/v1/models": {"models": [STANDING]}, "/v1/runs/buy": {"runs": [RUN]}}
    client, arn = boto3.client("stepfunctions"), account.outputs["TrainModel"]
    client.stop_execution(executionArn=client.start_execution(stateMachineArn=arn, name=EXECUTION)["executionArn"])
    say(
        {
            "level": "ERROR",
            "message": "no rows",
            "error": "EvidenceError",
            "asked": {"run": RUN["run"]},
            "where": ["x.py:7 f"],
        }
    )
    say({"message": "done", "asked": {"run": RUN["run"]}})
    asked = why.Asked(account)
    model = asked.why("buy")
    assert model[:2] == [STANDING["why"], "newest version 1 as of 2025-06-01: candidate; gates failed: auc_floor"]
    assert model[-1] == "no scoring so far; next on 2025-08-01"
    run = asked.why("runs/train/buy/2025-07-01")
    assert run == asked.why("train-buy-2025-07-01") == model[2:-1]
    assert run[0] == "training as of 2025-07-01 failed: EvidenceError: no rows"
    assert run[1] == f"  execution {EXECUTION} failed, began b: ABORTED"  # asked of Step Functions itself
    assert run[2].endswith("run=runs/train/buy/2025-07-01  error=EvidenceError: no rows")
    assert run[3].strip() == "x.py:7 f"
    assert len(run) == 4
    report("1" * 32, status="rejected", why="the file is empty")
    assert asked.why("2025 sales") == asked.why("1" * 32)
    assert asked.why("2025 sales")[0] == f"{KEY} rejected: the file is empty"


def test_why_of_a_name_that_nothing_has_says_what_was_expected(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.answers = {"/v1/models": {"models": [STANDING]}, "/v1/runs/buy": {"runs": []}}
    monkeypatch.setattr(why, "attach", lambda folder: account)
    monkeypatch.setattr("sys.argv", ["make why", "--folder", "x", "--what", "nobody"])
    assert why.main() == 1
    assert "nothing is called 'nobody': expected a model (buy), a run such as" in capsys.readouterr().err


def test_a_table_is_read_with_what_env_exports_and_down_removes_env(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    options = {"AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": account.endpoint}
    write_deltalake("s3://lake/silver/sales", pa.table({"n": [1, 2]}), storage_options=options)
    path = write_environment(account)
    exported = dict(line.removeprefix("export ").split("=", 1) for line in path.read_text().splitlines())
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    assert exported["VALIDATE_UPLOAD"] == "p-ValidateUpload-1"
    assert exported["TRAIN_MODEL"] == "p-train-model"
    assert DeltaTable(f"s3://{exported['LAKE']}/silver/sales").to_pyarrow_table().num_rows == 2
    monkeypatch.setattr("sys.argv", ["make down", "--folder", str(tmp_path)])
    assert down.main() == 0  # no stack runs in this folder; what it left behind goes all the same
    assert not path.exists()


def test_a_variable_is_the_templates_name_in_capitals() -> None:
    assert [variable(name) for name in ("StartDueRuns", "LakeBucket", "RankRun")] == [
        "START_DUE_RUNS",
        "LAKE_BUCKET",
        "RANK_RUN",
    ]
