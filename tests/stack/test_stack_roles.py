"""The roles of the deployed functions refuse what a function must not do, and let an erasure end.

The name of this file puts it behind test_stack.py, which counts the rows of every dataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.kit.people import CUSTOMERS
from tests.stack.stack import REGION, Stack
from tests.unit.project.test_policies import WRITES

TENANT, ID, MAIL = "erased_01", "C7000001", "anna+cars@example.net"
GOOD = f"{ID},{MAIL},+49301112223,10115,true,2025-07-02,2025-07-03 00:00:00\n"
OTHER = "C7000002,other@example.net,+49301112224,10115,true,2025-07-02,2025-07-03 00:00:00\n"
# traps: a spelling, a name in the file's own name, in a member's name, in a folder's name, and a file of no tenant
FILES = {
    f"customers/tenant_id={TENANT}/good.csv": CUSTOMERS + GOOD + OTHER,
    f"customers/tenant_id={TENANT}/spaces.csv": CUSTOMERS + ",,+49\xa030\xa0111\xa022\xa023,1,true,x,y\n" + OTHER,
    f"customers/tenant_id={TENANT}/escapes.jsonl": '{"customer_id": "", "email": "anna\\u002Bcars@example.net"}\n',
    f"customers/tenant_id={TENANT}/{MAIL}.csv": CUSTOMERS + OTHER.replace("C7000002", "C7000003"),
    f"customers/tenant_id={TENANT}/members.jsonl": f'{{"{MAIL}": 1}}\n',
    f"{MAIL}/lost.csv": CUSTOMERS + GOOD,
}


@contextmanager
def acting_as(stack: Stack, function: str) -> Iterator[Any]:
    """An S3 client with a function's role. Inside this block the role trusts people too."""
    iam = stack.client("iam")
    configuration = stack.functions.get_function_configuration(FunctionName=stack.names()[function])
    name = configuration["Role"].rsplit("/", 1)[1]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    people = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    opened = {**trust, "Statement": [*trust["Statement"], people]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(opened))
    try:
        lent = stack.client("sts").assume_role(RoleArn=configuration["Role"], RoleSessionName="test")["Credentials"]
        session = boto3.Session(lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"], REGION)
        yield session.client("s3", endpoint_url=stack.endpoint)
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))


@pytest.mark.parametrize("function", WRITES)
def test_a_role_writes_its_functions_results_and_nothing_else(stack: Stack, function: str) -> None:
    own, others = WRITES[function]
    bucket = stack.outputs["LakeBucket"]
    with acting_as(stack, function) as client:
        for key in others:
            with pytest.raises(ClientError, match="AccessDenied"):
                client.put_object(Bucket=bucket, Key=f"{key}.trial", Body=b"", IfNoneMatch="*")
        for key in own:
            # a put on condition of another object's etag writes nothing: it is refused, but not denied
            with pytest.raises(ClientError, match=r"NoSuchKey|PreconditionFailed|404"):
                client.put_object(Bucket=bucket, Key=key, Body=b"", IfMatch='"0"')


def test_an_erasure_ends_under_its_own_role_whatever_names_the_person(stack: Stack) -> None:
    landing, lake = stack.outputs["LandingBucket"], stack.outputs["LakeBucket"]
    for key, body in FILES.items():
        stack.s3.put_object(Bucket=landing, Key=key, Body=body.encode())

    def reports() -> list[str]:
        listed = versions(stack, lake, "validation/")
        return [key for key, _ in listed if f"tenant_id={TENANT}/" in key or "tenant_id=unknown/" in key]

    stack.wait(lambda: len(reports()) >= len(FILES), 300, "reports of the files")
    ticket = {"request": "STACK-1", "why": "asked", "by": "test", "at": "2026-11-21T09:00:00Z"}
    answer = stack.invoke("EraseCustomer", {"tenant_id": TENANT, "customer_id": ID, **ticket})
    assert (answer["failed"], answer["proof"]["hits"]) == ({}, 0)
    assert {"landing", "quarantine", "reports", "versions"} <= set(answer["zones"])
    for bucket in (landing, lake):
        for key, version in versions(stack, bucket, ""):
            body = stack.s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
            assert MAIL not in key
            for said in (MAIL, "anna\\u002Bcars", "0\xa0111\xa022"):
                assert said.encode() not in body, key


def versions(stack: Stack, bucket: str, prefix: str) -> list[tuple[str, str]]:
    """Every version of every object: key and version id."""
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [(one["Key"], one["VersionId"]) for page in pages for one in page.get("Versions", ())]
