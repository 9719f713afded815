"""The two IAM roles whose signed calls approve model versions on a local stack, and credentials to sign as one."""

from __future__ import annotations

import json
from typing import Any

from botocore.credentials import Credentials

# each parameter of the template, and the name of its role here
ROLES = {"TechnicalApproverRole": "technical-approver", "BusinessApproverRole": "business-approver"}


def create(iam: Any) -> None:
    """Make the roles. Whoever runs the stack may assume them; they may call the API and nothing else."""
    anybody = _policy({"Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    calls = _policy({"Action": "execute-api:Invoke", "Resource": "*"})
    for name in ROLES.values():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=anybody)
        iam.put_role_policy(RoleName=name, PolicyName="calls", PolicyDocument=calls)


def assume(sts: Any, role: str, person: str) -> Credentials:
    """Credentials of a session in a role; the session has the person's name."""
    arn = sts.get_caller_identity()["Arn"].replace(":sts:", ":iam:").rpartition(":")[0] + f":role/{role}"
    found = sts.assume_role(RoleArn=arn, RoleSessionName=person)["Credentials"]
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
