"""Handlers in-process with their events, over moto: a real HTTP S3, SQS, DynamoDB and Step Functions."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from propensity.domain.errors import BadInputError
from propensity.ports import OnlineScore
from propensity.runtime import composition, settings
from propensity.runtime.pack_files import pack_files
from propensity.usecases.promote_silver import BronzeFile, promote_silver
from propensity.usecases.validate_upload import Upload, validate_upload
from tests.stack.stack import ROOT

CONTEXT = SimpleNamespace(function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r")
CSV = {"Content-Type": "text/csv"}
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


def test_the_lake_is_rebuilt_from_bronze_and_re_bucketed(aws: SimpleNamespace) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    rebuild, sent = handler("rebuild_silver"), event("rebuild_silver")
    looked = rebuild({**sent, "slot": "2999-01-01T04:00:00Z"}, CONTEXT)
    assert looked == {"files": 0, "promoted": 0, "rows": 0}
    assert rebuild(sent, CONTEXT) == {"files": 1, "promoted": 1, "rows": 2}
    assert rebuild({}, CONTEXT) == {"files": 1, "promoted": 0, "rows": 0}
    answer = handler("rebucket_silver")(event("rebucket_silver"), CONTEXT)
    assert answer == {"buckets": 16, "rewritten": {"silver/sales": 2}}
    snapshot = composition.ports().tables.snapshot("silver/sales")
    assert snapshot is not None
    assert (snapshot.buckets, snapshot.rows()) == (16, 2)


@pytest.mark.parametrize("name", ["plan_training", "plan_scoring"])
def test_a_planner_refuses_a_time_that_is_none(aws: SimpleNamespace, name: str) -> None:
    asked = {"model": "buy", "as_of": "2025-07-01", "scope": "batch"}
    for wrong in ({"silver_as_of_time": "2025-07-01"}, {"silver_versions": {"sales": "3"}}):
        # as the workflow hands its own input over, and as one asks the function itself
        for sent in ({**asked, "input": wrong}, {**asked, **wrong}):
            with pytest.raises(BadInputError, match=f"{next(iter(wrong))} is"):
                handler(name)(sent, CONTEXT)


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


def newer_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a deployment had brought it: no contract version of sales is newer than this one."""
    files = dict(pack_files("automotive"))
    contract = files["contracts/sales.yaml"]
    files["contracts/sales.yaml"] = re.sub(r"(?m)^version: .*$", "version: 99.0.0", contract)
    monkeypatch.setattr(composition, "pack_files", lambda pack: files)


