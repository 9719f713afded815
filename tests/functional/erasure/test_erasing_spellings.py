"""A person goes in every spelling; rows of no tenant go too; reports stay readable; a failing zone keeps no other."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propensity.erasure import landing, proof
from propensity.erasure.sealed_names import keep, recall
from propensity.erasure.texts import NameFinder
from propensity.erasure.zones import LandedVersions, ParquetFiles, TextFiles
from propensity.ingest import validate_upload as validating
from propensity.ingest.domain.file_report import parse_report
from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import ConflictError, ForbiddenError, RetryableError
from propensity.kernel.tenant import Subject
from propensity.ports import ObjectInfo
from tests.fakes.folder_store import FolderStore
from tests.kit.drops import PACK, column, contract
from tests.kit.people import CUSTOMERS, Person
from tests.kit.workbooks import workbook
from tests.kit.world import LANDING, World

ANNA = Person("d1", "C0000001", "anna+cars@example.net", "+49301112223")
OTHER = "C0000002,other@example.net,+49301112224,10115,true,2025-07-02,2025-07-03 00:00:00\n"
GOOD = CUSTOMERS + f"{ANNA.id},{ANNA.email},{ANNA.phone},10115,true,2025-07-02,2025-07-03 00:00:00\n" + OTHER
ROW = ",,{phone},10115,true,2025-07-02,2025-07-03 00:00:00\n"
WHERE = "customers/tenant_id=d1"


def line(email: str) -> str:
    values = f'"customer_id": "", "email": "{email}", "phone": "", "postcode": "10115", "consent": "true"'
    return f'{{{values}, "valid_from": "2025-07-02", "recorded_at": "2025-07-03 00:00:00"}}\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World("automotive", tmp_path / "lake")
    world.put(f"{WHERE}/good.csv", GOOD.encode())
    return world


def stored(world: World) -> Iterator[str]:
    """All that is stored, as text; rows of Parquet files as their values."""
    for key in world.lake.keys(""):
        yield key
        if key.endswith(".parquet") and "/rejected/" not in key:
            for row in pq.read_table(io.BytesIO(world.lake.get(key))).to_pylist():
                yield "\n".join(map(str, row.values()))
        else:
            yield world.lake.get(key).decode("latin-1")
    for info in world.landing.versions(""):
        yield info.key
        yield world.landing.get(info.key, info.version_id).decode("latin-1")


def left(world: World, *said: str) -> list[str]:
    return [text for text in stored(world) if any(one in text for one in said)]


SAID = {
    ".NET's escapes": ("dotnet.jsonl", line("anna\\u002Bcars@example.net").encode(), "anna\\u002Bcars"),
    "no-break spaces": ("nbsp.csv", ROW.format(phone="+49\xa030\xa0111\xa022\xa023").encode(), "111\xa022\xa023"),
    "thin spaces": ("thin.csv", ROW.format(phone="030\u2009111\u202f22\u200923").encode(), "22\u200923"),
    "no-break hyphens": ("hyphen.csv", ROW.format(phone="+49\u2011301\u2011112\u2011223").encode(), "112\u2011223"),
    "minus signs": ("minus.csv", ROW.format(phone="030\u2212111\u22122223").encode(), "111\u22122223"),
    "HTML": ("html.csv", f",anna&#43;cars@example.net{ROW.format(phone='')[1:]}".encode(), "anna&#43;cars"),
}


@pytest.mark.parametrize("kind", SAID)
def test_a_row_goes_from_quarantine_and_landing_however_it_is_spelt(world: World, kind: str) -> None:
    name, row, said = SAID[kind]
    others = line("third@example.net").encode() if name.endswith("jsonl") else b",third@example.net,,1,true,x,y\n"
    world.put(f"{WHERE}/{name}", (b"" if name.endswith("jsonl") else CUSTOMERS.encode()) + row + others)
    world.promote()
    written = said.encode().decode("latin-1")
    assert left(world, said, written)
    assert ANNA.erase(world)["proof"]["hits"] == 0
    assert left(world, said, written, *ANNA.names) == []
    assert left(world, "third@example.net")


@pytest.mark.parametrize("kind", SAID)
def test_the_proof_finds_a_spelling_that_the_search_does_not(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, row, _ = SAID[kind]
    world.put(f"{WHERE}/{name}", (b"" if name.endswith("jsonl") else CUSTOMERS.encode()) + row)
    world.promote()
    monkeypatch.setattr(NameFinder, "within_text", lambda *_: False)
    monkeypatch.setattr(NameFinder, "within", lambda *_: False)
    for zone in (TextFiles, LandedVersions, ParquetFiles):
        monkeypatch.setattr(zone, "find", lambda _: {})
    with pytest.raises(ConflictError, match="objects still hold the subject") as told:
        ANNA.erase(world)
    assert "landing" in str(told.value)


@pytest.mark.parametrize(
    ("customer", "file", "body"),
    [
        ("K/2017/0042", "php.jsonl", b'{"doc_id":"D2","customer":"K\\/2017\\/0042","n":"many","day":"2026-03-01"}\n'),
        ("Müller-2017", "latin1.csv", "doc_id,customer,n,day\nD2,Müller-2017,1,2026-03-01\n".encode("latin-1")),
        ("Müller-2017", "utf16.csv", "doc_id,customer,n,day\nD2,Müller-2017,1,2026-03-01\n".encode("utf-16")),
    ],
)
def test_an_id_goes_however_its_file_writes_it(tmp_path: Path, customer: str, file: str, body: bytes) -> None:
    world = World("retail", tmp_path / "lake")
    world.pack = "shop"
    columns = column("doc_id", primaryKey=True), column("customer"), column("n", "integer")
    world.pack_files = {
        "pack.yaml": PACK.replace("orders", "docs"),
        "contracts/docs.yaml": contract("docs", "event", *columns),
    }
    good = f'{{"doc_id":"D1","customer":"{customer}","n":1,"day":"2026-03-01"}}\n'
    world.put("docs/tenant_id=t1/good.jsonl", good.encode())
    world.put(f"docs/tenant_id=t1/{file}", body)
    world.promote()
    Person("t1", customer, "", "").erase(world)
    assert left(world, customer, "\\/2017", "\\xfcller", "M\xfcller") == []


@pytest.mark.parametrize("key", ["customers/lost.csv", "customers/tenant_id=/lost.csv", "c/tenant_id=d 1/lost.csv"])
def test_rows_of_no_tenant_are_searched_and_go(world: World, key: str) -> None:
    world.put(key, GOOD.encode())
    world.promote()
    ANNA.erase(world)
    assert left(world, *ANNA.names) == []
    assert left(world, "rejected", "other@example.net")


def test_rows_of_another_tenants_key_are_named_as_not_searched(world: World) -> None:
    world.put("customers/tenant_id=dl/good.csv", GOOD.encode())
    world.promote()
    answer = ANNA.erase(world)
    assert answer["proof"]["not_searched"]["dl"] > 2
    assert json.loads(world.lake.get(answer["record"]))["proof"]["not_searched"] == answer["proof"]["not_searched"]


def test_a_files_name_goes_from_reports_rows_and_record(world: World) -> None:
    """The rows of others in such a file stay, and reports can still be read."""
    world.put(f"{WHERE}/{ANNA.email}.csv", (CUSTOMERS + OTHER.replace("0002", "0003") + ",,,x,,,\n").encode())
    world.put(f"{WHERE}/{ANNA.email}/refused.csv", b"who\nx\n")
    world.put(f"{WHERE}/refused {ANNA.email}.csv", b"who\nx\n")
    world.promote()
    answer = ANNA.erase(world)
    assert left(world, *ANNA.names) == []
    assert answer["zones"]["reports"]["objects"] >= 2
    for key in [*world.lake.keys("validation/"), *world.lake.keys("landings/")]:
        parse_report(world.lake.get(key))
    stored_before = sorted(world.lake.keys(""))
    with world.edited("contracts/customers.yaml") as newer:
        newer["version"] = "1.9.9"
    replayed = replay_quarantine(world, dataset="customers")
    assert (len(replayed["gone"]), replayed["files"]) == (3, 0)
    assert sorted(world.lake.keys("")) == stored_before
    found = world.query("select customer_id, _source_key from c order by 1", c="silver/customers")
    assert [customer for customer, _ in found] == ["C0000002", "C0000003"]
    assert found[1][1].startswith(f"{WHERE}/erased-")


class Refusing(FolderStore):
    """A lake whose role may not write below a prefix."""

    def __init__(self, folder: Path, prefix: str) -> None:
        super().__init__(folder)
        self.prefix = prefix

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        if self.prefix and key.startswith(self.prefix):
            raise ForbiddenError(f"{key}: this role may not write here")
        super().replace(key, path, etag=etag)


@pytest.mark.parametrize("prefix", ["quarantine/", "bronze/", "silver/", "landings/"])
def test_a_zone_that_fails_keeps_no_other_and_a_second_call_goes_on(world: World, tmp_path: Path, prefix: str) -> None:
    name, row, said = SAID["no-break spaces"]
    world.put(f"{WHERE}/{name}", CUSTOMERS.encode() + row)
    world.put(f"{WHERE}/{ANNA.email}.csv", (CUSTOMERS + OTHER).encode())
    world.promote()
    refusing = Refusing(tmp_path / "lake", prefix)
    world.lake = refusing
    with pytest.raises(ConflictError, match=r"zones failed: .*ForbiddenError") as told:
        ANNA.erase(world)
    assert not any(name in str(told.value) for name in ANNA.names)
    record = json.loads(world.lake.get("audit/erasures/T-1.json"))
    assert record["failed"]
    assert not any(name in json.dumps(record) for name in ANNA.names)
    for key in world.lake.keys(""):
        if not key.startswith((prefix, "silver/" if prefix == "bronze/" else prefix)) and key.endswith(".json"):
            assert not any(name in world.lake.get(key).decode() for name in ANNA.names), key
    assert list(world.landing.versions("")) == []
    refusing.prefix = ""
    answer = ANNA.erase(world)
    assert left(world, said, said.encode().decode("latin-1"), *ANNA.names) == []
    assert (answer["failed"], answer["last"], list(world.lake.keys("audit/erasing-names/"))) == ({}, None, [])


def test_a_failed_call_counts_every_row_once(world: World, tmp_path: Path) -> None:
    world.promote()
    whole = world.copy(tmp_path / "whole")
    expected = ANNA.erase(whole)["zones"]
    refusing = Refusing(tmp_path / "lake", "bronze/")
    world.lake = refusing
    with pytest.raises(ConflictError):
        ANNA.erase(world)
    refusing.prefix = ""
    assert ANNA.erase(world)["zones"] == expected


def test_the_sealed_names_are_read_with_the_customers_id_only(world: World) -> None:
    subject = Subject("d1", ANNA.id)
    keep(world.lake, subject, "T-9", ANNA.names)
    assert recall(world.lake, subject, "T-9") == ANNA.names
    assert recall(world.lake, Subject("d1", "C0000002"), "T-9") == ()
    assert ANNA.email.encode() not in world.lake.get("audit/erasing-names/T-9")


class Versioned(FolderStore):
    """A lake that keeps what was overwritten or removed, as the bucket of the template does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.old: dict[tuple[str, str], bytes] = {}

    def put(self, key: str, body: bytes) -> None:
        self._keep(key)
        super().put(key, body)

    def remove(self, key: str, version_id: str | None = None) -> None:
        if version_id is None:
            self.old = {one: body for one, body in self.old.items() if one[0] != key}
            super().remove(key)
        self.old.pop((key, str(version_id)), None)

    def hide(self, key: str) -> None:
        """Remove as a vacuum does, with a delete marker."""
        self._keep(key)
        super().remove(key)

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        if version_id is None:
            return super().download(key, path)
        path.write_bytes(self.old[key, version_id])
        return ObjectInfo(key, version_id, len(self.old[key, version_id]), datetime(2026, 1, 1, tzinfo=UTC), version_id)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        yield from self.infos(prefix)
        for (key, version), body in list(self.old.items()):
            yield ObjectInfo(key, version, len(body), datetime(2026, 1, 1, tzinfo=UTC), version)

    def _keep(self, key: str) -> None:
        if key in set(self.keys(key)):
            self.old[key, f"v{len(self.old)}"] = self.get(key)


