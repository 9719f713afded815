"""Handlers in-process with their events, over moto: a real HTTP S3, SQS, DynamoDB and Step Functions."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from propensity.ports import OnlineScore
from propensity.runtime import composition, settings
from propensity.usecases.promote_silver import BronzeFile, promote_silver
from propensity.usecases.validate_upload import Upload, validate_upload
from tests.stack.stack import ROOT

CONTEXT = SimpleNamespace(function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r")
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"events/{name}.json").read_text())
    return found


def handler(name: str) -> Handler:
    spec = importlib.util.spec_from_file_location(f"handler_{name}", ROOT / f"functions/{name}/handler.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Handler = module.handler
    return found


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The environment that template.yaml would give."""
    s3, sqs, dynamodb = boto3.client("s3"), boto3.client("sqs"), boto3.client("dynamodb")
    for bucket in ("landing", "lake"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="landing", VersioningConfiguration={"Status": "Enabled"})
    dynamodb.create_table(
        TableName="online",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    machine = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    create = boto3.client("stepfunctions").create_state_machine
    variables = {
        "PACK": "automotive",
        "LANDING_BUCKET": "landing",
        "LAKE_BUCKET": "lake",
        "ONLINE_TABLE": "online",
        "PROMOTE_QUEUE_URL": sqs.create_queue(QueueName="promotions")["QueueUrl"],
        "INFERENCE_QUEUE_URL": sqs.create_queue(QueueName="inferences")["QueueUrl"],
        "TRAIN_MACHINE_ARN": create(name="train", definition=machine, roleArn=role)["stateMachineArn"],
        "SCORE_MACHINE_ARN": create(name="score", definition=machine, roleArn=role)["stateMachineArn"],
        "POWERTOOLS_SERVICE_NAME": "test",
        "POWERTOOLS_METRICS_NAMESPACE": "Test",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    caches = (settings.settings, composition.ports, composition._client)
    for cached in caches:
        cached.cache_clear()
    yield SimpleNamespace(s3=s3, sqs=sqs, variables=variables)
    for cached in caches:
        cached.cache_clear()


def messages(aws: SimpleNamespace, queue: str) -> list[dict[str, Any]]:
    found = aws.sqs.receive_message(QueueUrl=aws.variables[queue], MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(one["Body"]) for one in found]


def land(aws: SimpleNamespace) -> None:
    key = event("validate_upload")["Records"][0]["body"]
    key = json.loads(key)["detail"]["object"]["key"]
    aws.s3.put_object(Bucket="landing", Key=key, Body=(ROOT / "events/sample.csv").read_bytes())


def lake_keys(aws: SimpleNamespace, prefix: str) -> list[str]:
    return [one["Key"] for one in aws.s3.list_objects_v2(Bucket="lake", Prefix=prefix).get("Contents", [])]


def test_validate_upload_answers_no_failures_and_tells_the_promote_queue(aws: SimpleNamespace) -> None:
    land(aws)
    assert handler("validate_upload")(event("validate_upload"), CONTEXT) == {"batchItemFailures": []}
    [told] = messages(aws, "PROMOTE_QUEUE_URL")
    assert (told["dataset"], told["tenant_id"]) == ("sales", "dealer_01")
    assert lake_keys(aws, "bronze/") == [told["bronze_key"]]
    assert len(lake_keys(aws, "quarantine/")) == 1


def test_validate_upload_gives_back_a_message_whose_object_is_gone(aws: SimpleNamespace) -> None:
    sent = event("validate_upload")
    answer = handler("validate_upload")(sent, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": sent["Records"][0]["messageId"]}]}


def test_a_second_delivery_writes_nothing_new_and_announces_again(aws: SimpleNamespace) -> None:
    land(aws)
    validate = handler("validate_upload")
    validate(event("validate_upload"), CONTEXT)
    before = lake_keys(aws, "")
    validate(event("validate_upload"), CONTEXT)
    assert lake_keys(aws, "") == before
    first, second = messages(aws, "PROMOTE_QUEUE_URL")
    assert first == second


def test_promote_silver_takes_no_good_message_down_with_a_bad_one(aws: SimpleNamespace) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    [told] = messages(aws, "PROMOTE_QUEUE_URL")
    sent = event("promote_silver")
    [missing] = sent["Records"]
    good = {**missing, "messageId": "good", "body": json.dumps(told)}
    broken = {**missing, "messageId": "broken", "body": "{}"}
    answer = handler("promote_silver")({"Records": [missing, good, broken]}, CONTEXT)
    failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
    assert failed == {missing["messageId"], "broken"}
    snapshot = composition.ports().tables.snapshot("silver/sales")
    assert snapshot is not None
    assert snapshot.rows() == 2


def test_a_table_in_s3_keeps_what_was_promoted_once(aws: SimpleNamespace) -> None:
    land(aws)
    ports = composition.ports()
    key = "sales/tenant_id=dealer_01/sample.csv"
    validate_upload(
        ports, Upload("landing", key, None, aws.s3.head_object(Bucket="landing", Key=key)["ETag"].strip('"'))
    )
    files = [BronzeFile.parse(one) for one in messages(aws, "PROMOTE_QUEUE_URL")]
    assert [promote_silver(ports, files)["rows"] for _ in range(3)] == [2, 0, 0]


def test_a_person_and_then_their_tenant_are_erased_from_buckets_and_tables(
    aws: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    [told] = messages(aws, "PROMOTE_QUEUE_URL")
    promote_silver(composition.ports(), [BronzeFile.parse(told)])
    sent = event("erase_customer")
    score = OnlineScore(
        sent["tenant_id"], sent["customer_id"], "buy", 1, 0.5, 50, 5, "2025-07-01", "r", "f", b"\0\0\0\0", ()
    )
    composition.ports().online.put_many([score, replace(score, customer_id="C0000007")])
    caplog.clear()
    answer = handler("erase_customer")(sent, CONTEXT)
    assert (answer["proof"]["hits"], answer["zones"]["online"]["rows"]) == (0, 1)
    assert answer["zones"]["landing"] == {"objects": 1, "rows": 0, "whole": 1}
    assert aws.s3.list_object_versions(Bucket="landing").get("Versions", []) == []
    snapshot = composition.ports().tables.snapshot("silver/sales")
    assert snapshot is not None
    assert snapshot.rows() == 1
    assert lake_keys(aws, "audit/erasures/") == [answer["record"]] == ["audit/erasures/TICKET-1042.json"]
    # the event of the landed file comes again
    assert handler("validate_upload")(event("validate_upload"), CONTEXT) == {"batchItemFailures": []}
    assert all(sent["customer_id"] not in record.getMessage() + str(vars(record)) for record in caplog.records)
    answer = handler("erase_tenant")(event("erase_tenant"), CONTEXT)
    assert answer["proof"]["hits"] == 0
    assert [key for key in lake_keys(aws, "") if "tenant_id=" in key] == []
    assert aws.s3.list_object_versions(Bucket="landing").get("Versions", []) == []
    assert composition.ports().online.get_many(score.tenant_id, ["C0000007"], "buy", 1) == []


def test_start_due_runs_starts_each_run_of_a_day_once(aws: SimpleNamespace) -> None:
    tick = handler("start_due_runs")
    first = tick(event("start_due_runs"), CONTEXT)
    assert sorted(first["due"]) == ["train-buy-2025-07-01", "train-service-2025-07-01"]
    assert tick(event("start_due_runs"), CONTEXT) == first
    # the runs have not come to a plan yet: the next day's tick asks for the same ones, and starts nothing new
    assert tick({"slot": "2025-07-02T03:00:00Z"}, CONTEXT)["due"] == first["due"]
    executions = boto3.client("stepfunctions").list_executions
    trains = executions(stateMachineArn=aws.variables["TRAIN_MACHINE_ARN"])["executions"]
    assert sorted(one["name"] for one in trains) == sorted(first["due"])
    assert executions(stateMachineArn=aws.variables["SCORE_MACHINE_ARN"])["executions"] == []


@pytest.mark.parametrize("name", ["serve_scores", "manage_registry"])
def test_an_api_answers_what_is_missing_or_wrong_with_a_status_and_a_message(aws: SimpleNamespace, name: str) -> None:
    function = handler(name)
    if name == "serve_scores":
        answer = function(event(name), CONTEXT)
        assert answer["statusCode"] == 404
        assert "no champion" in json.loads(answer["body"])["message"]
        wrong = {**event(name), "body": json.dumps({"model": "m", "tenant_id": "t", "customer_ids": []})}
        assert "customer_ids: 0 ids, expected 1 to 100" in function(wrong, CONTEXT)["body"]
        assert function({**event(name), "body": "{"}, CONTEXT)["statusCode"] == 400
    else:
        listed = json.loads(function(event(name), CONTEXT)["body"])
        assert (listed["champion"], listed["versions"], listed["ledger"]) == (None, [], [])
        wrong = {**event(name), "resource": "/v1/models/{model}/promote", "body": '{"version": "2", "why": "x"}'}
        assert json.loads(function(wrong, CONTEXT)["body"])["message"].startswith("version: expected a whole number")


def test_log_inference_keeps_each_request_once(aws: SimpleNamespace) -> None:
    log = handler("log_inference")
    for _ in range(2):
        assert log(event("log_inference"), CONTEXT) == {"batchItemFailures": []}
    snapshot = composition.ports().tables.snapshot("gold/inference_log")
    assert snapshot is not None
    assert snapshot.rows() == 2


def test_a_log_line_names_counts_and_never_a_value(
    aws: SimpleNamespace, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    # the log's own stream was opened by the first test, so its lines are formatted again here
    [stream] = logging.getLogger("test").handlers
    lines = [stream.format(record) for record in caplog.records if record.name == "test"]
    metrics = capsys.readouterr().out
    assert [json.loads(line)["message"] for line in lines] == ["worked", "done"]
    assert '"FilesRejected":[0.0]' in metrics
    for value in ("C0034804", "S0039721", "a lot"):
        assert value not in "".join(lines) + metrics
