"""A client with the role of a deployed function, and the traps of an erasure, for the roles in test_stack.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from tests.kit.people import CUSTOMERS
from tests.stack.stack import REGION, Stack

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