def test_an_erasure_is_not_undone_by_the_old_versions_of_the_lakes_objects(world: World, tmp_path: Path) -> None:
    world.promote()
    kept = Versioned(tmp_path / "lake")
    world.lake = kept
    bronze = next(iter(world.lake.keys("bronze/")))
    kept.put("bronze/customers/tenant_id=d1/gone.parquet", world.lake.get(bronze))
    kept.put("bronze/customers/tenant_id=d2/gone.parquet", world.lake.get(bronze))
    for key in [key for key in world.lake.keys("bronze/") if key.endswith("gone.parquet")]:
        kept.hide(key)
    answer = ANNA.erase(world)
    assert answer["zones"]["versions"]["objects"] >= 2
    # another tenant's version stays
    assert [key for key, _ in kept.old if not key.startswith(("audit/", "silver/"))] == [
        "bronze/customers/tenant_id=d2/gone.parquet"
    ]


def test_a_file_that_is_not_validated_yet_is_named_without_the_persons_name(world: World) -> None:
    world.promote()
    world.landing.put(f"{WHERE}/{ANNA.email}.csv", GOOD.encode())
    with pytest.raises(RetryableError, match="names the customer and was not validated yet") as told:
        ANNA.erase(world)
    assert ANNA.email not in str(told.value)
    info: Any = world.landing.head(f"{WHERE}/{ANNA.email}.csv")
    validate_upload(world, Upload(LANDING, info.key, info.version_id, info.etag))
    ANNA.erase(world)
    assert left(world, *ANNA.names) == []


