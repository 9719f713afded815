"""One person is erased from a lake that was trained on and scored. Nothing of them stays; all of the others does."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from propensity.feedback.run_matchback import match_due
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError, RetryableError
from propensity.kernel.sql_text import text
from propensity.lake.domain.buckets import bucket_of
from propensity.operations.maintain_tables import maintain_tables
from propensity.operations.rebucket_silver import rebucket_silver
from propensity.pack.current import pack_info
from propensity.release.manage_registry import list_versions
from propensity.serving.log_inference import log_inference
from tests.kit import processes
from tests.kit.faults import Crash, light
from tests.kit.people import CUSTOMERS, TICKET, Others, Person, contents, landed, naming, newest, versions
from tests.kit.promoters import promote
from tests.kit.world import LANDING, World
from tests.stack.automotive import KNOWN_BY, Generated


@pytest.fixture(scope="module")
def made(scored: World, dealers: Generated, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Person]:
    """A lake with a champion, scores, matchback and explanations, copies of refused files, and rows in quarantine."""
    world = scored.copy(tmp_path_factory.mktemp("lake"))
    [(tenant, customer, email, phone)] = world.query(
        "select c.tenant_id, c.customer_id, min(email), min(phone) from s join c using (tenant_id, customer_id) "
        "join v using (tenant_id, customer_id) where email is not null and phone is not null "
        "group by all order by count(*) desc, 2 limit 1",
        s="gold/scores",
        c="silver/customers",
        v="silver/service_records",
    )
    person = Person(tenant, customer, email, phone)
    where = f"customers/tenant_id={tenant}"
    theirs = f"{person.id},{person.email},{person.phone},10115,true,2025-07-02,2025-07-03 00:00:00\n"
    # rows without the id, one of them with another spelling of the telephone number
    nameless = [f",{person.email.upper()},,10115,true,2025-07-02,2025-07-03 00:00:00\n"]
    nameless += [f",,0{person.phone[3:5]} {person.phone[5:8]}-{person.phone[8:]},1,,,\n", f'{person.id},"x y"@,,1,,,\n']
    others = "C9999999,other@example.net,+49301112223,10115,true,2025-07-02,2025-07-03 00:00:00\n"
    world.put(f"{where}/late.csv", (CUSTOMERS + theirs + others + "".join(nameless) + ",,,1,,,\n").encode())
    world.put(f"{where}/late.csv", (CUSTOMERS + others).encode())  # the bucket keeps the version before it
    refused = "who,mail\n" + f"{person.id},{person.email}\nC9999999,other@example.net\n"
    world.put(f"{where}/refused.csv", refused.encode())
    world.put(f"{where}/refused.csv.gz", gzip.compress(refused.encode()))
    world.put(f"{where}/damaged.csv.gz", gzip.compress(refused.encode())[:-12])
    world.put(f"{where}/refused-too.csv", b"who,mail\nC9999999,other@example.net\n")
    world.promote()
    for drop in dealers.phases["outcomes"]:
        world.load([drop])
    match_due(world, slot=KNOWN_BY.isoformat())
    score = {"customer_id": person.id, "score": 0.5, "decile": 3, "source": "champion"}
    asked = {"request_id": "r", "answered_at": "2025-07-02T00:00:00Z", "model": "service", "model_version": 1}
    log_inference(world, [{**asked, "tenant_id": tenant, "scores": [score, {**score, "customer_id": "C9999999"}]}])
    maintain_tables(world, slot="2025-07-06")
    world.put(f"service_records/tenant_id={tenant}/same.csv", b"x")
    return world, person


@pytest.fixture
def world(made: tuple[World, Person], tmp_path: Path) -> World:
    return made[0].copy(tmp_path / "lake")


@pytest.fixture(scope="module")
def person(made: tuple[World, Person]) -> Person:
    return made[1]


@pytest.fixture(scope="module")
def others(made: tuple[World, Person]) -> Others:
    world, person = made
    pinned = json.loads(world.lake.get("registry/service/versions/000001/lineage.json"))["silver"]
    last = newest(world)
    wanted = {(root, 0) for root in last} | set(last.items())
    wanted |= {(f"silver/{dataset}/", version) for dataset, version in pinned.items()}
    return Others(contents(world, person), versions(world, person, sorted(wanted)), last)


@dataclass(frozen=True)
class Erased:
    """A lake before and after an erasure, and what the erasure answered."""

    before: World
    world: World
    answer: dict[str, Any]


@pytest.fixture(scope="module")
def erased(made: tuple[World, Person], tmp_path_factory: pytest.TempPathFactory) -> Erased:
    """For the tests that only read what an undisturbed erasure left."""
    before, person = made
    world = before.copy(tmp_path_factory.mktemp("erased"))
    return Erased(before, world, person.erase(world))


def test_nothing_of_the_person_is_left_and_everything_of_the_others(
    erased: Erased, person: Person, others: Others
) -> None:
    assert len(naming(erased.before, person.names)) > 30
    assert naming(erased.world, person.names) == []
    others.stay(erased.world, person)
    assert erased.answer["proof"]["hits"] == 0
    zones = {"quarantine", "landing", "bronze", "silver-customers", "gold-scores", "gold-inference_log", "online"}
    assert zones <= set(erased.answer["zones"])
    assert any(zone.startswith("features-") for zone in erased.answer["zones"])


def test_a_pinned_version_is_read_by_three_readers_and_its_log_tells_the_truth(erased: Erased, person: Person) -> None:
    def opened(world: World) -> dict[str, DeltaTable]:
        lineage = json.loads(world.lake.get("registry/service/versions/000001/lineage.json"))
        return {
            dataset: DeltaTable(str(world.folder / f"silver/{dataset}"), version=version)
            for dataset, version in lineage["silver"].items()
        }

    [listed] = list_versions(erased.before, "service")["versions"]
    assert listed["rows_erased"] == {}
    tables = opened(erased.before)
    before = {dataset: table.count() for dataset, table in tables.items()}
    theirs = {
        dataset: pa.table(table.scan())["customer_id"].to_pylist().count(person.id) for dataset, table in tables.items()
    }
    world = erased.world
    [listed] = list_versions(world, "service")["versions"]
    assert listed["rows_erased"] == {dataset: rows for dataset, rows in theirs.items() if rows}
    assert set(listed["rows_erased"]) >= {"customers", "service_records"}
    for dataset, table in opened(world).items():
        snapshot = world.tables.snapshot(f"silver/{dataset}", version=table.version())
        assert snapshot is not None
        paths = [str(world.folder / key) for key in snapshot.file_keys()]
        assert [Path(path).stat().st_size for path in paths] == [file.size for file in snapshot.files]
        counted = {
            "delta-rs": pa.table(table.scan()).num_rows,
            "pyarrow": sum(pq.read_table(path, partitioning=None).num_rows for path in paths),
            "duckdb": duckdb.execute(f"select count(*) from read_parquet({paths})").fetchall()[0][0],
        }
        expected = before[dataset] - listed["rows_erased"].get(dataset, 0)
        assert set(counted.values()) == {expected}, dataset
    now = world.tables.snapshot("silver/customers")
    assert now is not None
    assert now.rows() == sum(pq.read_table(world.folder / key).num_rows for key in now.file_keys())


def test_after_a_rebucketing_what_names_the_person_is_found_in_their_new_bucket(world: World, person: Person) -> None:
    def bucket(count: int) -> int:
        [(found,)] = world.query(f"select {bucket_of(text(person.tenant), count)}")
        return int(found)

    elsewhere = next(count for count in range(5, 50) if bucket(count) != bucket(pack_info(world).buckets))
    rebucket_silver(world, buckets=elsewhere)
    person.erase(world)
    assert naming(world, person.names) == []


def test_the_record_names_no_person_and_a_second_call_answers_from_it(erased: Erased, person: Person) -> None:
    world, first = erased.world, erased.answer
    bronze = {key: erased.before.lake.get(key) for key in erased.before.lake.keys("bronze/")}
    theirs = {
        key: pq.read_table(io.BytesIO(body))["customer_id"].to_pylist().count(person.id) for key, body in bronze.items()
    }
    record = json.loads(world.lake.get(first["record"]))
    assert record["calls"] == [{"by": "support", "at": TICKET["at"], "why": "asked"}]
    told = {key: one["rows"] for key, one in record["objects"].items() if key.startswith("bronze/")}
    assert told == {key: rows for key, rows in theirs.items() if rows and f"tenant_id={person.tenant}/" in key}
    files = {key: world.lake.get(key) for key in world.lake.keys("")}
    assert person.erase(world, at="2026-12-01T00:00:00Z") == first
    assert {key: world.lake.get(key) for key in world.lake.keys("")} == files
    nobody = person.erase(world, customer_id="C0000000000", request="T-2")
    assert (nobody["zones"], nobody["proof"]["hits"]) == ({}, 0)


def test_who_comes_back_is_erased_again_under_the_same_reference(world: World, person: Person) -> None:
    first = person.erase(world)
    row = f"{person.id},{person.email},{person.phone},10115,true,2025-07-02,2025-07-03 00:00:00\n"
    world.put(f"customers/tenant_id={person.tenant}/again.csv", (CUSTOMERS + row).encode())
    world.promote()
    assert naming(world, person.names) != []
    second = person.erase(world, by="another")
    assert naming(world, person.names) == []
    assert second["zones"]["bronze"]["rows"] == first["zones"]["bronze"]["rows"] + 1
    assert [call["by"] for call in second["calls"]] == ["support", "another"]


def test_a_version_that_was_not_validated_is_not_touched_and_nothing_else_is(world: World, person: Person) -> None:
    key = f"customers/tenant_id={person.tenant}/new.csv"
    world.landing.put(key, (CUSTOMERS + f"{person.id},,,10115,true,2025-07-02,2025-07-03 00:00:00\n").encode())
    files = {key: world.lake.get(key) for key in world.lake.keys("")}
    versions_before = list(landed(world))
    with pytest.raises(RetryableError, match=r"new\.csv, version v\d+: names the customer and was not validated yet"):
        person.erase(world)
    assert ({key: world.lake.get(key) for key in world.lake.keys("")}, list(landed(world))) == (files, versions_before)
    info = world.landing.head(key)
    validate_upload(world, Upload(LANDING, key, info.version_id, info.etag))
    person.erase(world)
    assert naming(world, person.names) == []


def test_what_was_announced_and_not_promoted_brings_nobody_back_and_loses_nobody(world: World, person: Person) -> None:
    one = "{},{}@example.net,,10115,true,2025-07-02,2025-07-03 00:00:00\n"
    body = CUSTOMERS + one.format(person.id, "second") + one.format("C8888888", "third")
    world.put(f"customers/tenant_id={person.tenant}/waiting.csv", body.encode())
    waiting = list(world.promote_queue.messages)
    person.erase(world)
    world.promote_queue.messages[:] = waiting
    world.promote()
    assert naming(world, (*person.names, "second@example.net")) == []
    assert world.query("select count(*) from c where customer_id = 'C8888888'", c="silver/customers") == [(1,)]


def test_an_event_that_comes_again_for_what_was_erased_ends_well_and_for_what_was_lost_does_not(
    erased: Erased,
) -> None:
    world = erased.world
    one = next(one for one in landed(erased.before) if one.key.endswith("/late.csv"))
    upload = Upload(LANDING, one.key, one.version_id, one.etag)
    before = list(world.lake.keys("")), len(world.promote_queue.messages)
    assert validate_upload(world, upload)["status"] == "erased"
    assert (list(world.lake.keys("")), len(world.promote_queue.messages)) == before
    with pytest.raises(NotFoundError, match="no erasure removed it"):
        validate_upload(world, Upload(LANDING, one.key, "v999", "0" * 32))


def test_somebody_of_the_same_id_at_another_tenant_stays(world: World, person: Person) -> None:
    other = next(f"dealer_0{number}" for number in (1, 2) if person.tenant != f"dealer_0{number}")
    row = f"{person.id},{person.email},,10115,true,2025-07-02,2025-07-03 00:00:00\n"
    world.put(f"customers/tenant_id={other}/namesake.csv", (CUSTOMERS + row).encode())
    world.promote()
    person.erase(world)
    assert world.query(
        f"select tenant_id, customer_id from c where customer_id = '{person.id}'", c="silver/customers"
    ) == [(other, person.id)]
    assert [one.key for one in landed(world) if "namesake" in one.key]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"request": "Jane Doe"}, "request"),
        ({"request": "../x"}, "request"),
        ({"why": " "}, "why"),
        ({"by": None}, "by"),
        ({"at": "2026-11-21"}, "at"),
        ({"tenant_id": "a/b"}, "tenant_id"),
        ({"customer_id": None}, "customer_id"),
        ({"customer_id": 7}, "customer_id"),
    ],
)
def test_a_call_that_is_not_whole_is_refused_by_field(
    made: tuple[World, Person], wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInputError, match=f"^{field}: ") as told:
        made[1].erase(made[0], **wrong)
    assert made[1].id not in str(told.value)


def test_an_object_that_still_holds_the_person_is_named(world: World, person: Person) -> None:
    world.lake.put("runs/note.json", json.dumps({"who": person.email}).encode())
    with pytest.raises(ConflictError, match=r"1 objects still hold the subject: runs/note\.json\.") as told:
        person.erase(world)
    assert not any(name in str(told.value) for name in person.names)
    assert list(world.lake.keys("audit/erasures/")) == []
    world.lake.remove("runs/note.json")
    # the record of the second attempt has what the first one did
    assert person.erase(world)["zones"]["bronze"]["rows"] > 0


@pytest.fixture(scope="module")
def undisturbed(erased: Erased, person: Person, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The record of an erasure, and how far it burns a fuse."""
    world = erased.before.copy(tmp_path_factory.mktemp("undisturbed"))
    fuse = light(world, 1_000_000)
    answer = person.erase(world)
    assert fuse.left is not None
    return json.loads(world.lake.get(answer["record"])), 1_000_000 - fuse.left


