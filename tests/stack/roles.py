"""The roles of deployed functions, tried on the stack, and the traps of an erasure, for test_stack.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.kit.people import CUSTOMERS
from tests.kit.rights import LANDED, LINE, PROMOTED, Rights
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
def acting_as(stack: Stack, function: str) -> Iterator[Callable[[str], Any]]:
    """Makes clients with a function's role. Inside this block the role trusts people too."""
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
        yield lambda service: session.client(service, endpoint_url=stack.endpoint)
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))


def calls_as(stack: Stack, client: Callable[[str], Any]) -> Mapping[str, Callable[[], object]]:
    """The calls of rights.CALLS. None changes anything, even where it is allowed. Both machines must have run."""
    lake, landing, s3, sqs = stack.outputs["LakeBucket"], stack.outputs["LandingBucket"], client("s3"), client("sqs")

    def start(machine: str) -> object:
        # the name of an execution that is there, with another input: it is refused, but not denied
        arn = stack.outputs[machine]
        there = stack.step_functions.list_executions(stateMachineArn=arn)["executions"][0]["name"]
        return client("stepfunctions").start_execution(stateMachineArn=arn, name=there, input='"another"')

    def send(queue: str) -> object:
        return sqs.send_message(QueueUrl=stack.outputs[queue], MessageBody="")  # no message may be empty

    return {
        # a put on condition of another object's etag writes nothing: it is refused, but not denied
        "put a ledger line": lambda: s3.put_object(Bucket=lake, Key=LINE, Body=b"", IfMatch='"0"'),
        "put a landed file": lambda: s3.put_object(Bucket=landing, Key=LANDED, Body=b"", IfMatch='"0"'),
        "delete from the lake": lambda: s3.delete_object(Bucket=lake, Key=f"{PROMOTED}.trial"),
        "delete a landed file": lambda: s3.delete_object(Bucket=landing, Key=LANDED),
        "delete a landed version": lambda: s3.delete_object(Bucket=landing, Key=LANDED, VersionId="none"),
        "delete a version of the lake": lambda: s3.delete_object(Bucket=lake, Key=PROMOTED, VersionId="none"),
        "announce a Bronze file": lambda: send("PromoteQueue"),
        "log an answer": lambda: send("InferenceQueue"),
        "put into the online table": lambda: client("dynamodb").put_item(
            TableName=stack.outputs["OnlineTable"],
            Item={"pk": {"S": "trial"}, "sk": {"S": "trial"}},
            ConditionExpression="attribute_exists(pk)",
        ),
        "start a training": lambda: start("TrainModel"),
        "start a scoring": lambda: start("ScorePopulation"),
        "invoke an erasure": lambda: client("lambda").invoke(
            FunctionName=stack.names()["EraseTenant"], Payload=b"{}", InvocationType="DryRun"
        ),
    }


def denied(call: Callable[[], object]) -> bool:
    """Whether a call is denied to who makes it. It may fail in another way, which is no denial."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    return False


def overstepped(stack: Stack, function: str, rights: Rights) -> tuple[list[str], int]:
    """What the role of a function may do or not do against the table, and how many calls were refused."""
    lake = stack.outputs["LakeBucket"]
    with acting_as(stack, function) as client:
        s3 = client("s3")
        tried: dict[str, tuple[bool, Callable[[], object]]] = {}
        for keys, may in ((rights.puts, True), (rights.not_put, False)):
            put = partial(s3.put_object, Bucket=lake, Body=b"", IfMatch='"0"')
            tried |= {f"put {key}": (may, partial(put, Key=key)) for key in keys}
        for keys, may in ((rights.gets, True), (rights.not_get, False)):
            tried |= {f"get {key}": (may, partial(s3.get_object, Bucket=lake, Key=key)) for key in keys}
        tried |= {name: (name in rights.calls, call) for name, call in calls_as(stack, client).items()}
        found = {what: denied(call) for what, (_, call) in tried.items()}
    wrong = [what for what, (may, _) in tried.items() if found[what] == may]
    return wrong, sum(found.values())