def test_replay_quarantine_reads_the_original_again_once(aws: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    aws.s3.put_object(Bucket="landing", Key="sales/tenant_id=dealer_01/sample.csv", Body=b"overwritten since")
    replay = handler("replay_quarantine")
    assert replay(event("replay_quarantine"), CONTEXT)["files"] == 0
    newer_contract(monkeypatch)
    first = replay(event("replay_quarantine"), CONTEXT)
    assert (first["files"], first["healed"], first["quarantine"], first["gone"]) == (1, 0, 1, [])
    assert replay(event("replay_quarantine"), CONTEXT)["files"] == 0
    assert len(lake_keys(aws, "landings/")) == 2


def test_check_quarantine_writes_a_day_once_and_one_metric(
    aws: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    assert handler("check_quarantine")(event("check_quarantine"), CONTEXT)["checked"] == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answers = [handler("check_quarantine")({"slot": tomorrow}, CONTEXT) for _ in range(2)]
    assert [len(answer["checked"]) for answer in answers] == [1, 0]
    snapshot = composition.ports().tables.snapshot("gold/quarantine")
    assert snapshot is not None
    assert snapshot.rows() == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "TenantsBreaching" in line]
    assert len(told) == 3
    for one in told:
        assert one["TenantsBreaching"] == [0.0]
        # the alarm in template.yaml names this dimension, and there is no other
        assert one["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


def test_report_landings_tells_a_tenants_day(aws: SimpleNamespace) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    aws.s3.put_object(Bucket="landing", Key="sales/tenant_id=dealer_01/next.csv", Body=b"not validated yet")
    sent = event("report_landings")
    sent["pathParameters"]["day"] = datetime.now(UTC).date().isoformat()
    answer = handler("report_landings")(sent, CONTEXT)
    assert answer["statusCode"] == 200
    [sales] = [one for one in json.loads(answer["body"])["datasets"] if one["dataset"] == "sales"]
    assert sales["received"] == 2
    assert {file["key"].rsplit("/", 1)[-1]: file["status"] for file in sales["files"]} == {
        "sample.csv": "accepted_in_part",
        "next.csv": "waiting",
    }
    [sample] = [file for file in sales["files"] if file["status"] != "waiting"]
    assert (sample["rows_in"], sample["bronze"], sample["quarantine"], sample["promoted"]) == (3, 2, 1, False)
    assert sample["why"][0]["first_lines"]
    handler("promote_silver")(
        {
            "Records": [
                {**event("promote_silver")["Records"][0], "body": json.dumps(told)}
                for told in messages(aws, "PROMOTE_QUEUE_URL")
            ]
        },
        CONTEXT,
    )
    again = json.loads(handler("report_landings")(sent, CONTEXT)["body"])
    assert [file["promoted"] for one in again["datasets"] for file in one["files"] if "promoted" in file] == [True]
    sent["pathParameters"]["day"] = "someday"
    assert handler("report_landings")(sent, CONTEXT)["statusCode"] == 400


def call(name: str, method: str, resource: str, **body: Any) -> tuple[int, dict[str, Any]]:
    asked = {**event(name), "httpMethod": method, "resource": resource, "body": json.dumps(body)}
    answer = handler(name)(asked, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def test_manage_tenants_answers_every_route(aws: SimpleNamespace) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    first = handler("manage_tenants")(event("manage_tenants"), CONTEXT)
    said = json.loads(first["body"])
    assert (first["statusCode"], said["number"], said["by"]) == (200, 1, "arn:aws:iam::000000000000:user/anna")
    one = "/v1/tenants/{tenant}"
    status, refused = call("manage_tenants", "PUT", one, state="onboarding", why="x", settings={"contact": "a@b.c"})
    assert (status, refused["error"]) == (400, "BadInputError")
    assert call("manage_tenants", "PUT", one, state="offboarded", why="left")[1]["number"] == 2
    assert call("manage_tenants", "PUT", one, state="active", why="x")[0] == 409
    assert call("manage_tenants", "POST", f"{one}/uploads", dataset="sales", file="a.csv")[0] == 409
    assert call("manage_tenants", "PUT", one, state="onboarding", why="back")[1]["state"] == "onboarding"
    shown = call("manage_tenants", "GET", one)[1]
    assert shown["datasets"]["sales"]["files"] == 1
    assert shown["missing"] == ["customers"]
    listed = call("manage_tenants", "GET", "/v1/tenants")[1]["tenants"]
    assert [(tenant["tenant_id"], tenant["state"]) for tenant in listed] == [("dealer_01", "onboarding")]
    [statement] = call("manage_tenants", "GET", f"{one}/policy")[1]["Statement"]
    assert "arn:aws:s3:::landing/sales/tenant_id=dealer_01/*" in statement["Resource"]
    sample = (ROOT / "events/sample.csv").read_text()
    report = call("manage_tenants", "POST", f"{one}/checks", dataset="sales", file="sample.csv", text=sample)[1]
    assert (report["rows_in"], report["bronze"], report["quarantine"]) == (3, 2, 1)
    [told] = messages(aws, "PROMOTE_QUEUE_URL")
    taken_back = {"content_id": told["content_id"], "why": "another dealer's"}
    held = call("manage_tenants", "POST", f"{one}/retractions", **taken_back)[1]
    assert (held["dataset"], held["by"]) == ("sales", "arn:aws:iam::000000000000:user/anna")
    assert lake_keys(aws, "retractions/") == [f"retractions/sales/{told['content_id']}.json"]
    assert call("manage_tenants", "DELETE", one)[0] == 404


def test_an_upload_link_takes_a_file_over_plain_http(aws: SimpleNamespace) -> None:
    asked = {"dataset": "sales", "file": "by hand.csv"}
    status, link = call("manage_tenants", "POST", "/v1/tenants/{tenant}/uploads", **asked)
    assert (status, link["seconds"]) == (200, 900)
    sent = urllib.request.Request(link["url"], data=b"rows", method="PUT", headers=CSV)  # noqa: S310 - our own address
    urllib.request.urlopen(sent).close()  # noqa: S310 - our own address
    assert aws.s3.get_object(Bucket="landing", Key=link["key"])["Body"].read() == b"rows"


def test_export_tenant_writes_what_its_manifest_says(aws: SimpleNamespace) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    ports = composition.ports()
    promote_silver(ports, [BronzeFile.parse(one) for one in messages(aws, "PROMOTE_QUEUE_URL")])
    answers = [handler("export_tenant")(event("export_tenant"), CONTEXT) for _ in range(2)]
    folder = "exports/offboarding-2025-07/tenant_id=dealer_01"
    assert answers[0] == answers[1]
    assert answers[0] == {"tenant_id": "dealer_01", "manifest": f"{folder}/manifest.json", "files": 1, "rows": 2}
    assert lake_keys(aws, "exports/") == [
        f"{folder}/{name}" for name in ("manifest.json", "pins.json", "sales.parquet")
    ]


def test_log_inference_keeps_each_request_once(aws: SimpleNamespace) -> None:
    log = handler("log_inference")
    for _ in range(2):
        assert log(event("log_inference"), CONTEXT) == {"batchItemFailures": []}
    snapshot = composition.ports().tables.snapshot("gold/inference_log")
    assert snapshot is not None
    assert snapshot.rows() == 2


def test_resolve_identities_commits_a_day_once_and_keeps_its_report(aws: SimpleNamespace) -> None:
    land(aws)
    validate, promote, resolve = handler("validate_upload"), handler("promote_silver"), handler("resolve_identities")
    validate(event("validate_upload"), CONTEXT)
    [told] = messages(aws, "PROMOTE_QUEUE_URL")
    [sent] = event("promote_silver")["Records"]
    promote({"Records": [{**sent, "body": json.dumps(told)}]}, CONTEXT)
    first = resolve(event("resolve_identities"), CONTEXT)
    assert (first["slot"], first["customers"], first["persons"]) == ("2025-08-01", 2, 2)
    before = lake_keys(aws, "")
    assert resolve(event("resolve_identities"), CONTEXT) == first
    assert lake_keys(aws, "") == before
    assert "identities/2025-08-01.json" in before


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
