"""The two IAM roles whose signed calls approve model versions on a local stack, and what it takes to sign as one."""

from __future__ import annotations

import json
from typing import Any

from botocore.credentials import Credentials

# the template's parameters, and the roles' names here
ROLES = {"TechnicalApproverRole": "technical-approver", "BusinessApproverRole": "business-approver"}


def create(iam: Any) -> None:
    """Roles that whoever runs the stack may assume, and that may call the API and nothing else."""
    anybody = _policy({"Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    calls = _policy({"Action": "execute-api:Invoke", "Resource": "*"})
    for name in ROLES.values():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=anybody)
        iam.put_role_policy(RoleName=name, PolicyName="calls", PolicyDocument=calls)


def assume(sts: Any, role: str, person: str) -> Credentials:
    """Credentials of a role's session that bears the person's name."""
    arn = sts.get_caller_identity()["Arn"].replace(":sts:", ":iam:").rpartition(":")[0] + f":role/{role}"
    found = sts.assume_role(RoleArn=arn, RoleSessionName=person)["Credentials"]
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
