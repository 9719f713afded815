"""What each function must not do is refused by the template's own policies, as IAM would evaluate them.

The evaluator knows what these policies use: Allow and Deny, `*` in actions and resources, and the conditions Null,
ArnNotEquals and StringLike. Any other condition fails the test that meets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from tests.kit.rights import CALLS, LANDED, LINE, PROMOTED, RIGHTS

ROOT = Path(__file__).resolve().parents[3]
RESOURCES: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))["Resources"]
FUNCTIONS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::Serverless::Function"}
ERASERS = ("EraseCustomer", "EraseTenant")


def shown(resource: Any) -> str:
    """A resource as text: `LakeBucket/registry/*`."""
    if isinstance(resource, Mapping):
        [(kind, value)] = resource.items()
        return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", value) if kind == "Fn::Sub" else ".".join(value[:1])
    return str(resource)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(pattern: str, value: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL) is not None


def holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, keys in condition.items():
        for key, expected in keys.items():
            found = context.get(key)
            if operator == "Null":
                met = (found is None) == (expected == "true")
            elif operator == "ArnNotEquals":
                met = found not in [one["Fn::GetAtt"][0] for one in expected]
            elif operator == "Bool":
                met = context.get(key, "true") == expected  # every call of ours comes by TLS
            elif operator == "StringLike":
                met = found is not None and any(matches(one, found) for one in listed(expected))
            else:
                raise AssertionError(f"condition {operator} is not evaluated here")
            if not met:
                return False
    return True


def applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        any(matches(one, action) for one in listed(statement["Action"]))
        and any(matches(shown(one), resource) for one in listed(statement["Resource"]))
        and holds(statement.get("Condition", {}), context)
    )


def may(function: str, action: str, resource: str, *, new: bool = False) -> bool:
    """Whether a function may act on `<bucket>/<key>`; `new` says that a put has If-None-Match."""
    context = {"aws:PrincipalArn": f"{function}Role", **({"s3:if-none-match": "*"} if new else {})}
    own = [one for policy in FUNCTIONS[function]["Policies"] for one in policy["Statement"]]
    written = RESOURCES["LakeBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    buckets = [one["Fn::If"][1] if "Fn::If" in one else one for one in written]  # as a stack has them by default
    found = [one["Effect"] for one in [*own, *buckets] if applies(one, action, resource, context)]
    return "Allow" in found and "Deny" not in found


def put(function: str, key: str, *, new: bool = False) -> bool:
    return may(function, "s3:PutObject", f"LakeBucket/{key}", new=new)


ONCE = [
    "registry/buy/ledger/000001.json",
    "registry/buy/versions/000001/model.onnx",
    "registry/buy/versions/000001/mlflow/loader.py",
    "registry/buy/versions/000001/lineage.json",
    "registry/buy/claims/000001.json",
    "registry/buy/calibrations/000001/1.json",
    "registry/buy/retraining/2026-01-01.json",
    "tenants/t1/record/000001.json",
    "retractions/sales/tenant_id=t1/0123.json",
    "landings/ingest_date=2026-01-01/tenant_id=t1/sales/0123.json",
    "audit/erasures/T-1.json",
]
# the calls of the table that are of S3: the action and the object
CALLED = {
    "put a ledger line": ("s3:PutObject", f"LakeBucket/{LINE}"),
    "put a landed file": ("s3:PutObject", f"LandingBucket/{LANDED}"),
    "delete from the lake": ("s3:DeleteObject", f"LakeBucket/{PROMOTED}"),
    "delete a landed file": ("s3:DeleteObject", f"LandingBucket/{LANDED}"),
    "delete a landed version": ("s3:DeleteObjectVersion", f"LandingBucket/{LANDED}"),
    "delete a version of the lake": ("s3:DeleteObjectVersion", f"LakeBucket/{PROMOTED}"),
}


def test_the_table_of_rights_has_every_function_and_something_that_each_must_not_do() -> None:
    assert set(RIGHTS) == set(FUNCTIONS)
    for function, rights in RIGHTS.items():
        assert rights.puts or rights.gets, function
        assert rights.not_put, function
        assert rights.not_get or function in ERASERS, function
        assert rights.calls < set(CALLS), function


@pytest.mark.parametrize("function", RIGHTS)
def test_a_function_does_what_it_is_for_and_nothing_else(function: str) -> None:
    rights = RIGHTS[function]
    assert [key for key in rights.puts if not put(function, key, new=True)] == []
    assert [key for key in rights.not_put if put(function, key, new=True)] == []
    assert [key for key in rights.gets if not may(function, "s3:GetObject", f"LakeBucket/{key}")] == []
    assert [key for key in rights.not_get if may(function, "s3:GetObject", f"LakeBucket/{key}")] == []
    allowed = {call for call, (action, resource) in CALLED.items() if may(function, action, resource, new=True)}
    assert allowed == rights.calls & set(CALLED)


@pytest.mark.parametrize("key", ONCE)
def test_what_is_written_once_is_overwritten_by_no_function_but_an_erasure(key: str) -> None:
    for function in FUNCTIONS:
        assert put(function, key) == (function in ERASERS), function


@pytest.mark.parametrize("key", ONCE)
def test_what_is_written_once_is_overwritten_by_no_person_either_whatever_their_rights(key: str) -> None:
    written = RESOURCES["LakeBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    denies = [one["Fn::If"][1] for one in written if one["Fn::If"][1]["Effect"] == "Deny"]
    for condition, denied in (({}, True), ({"s3:if-none-match": "*"}, False)):
        context = {"aws:PrincipalArn": "AdministratorRole", **condition}
        found = [one for one in denies if applies(one, "s3:PutObject", f"LakeBucket/{key}", context)]
        assert bool(found) == denied


def test_an_erasure_of_a_person_reaches_whatever_can_name_them() -> None:
    for key in (
        "validation/sales/tenant_id=t1/ingest_date=2026-01-01/0.c1.0.0.json",
        "landings/ingest_date=2026-01-01/tenant_id=t1/sales/0.json",
        "quarantine/rejected/unknown/tenant_id=unknown/ingest_date=2026-01-01/0/file.csv",
        "tenants/t1/record/000001.json",
        "retractions/sales/tenant_id=t1/0.json",
        "audit/erasing-names/T-1",
        "registry/buy/golden/cases.json",
        "silver/customers/_delta_log/1.json",
    ):
        assert put("EraseCustomer", key), key
        assert may("EraseCustomer", "s3:GetObject", f"LakeBucket/{key}")
        # the lake keeps old versions, which would undo an erasure
        for action in ("s3:GetObjectVersion", "s3:DeleteObjectVersion"):
            assert may("EraseCustomer", action, f"LakeBucket/{key}"), key
    for key in (LANDED, "sales/lost.csv", "sales/tenant_id=/lost.csv"):
        assert may("EraseCustomer", "s3:DeleteObjectVersion", f"LandingBucket/{key}")
    assert not may("EraseTenant", "s3:DeleteObjectVersion", "LandingBucket/sales/lost.csv")
    for key in ("contracts/sales/1.0.0.yaml", "rebucket/a", "catalogue/a.html"):
        assert not put("EraseCustomer", key), key
