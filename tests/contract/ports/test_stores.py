"""What every adapter of ObjectStore promises."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from propensity.adapters.s3_store import S3Store
from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.ports import ObjectStore
from tests.fakes.folder_store import FolderStore
from tests.fakes.memory import MemoryStore

KINDS = ("memory", "folder", "s3")
AWKWARD = "a/tenant_id=x+y/1+1 = 2%20é.csv"


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "folder":
        yield FolderStore(tmp_path / "store")
    else:
        request.getfixturevalue("moto")
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        yield S3Store(client, "bucket")


@pytest.mark.parametrize("key", ["plain", AWKWARD])
def test_what_was_put_is_read_back(store: ObjectStore, key: str, tmp_path: Path) -> None:
    store.put(key, b"one")
    info = store.head(key)
    assert (info.key, info.size, store.get(key)) == (key, 3, b"one")
    assert info.last_modified.tzinfo is not None
    assert store.download(key, tmp_path / "deep/er/file") == info
    assert (tmp_path / "deep/er/file").read_bytes() == b"one"


def test_equal_bytes_have_equal_etags_and_others_have_others(store: ObjectStore) -> None:
    for key, body in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        store.put(key, body)
    assert store.head("a").etag == store.head("b").etag != store.head("c").etag


def test_put_replaces_and_put_new_never_does(store: ObjectStore, tmp_path: Path) -> None:
    store.put("k", b"one")
    store.put("k", b"two")
    (tmp_path / "f").write_bytes(b"three")
    assert not store.put_new("k", b"three")
    assert not store.upload_new("k", tmp_path / "f")
    assert store.get("k") == b"two"
    assert store.put_new("n", b"")
    assert store.upload_new("m", tmp_path / "f")
    assert (store.get("n"), store.get("m")) == (b"", b"three")


def test_of_many_that_put_new_at_once_one_wins(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.put_new("k", b"%d" % number), range(24)))
    assert won.count(True) == 1
    assert store.get("k") == b"%d" % won.index(True)


def test_a_listing_is_whole_and_in_order(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "50")  # S3 lists 1,000 on a page
    wanted = [f"p/{number:04d}" for number in range(110)]
    for key in [*wanted, "q", "pa/1"]:
        store.put(key, b"")
    assert list(store.keys("p/")) == wanted
    assert list(store.keys("p/000")) == wanted[:10]
    assert list(store.keys("nothing/")) == []


def test_what_is_missing_is_named(store: ObjectStore, tmp_path: Path) -> None:
    store.put("there", b"")
    for act in (store.head, store.get, lambda key: store.download(key, tmp_path / "x")):
        with pytest.raises(NotFoundError, match="gone"):
            act("gone")
    with pytest.raises(NotFoundError, match="there"):
        store.get("there", "no-such-version")


@pytest.mark.parametrize("store", ["memory", "s3"], indirect=True)  # a folder keeps one version
def test_a_version_is_read_after_it_was_overwritten(store: ObjectStore, tmp_path: Path) -> None:
    store.put("k", b"one")
    first = store.head("k").version_id
    store.put("k", b"two")
    assert first is not None
    assert store.get("k", first) == b"one"
    assert store.head("k", first).size == 3
    assert store.download("k", tmp_path / "x", first).version_id == first
    assert (tmp_path / "x").read_bytes() == b"one"


def test_a_listing_tells_what_head_tells(store: ObjectStore) -> None:
    for key, body in (("p/0", b"one"), (f"p/{AWKWARD}", b"three"), ("q", b"")):
        store.put(key, body)
    told = list(store.infos("p/"))
    assert [(info.key, info.size) for info in told] == [("p/0", 3), (f"p/{AWKWARD}", 5)]
    for info in told:
        head = store.head(info.key)
        assert (info.etag, info.last_modified) == (head.etag, head.last_modified)


def test_what_is_removed_is_gone_and_may_be_put_anew(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"three")
    store.put("k", b"one")
    store.replace("k", tmp_path / "f")
    assert store.get("k") == b"three"
    store.put("k2", b"")
    store.remove("k")
    store.remove("k")
    assert (list(store.keys("k")), [info.key for info in store.versions("k")]) == (["k2"], ["k2"])
    with pytest.raises(NotFoundError, match="k"):
        store.head("k")
    assert store.put_new("k", b"two")


@pytest.mark.parametrize("store", ["memory", "s3"], indirect=True)  # a folder keeps one version
def test_every_version_is_listed_and_can_be_removed_alone(store: ObjectStore) -> None:
    for body in (b"1", b"22", b"333"):
        store.put("k", body)
    by_size = {info.size: info for info in store.versions("k")}
    assert sorted(by_size) == [1, 2, 3]
    store.remove("k", by_size[2].version_id)
    store.remove("k", by_size[3].version_id)
    assert [info.size for info in store.versions("k")] == [1]
    assert store.get("k") == b"1"
    store.remove("k")
    assert list(store.versions("k")) == []


def test_only_what_was_read_is_replaced(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"three")
    store.put("k", b"one")
    read = store.head("k").etag
    store.put("k", b"two")
    with pytest.raises(RetryableError, match="in the meantime"):
        store.replace("k", tmp_path / "f", etag=read)
    assert store.get("k") == b"two"
    store.replace("k", tmp_path / "f", etag=store.head("k").etag)
    assert store.get("k") == b"three"
    with pytest.raises(NotFoundError):
        store.replace("none", tmp_path / "f", etag=read)
