"""What every adapter of UploadAccess promises: a link takes one key, a policy one prefix."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from propensity.adapters.s3_store import S3Store
from propensity.adapters.s3_upload_access import S3UploadAccess
from propensity.ports import ObjectStore, UploadAccess
from tests.fakes.memory import MemoryStore, MemoryUploadAccess

KEY = "sales/tenant_id=t-1/2026/1+1 = 2%20é.csv"


@dataclass
class Way:
    """An adapter, the bucket behind it, and `put`, by which a tenant follows a link; it returns the status."""

    access: UploadAccess
    store: ObjectStore
    put: Callable[[str, bytes], int]


def over_http(url: str, body: bytes) -> int:
    sent = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": ""})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(sent) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def client(**credentials: str) -> Any:
    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4")
    return boto3.client("s3", config=config, **credentials)


@pytest.fixture(params=["memory", "s3"])
def way(request: pytest.FixtureRequest) -> Way:
    if request.param == "memory":
        store = MemoryStore()
        memory = MemoryUploadAccess(store)
        return Way(memory, store, memory.put)
    request.getfixturevalue("moto")
    client().create_bucket(Bucket="landing")
    return Way(S3UploadAccess(client(), "landing", seconds=900), S3Store(client(), "landing"), over_http)


def test_what_is_put_through_a_link_stands_under_its_key(way: Way) -> None:
    link = way.access.link(KEY)
    assert link.seconds == 900
    assert list(way.store.keys("")) == []
    assert way.put(link.url, b"rows") == 200
    assert (list(way.store.keys("")), way.store.get(KEY)) == ([KEY], b"rows")


def signature(url: str) -> str:
    return url.partition("X-Amz-Signature=")[2]


def test_a_link_s_signature_is_its_key_s_alone(way: Way) -> None:
    """The bucket refuses a signature of another key; moto does not check the signatures of links."""
    keys = (KEY, KEY.replace("t-1", "t-2"), f"{KEY}x", KEY.replace("sales", "leases"))
    links = [way.access.link(key).url for key in keys]
    assert all(signature(link) for link in links)
    assert len({signature(link) for link in links}) == len(keys)


def test_a_changed_link_is_refused() -> None:
    store = MemoryStore()
    access = MemoryUploadAccess(store)
    assert access.put(access.link(KEY).url.replace("t-1", "t-2"), b"rows") == 403
    assert list(store.keys("")) == []


def test_a_link_says_how_long_it_may_be_used_and_signs_for_every_region(moto: str) -> None:
    url = S3UploadAccess(client(), "landing", seconds=60).link(KEY).url
    assert "X-Amz-Expires=60&" in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_a_resource_is_everything_below_a_prefix(way: Way) -> None:
    assert way.access.resource("sales/tenant_id=t-1/") == "arn:aws:s3:::landing/sales/tenant_id=t-1/*"


def moto_enforces(moto: str, after_calls: float) -> None:
    sent = urllib.request.Request(  # noqa: S310 - our own address
        f"{moto}/moto-api/reset-auth", data=str(after_calls).encode(), headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(sent).close()  # noqa: S310 - our own address


@pytest.fixture
def enforced(moto: str) -> Iterator[Callable[[], None]]:
    """Once it is called, moto enforces IAM policies until the test ends."""
    yield lambda: moto_enforces(moto, 0)
    moto_enforces(moto, float("inf"))


def test_who_has_a_tenant_s_policy_puts_below_its_prefixes_and_does_nothing_else(
    moto: str, enforced: Callable[[], None]
) -> None:
    client().create_bucket(Bucket="landing")
    access = S3UploadAccess(client(), "landing", seconds=900)
    statement = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": [access.resource("sales/tenant_id=t1/")]}
    iam = boto3.client("iam")
    iam.create_user(UserName="t1")
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="t1", PolicyName="uploads", PolicyDocument=document)
    key = iam.create_access_key(UserName="t1")["AccessKey"]
    enforced()
    tenant = client(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    tenant.put_object(Bucket="landing", Key="sales/tenant_id=t1/2026/a.csv", Body=b"rows")
    for other in ("sales/tenant_id=t10/a.csv", "sales/tenant_id=t1", "leases/tenant_id=t1/a.csv", "a.csv"):
        with pytest.raises(ClientError, match="AccessDenied"):
            tenant.put_object(Bucket="landing", Key=other, Body=b"rows")
    acts: tuple[Callable[[], Any], ...] = (
        lambda: tenant.get_object(Bucket="landing", Key="sales/tenant_id=t1/2026/a.csv"),
        lambda: tenant.delete_object(Bucket="landing", Key="sales/tenant_id=t1/2026/a.csv"),
        lambda: tenant.list_objects_v2(Bucket="landing"),
    )
    for act in acts:
        with pytest.raises(ClientError, match="AccessDenied"):
            act()
