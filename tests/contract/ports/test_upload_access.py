"""What every adapter of UploadAccess promises: a link takes one key, a policy one prefix."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from propensity.adapters.s3_store import S3Store
from propensity.adapters.s3_upload_access import S3UploadAccess
from propensity.ports import ObjectStore, UploadAccess
from tests.fakes.memory import MemoryStore, MemoryUploadAccess

CSV = "text/csv"
KEY = "sales/tenant_id=t-1/2026/1+1 = 2%20é.csv"


@dataclass
class Way:
    """An adapter, the bucket behind it, and `put`, by which a tenant follows a link; it returns the status."""

    access: UploadAccess
    store: ObjectStore
    put: Callable[[str, bytes, Mapping[str, str]], int]


def over_http(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    sent = urllib.request.Request(url, data=body, method="PUT", headers=dict(headers))  # noqa: S310 - our own address
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
    link = way.access.link(KEY, content_type=CSV)
    assert link.seconds == 900
    assert list(way.store.keys("")) == []
    assert way.put(link.url, b"rows", link.headers) == 200
    assert (list(way.store.keys("")), way.store.get(KEY)) == ([KEY], b"rows")


def test_a_link_takes_one_file_and_no_second_one(way: Way) -> None:
    link = way.access.link(KEY, content_type=CSV)
    assert way.put(link.url, b"rows", link.headers) == 200
    assert way.put(link.url, b"other rows", link.headers) == 412
    assert way.store.get(KEY) == b"rows"


def test_a_link_is_signed_for_its_type_its_length_and_its_single_use(moto: str) -> None:
    """moto does not check signatures; S3 refuses a PUT whose signed headers are missing or other ones."""
    access = S3UploadAccess(client(), "landing", seconds=60)
    links = [access.link(KEY, content_type=CSV), access.link(KEY, content_type=CSV, size=4)]
    assert [sorted(link.headers) for link in links] == [
        ["Content-Type", "If-None-Match"],
        ["Content-Length", "Content-Type", "If-None-Match"],
    ]
    for link in links:
        signed = parse_qs(urlsplit(link.url).query)["X-Amz-SignedHeaders"][0].split(";")
        assert set(signed) == {"host", *map(str.lower, link.headers)}


@pytest.mark.parametrize(("body", "headers"), [(b"more than four", {}), (b"rows", {"Content-Type": "text/html"})])
def test_a_file_of_another_length_or_type_is_refused(body: bytes, headers: dict[str, str]) -> None:
    store = MemoryStore()
    access = MemoryUploadAccess(store)
    link = access.link(KEY, content_type=CSV, size=4)
    assert access.put(link.url, body, {**link.headers, **headers}) == 403
    assert list(store.keys("")) == []


def signature(url: str) -> str:
    return url.partition("X-Amz-Signature=")[2]


def test_a_link_s_signature_is_its_key_s_alone(way: Way) -> None:
    """The bucket refuses a signature of another key; moto does not check the signatures of links."""
    keys = (KEY, KEY.replace("t-1", "t-2"), f"{KEY}x", KEY.replace("sales", "leases"))
    links = [way.access.link(key, content_type=CSV).url for key in keys]
    assert all(signature(link) for link in links)
    assert len({signature(link) for link in links}) == len(keys)


def test_a_changed_link_is_refused() -> None:
    store = MemoryStore()
    access = MemoryUploadAccess(store)
    link = access.link(KEY, content_type=CSV)
    assert access.put(link.url.replace("t-1", "t-2"), b"rows", link.headers) == 403
    assert list(store.keys("")) == []


def test_a_link_says_how_long_it_may_be_used_and_signs_for_every_region(moto: str) -> None:
    url = S3UploadAccess(client(), "landing", seconds=60).link(KEY, content_type=CSV).url
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