@pytest.mark.parametrize("share", [(number + 0.5) / 5 for number in range(5)])
def test_wherever_an_erasure_dies_another_call_ends_it_with_one_true_record(
    world: World, person: Person, others: Others, undisturbed: tuple[dict[str, Any], int], share: float
) -> None:
    expected, calls = undisturbed
    whole = world.lake, world.tables
    light(world, int(share * calls))
    with pytest.raises(Crash):
        person.erase(world)
    world.lake, world.tables = whole
    answer = person.erase(world)
    record = json.loads(world.lake.get(answer["record"]))
    assert naming(world, person.names) == []
    others.stay(world, person)
    told = ("zones", "objects", "pinned", "tables")
    assert {name: record[name] for name in told} == {name: expected[name] for name in told}


def test_while_eight_promote_nobody_comes_back_and_nobody_is_lost(world: World, person: Person, tmp_path: Path) -> None:
    one = "{},{}@example.net,,10115,true,2025-07-02,2025-07-03 00:00:00\n"
    for number in range(16):
        rows = one.format(person.id, f"x{number}") + one.format(f"C88000{number:02d}", f"y{number}")
        world.put(f"customers/tenant_id={person.tenant}/busy-{number}.csv", (CUSTOMERS + rows).encode())
    messages = list(world.promote_queue.messages)
    with processes.pool(8) as pool:
        working = [
            pool.submit(promote, world.folder, "automotive", messages[start::8] + messages[start + 1 :: 8])
            for start in range(8)
        ]
        person.erase(world)
        for each in working:
            each.result()
    assert naming(world, (person.id, "x1@example.net")) == []
    people = "select count(*), count(distinct customer_id) from c where customer_id like 'C88000%'"
    assert world.query(people, c="silver/customers") == [(16, 16)]