@pytest.mark.parametrize(
    "name",
    ["_SUCCESS", "_temporary/anna+cars@example.net.csv", ".anna+cars@example.net.csv.crc", "anna+cars@example.net.crc"],
)
def test_a_marker_that_names_the_person_goes_and_keeps_no_erasure_waiting(world: World, name: str) -> None:
    """Nobody validates markers of Hadoop and Spark, so an erasure that waited for their report would wait for ever."""
    world.put(f"{WHERE}/{name}", b"anna+cars@example.net")
    world.promote()

    ANNA.erase(world)

    assert left(world, *ANNA.names) == []
    assert left(world, "other@example.net")


def test_a_file_over_the_budget_of_bytes_is_neither_searched_nor_lost_and_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copy of it was kept, so that other people's rows would be lost with it."""
    for module in (landing, proof, validating):
        monkeypatch.setattr(module, "MAX_BYTES", len(GOOD))
    world.put(f"{WHERE}/large.csv", (GOOD + OTHER).encode())
    world.promote()
    [large] = [version for version in world.landing.versions("") if version.key.endswith("large.csv")]

    answer = ANNA.erase(world)

    assert answer["proof"]["too_large"] == (f"landing {WHERE}/large.csv version {large.version_id}",)
    assert world.landing.get(large.key, large.version_id) == (GOOD + OTHER).encode()
    world.landing.remove(large.key, large.version_id)
    assert left(world, *ANNA.names) == []


def test_a_file_over_the_budget_that_is_named_after_the_person_is_told_once_all_else_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (landing, proof, validating):
        monkeypatch.setattr(module, "MAX_BYTES", len(GOOD))
    world.put(f"{WHERE}/{ANNA.email}.csv", (GOOD + OTHER).encode())
    world.promote()

    with pytest.raises(ConflictError, match=f"1 objects still hold the subject: landing {WHERE}/erased-") as told:
        ANNA.erase(world)

    assert ANNA.email not in str(told.value)
    world.landing.remove(f"{WHERE}/{ANNA.email}.csv")
    ANNA.erase(world)
    assert left(world, *ANNA.names) == []


def test_a_person_of_a_workbook_goes_and_the_others_stay(world: World) -> None:
    rows = [one.split(",") for one in GOOD.splitlines()]
    world.put(f"{WHERE}/people.xlsx", workbook(*rows))
    world.put(f"{WHERE}/refused.xlsx", workbook(["nothing"], [ANNA.email]))
    world.promote()

    ANNA.erase(world)

    assert left(world, *ANNA.names) == []
    assert not [key for key in world.landing.keys("") if key.endswith(".xlsx")]
    assert left(world, "other@example.net")
