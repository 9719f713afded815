"""Handlers in-process with their events, over moto: a real HTTP S3, SQS, DynamoDB and Step Functions."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest

from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import BadInputError
from propensity.lake.json_objects import dumps
from propensity.lake.session import download
from propensity.pack.current import pack_definition
from propensity.registry.versions import register
from propensity.runtime import composition, event_days
from propensity.runtime.pack_files import pack_files
from tests.kit.handlers import CONTEXT, event, handler, lake_keys, land, messages
from tests.kit.registries import crown


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


def test_the_lake_is_rebuilt_from_bronze_and_re_bucketed(aws: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_days, "now", lambda: datetime(2999, 1, 1, 5, tzinfo=UTC))
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
        # once as the workflow passes on its input, once as a person asks the function
        for sent in ({**asked, "input": wrong}, {**asked, **wrong}):
            with pytest.raises(BadInputError, match=f"{next(iter(wrong))} is"):
                handler(name)(sent, CONTEXT)


def test_start_due_runs_starts_each_run_of_a_day_once(aws: SimpleNamespace) -> None:
    composition.ports().lake.put("silver/sales/_delta_log/00000000000000000000.json", b"{}")
    tick = handler("start_due_runs")
    first = tick(event("start_due_runs"), CONTEXT)
    assert sorted(first["due"]) == ["train-buy-2025-07-01", "train-service-2025-07-01"]
    assert tick(event("start_due_runs"), CONTEXT) == first
    states, machine = boto3.client("stepfunctions"), aws.variables["TRAIN_MACHINE_ARN"]
    # they run and have no plan yet: the next day's tick finds them, and starts nothing more
    assert tick({"slot": "2025-07-02T03:00:00Z"}, CONTEXT)["due"] == first["due"]
    assert [one["name"] for one in states.list_executions(stateMachineArn=machine)["executions"]] == first["due"][::-1]
    # they end without a plan: the next tick starts them again, of the same day or of the next
    for one in states.list_executions(stateMachineArn=machine)["executions"]:
        states.stop_execution(executionArn=one["executionArn"])
    again = tick({"slot": "2025-07-02T03:00:00Z"}, CONTEXT)["due"]
    assert again == [f"{name}-2025-07-02" for name in first["due"]]
    assert tick(event("start_due_runs"), CONTEXT)["due"] == again
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 4
    assert states.list_executions(stateMachineArn=aws.variables["SCORE_MACHINE_ARN"])["executions"] == []


def test_too_little_evidence_to_recalibrate_is_the_callers_to_wait_for_and_no_fault(aws: SimpleNamespace) -> None:
    ports = composition.ports()
    definition = pack_definition(ports, "buy")
    files = {f"definition/{name}": text.encode() for name, text in definition.files().items()}
    calibration = {"method": "none", "raw_logit": [0, 1], "calibrated_logit": [0, 1], "rows": 1, "positives": 1}
    files["calibration.json"] = dumps(calibration)
    crown(ports.lake, "buy", register(ports.lake, "buy", files, {"run": "r", "as_of": "2025-07-01"}).number)
    answer = handler("recalibrate_model")(event("recalibrate_model"), CONTEXT)
    said = json.loads(answer["body"])
    assert (answer["statusCode"], said["error"]) == (409, "EvidenceError")
    assert "0 of 0 matched rows converted in 0 batches to fit on" in said["message"]


def newer_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a deployment of a contract of sales newer than any other."""
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
    aws: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    assert handler("check_quarantine")(event("check_quarantine"), CONTEXT)["checked"] == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(event_days, "now", lambda: tomorrow)
    answers = [handler("check_quarantine")({"slot": tomorrow.isoformat()}, CONTEXT) for _ in range(2)]
    assert [len(answer["checked"]) for answer in answers] == [1, 0]
    snapshot = composition.ports().tables.snapshot("gold/quarantine")
    assert snapshot is not None
    assert snapshot.rows() == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "TenantsBreaching" in line]
    assert len(told) == 3
    for one in told:
        assert one["TenantsBreaching"] == [0.0]
        # the alarm in template.yaml names this dimension, and there must be no other
        assert one["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


def test_the_inference_log_keeps_the_signer_and_takes_a_message_of_before_there_was_one(aws: SimpleNamespace) -> None:
    [record] = event("log_inference")["Records"][:1]
    old = json.loads(record["body"])
    old.pop("signer", None)
    for score in old["scores"]:
        score.pop("degraded_reason", None)
    new = {**old, "request_id": "new", "signer": "arn:anna"}
    for number, message in enumerate((old, new)):
        sent = {"Records": [{**record, "messageId": str(number), "body": json.dumps(message)}]}
        assert handler("log_inference")(sent, CONTEXT) == {"batchItemFailures": []}
    ports = composition.ports()
    snapshot = ports.tables.snapshot("gold/inference_log")
    assert snapshot is not None
    with ports.sql() as sql:
        paths = download(sql, ports.lake, snapshot.file_keys(), "log")
        signers = sql.rows(f"select distinct signer from read_parquet({paths}, union_by_name = true) order by all")
    assert signers == [("arn:anna",), (None,)]


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
    # the log writes to a stream that the first test opened, so its lines are formatted again here
    [stream] = logging.getLogger("test").handlers
    lines = [stream.format(record) for record in caplog.records if record.name == "test"]
    metrics = capsys.readouterr().out
    assert [json.loads(line)["message"] for line in lines] == ["worked", "done"]
    assert '"FilesRejected":[0.0]' in metrics
    for value in ("C0034804", "S0039721", "a lot"):
        assert value not in "".join(lines) + metrics


def test_features_are_described_weekly_and_reported_over_the_api(aws: SimpleNamespace) -> None:
    report, asked = handler("report_features"), event("report_features")
    catalogue = {**asked, "resource": "/v1/features"}
    assert report(catalogue, CONTEXT)["statusCode"] == 404
    said = handler("describe_features")(event("describe_features"), CONTEXT)
    assert (said["day"], said["feature_sets"], said["problems"]) == ("2025-07-07", 1, [])
    assert lake_keys(aws, "catalogue/") == ["catalogue/2025-07-07.html", "catalogue/2025-07-07.json"]
    answer = report(catalogue, CONTEXT)
    assert (answer["statusCode"], json.loads(answer["body"])["pack"]) == (200, "automotive")
    told = json.loads(report(asked, CONTEXT)["body"])
    assert (told["same_version"], told["changed"]) == (True, [])
    wrong = {**asked, "queryStringParameters": {"from": "buy"}}
    assert report(wrong, CONTEXT)["statusCode"] == 400
    assert report({**asked, "queryStringParameters": None}, CONTEXT)["statusCode"] == 400
