"""What tenants, persons and engineers ask of the handlers, over moto: links, exports, erasure, the API."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ports import OnlineScore
from propensity.registry.versions import register
from propensity.runtime import composition
from tests.kit.handlers import CONTEXT, call, event, handler, lake_keys, land, messages
from tests.stack.stack import ROOT


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


@pytest.mark.parametrize("name", ["serve_scores", "manage_registry", "recalibrate_model"])
def test_an_api_answers_what_is_missing_or_wrong_with_a_status_and_a_message(aws: SimpleNamespace, name: str) -> None:
    function = handler(name)
    if name == "serve_scores":
        assert "has no record" in json.loads(function(event(name), CONTEXT)["body"])["message"]
        call("manage_tenants", "PUT", "/v1/tenants/{tenant}", state="active", why="signed")
        answer = function(event(name), CONTEXT)
        assert answer["statusCode"] == 404
        assert "no champion" in json.loads(answer["body"])["message"]
        wrong = {**event(name), "body": json.dumps({"model": "m", "customer_ids": []})}
        assert "customer_ids: 0 ids, expected 1 to 100" in function(wrong, CONTEXT)["body"]
        assert function({**event(name), "body": "{"}, CONTEXT)["statusCode"] == 400
    elif name == "recalibrate_model":
        answer = function(event(name), CONTEXT)
        assert (answer["statusCode"], "no champion" in answer["body"]) == (404, True)
        assert function({**event(name), "body": "{}"}, CONTEXT)["statusCode"] == 400
    else:
        listed = json.loads(function(event(name), CONTEXT)["body"])
        assert (listed["champion"], listed["versions"], listed["ledger"]) == (None, [], [])
        wrong = {**event(name), "resource": "/v1/models/{model}/promote", "body": '{"version": "2", "why": "x"}'}
        assert json.loads(function(wrong, CONTEXT)["body"])["message"].startswith("version: expected a whole number")


def test_a_404_tells_neither_bucket_nor_key(aws: SimpleNamespace) -> None:
    register(composition.ports().lake, "buy", {}, {"run": "r", "as_of": "2025-07-01"})
    answer = handler("manage_registry")(event("manage_registry"), CONTEXT)
    said = json.loads(answer["body"])
    assert (answer["statusCode"], said["message"]) == (404, "nothing is stored under this name")


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
    sent = urllib.request.Request(link["url"], data=b"rows", method="PUT", headers=link["headers"])  # noqa: S310 - our own address
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
