"""Handlers called as Lambda calls them, and what their account holds afterwards."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.stack.stack import ROOT

CONTEXT = SimpleNamespace(function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r")
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def event(name: str) -> dict[str, Any]:
    """The sample event of a function."""
    found: dict[str, Any] = json.loads((ROOT / f"events/{name}.json").read_text())
    return found


def handler(name: str) -> Handler:
    """The handler of a function, imported anew."""
    spec = importlib.util.spec_from_file_location(f"handler_{name}", ROOT / f"functions/{name}/handler.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Handler = module.handler
    return found


def create_online_table(dynamodb: Any) -> None:
    """The table `online`, with the keys that template.yaml gives it."""
    dynamodb.create_table(
        TableName="online",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )


def messages(aws: SimpleNamespace, queue: str) -> list[dict[str, Any]]:
    """Up to ten messages of a queue, which is named by the variable of its address."""
    found = aws.sqs.receive_message(QueueUrl=aws.variables[queue], MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def land(aws: SimpleNamespace) -> None:
    """Put the sample file under the key that the sample event of validate_upload names."""
    body = event("validate_upload")["Records"][0]["body"]
    key = json.loads(body)["detail"]["object"]["key"]
    aws.s3.put_object(Bucket="landing", Key=key, Body=(ROOT / "events/sample.csv").read_bytes())


def lake_keys(aws: SimpleNamespace, prefix: str) -> list[str]:
    return [found["Key"] for found in aws.s3.list_objects_v2(Bucket="lake", Prefix=prefix).get("Contents", [])]


def call(name: str, method: str, resource: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """Ask a function of the API; its status and its answer."""
    asked = {**event(name), "httpMethod": method, "resource": resource, "body": json.dumps(body)}
    answer = handler(name)(asked, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])
