"""Lists that had a person lose their files, also where a hash alone is the person's. The record says who got them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propensity.delivery.build_export import build_export
from propensity.delivery.domain.order import export_folder
from propensity.delivery.request_export import list_exports, request_export, show_export
from propensity.erasure.erase_tenant import erase_tenant
from propensity.kernel.errors import ConflictError, RetryableError
from tests.kit.faults import Crash, light
from tests.kit.people import TICKET, Person
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY, LATER = AS_OF.isoformat(), "2025-07-20"
TENANT = "dealer_01"


def ask(world: World, key: str, day: str = DAY, **body: Any) -> str:
    asked = {"model": "service", "holdout": 0.0, "as_of": DAY, **body}
    answer = request_export(world, TENANT, asked, key=key, by="arn:anna", at=f"{day}T09:00:00+00:00", request_id=key)
    return str(answer["export"])


def pull(world: World, key: str, day: str = DAY, **body: Any) -> str:
    export = ask(world, key, day, **body)
    build_export(world, tenant=TENANT, export=export)
    return export


def files(world: World, export: str) -> dict[str, bytes]:
    prefix = f"{export_folder(TENANT, export)}/part-"
    return {key: world.lake.get(key) for key in world.lake.keys(prefix)}


def arms(world: World, export: str) -> dict[str, str]:
    return dict(world.query(f"select customer_id, arm from e where export = '{export}'", e="gold/exports"))


@pytest.fixture(scope="module")
def sent(scored: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Person, dict[str, str]]:
    """Four lists: two that have the person (one of hashes), one that takes them off again, and one without them."""
    world = scored.copy(tmp_path_factory.mktemp("sent"))
    lists = {
        "hashed": pull(world, "1", destination="google_ads"),
        "plain": pull(world, "3", destination="plain"),
        "without": pull(world, "4", destination="crm", filter={"capacity": 20}),
        "removes": pull(world, "2", LATER, destination="google_ads", filter={"capacity": 20}),
    }
    was, still, listed = (arms(world, lists[name]) for name in ("hashed", "removes", "without"))
    [(customer, email, phone), *_] = [
        row
        for row in world.query(
            "select min(customer_id), email, min(phone) from c where tenant_id = 'dealer_01' and email is not null "
            "and phone is not null group by email having count(distinct customer_id) = 1 order by 1",
            c="silver/customers",
        )
        if was.get(row[0]) == "exported" and "exported" not in (still[row[0]], listed[row[0]])
    ]
    person = Person(TENANT, customer, email, phone)
    assert hashed(person).encode() in b"".join(files(world, lists["hashed"]).values())
    return world, person, lists


def hashed(person: Person) -> str:
    """The person's address as Google's rules for hashing have it; the demo's domains are none of Google's own."""
    assert not person.email.endswith(("gmail.com", "googlemail.com"))
    return hashlib.sha256(person.email.strip().lower().encode()).hexdigest()


def assert_gone(world: World, person: Person, lists: dict[str, str], kept: dict[str, bytes]) -> None:
    names = [name.encode() for name in (person.id, person.email.lower(), hashed(person))]
    lying = {key: world.lake.get(key).lower() for key in world.lake.keys("exports/")}
    assert [key for key, body in lying.items() if any(name.lower() in body for name in names)] == []
    for name in ("hashed", "removes", "plain"):
        shown = show_export(world, TENANT, lists[name])
        assert (shown["state"], shown["files"]) == ("erased", []), name
        assert shown["receipt"]["export"] == lists[name]
        assert files(world, lists[name]) == {}
    assert show_export(world, TENANT, lists["without"])["state"] == "ready"
    assert files(world, lists["without"]) == kept
    decided = sorted(world.folder.glob(f"{export_folder(TENANT, '*')}/decided.parquet"))
    assert len(decided) == len(lists)
    for path in decided:
        assert person.id not in pq.read_table(path, partitioning=None)["customer_id"].to_pylist()
    rows = world.query(
        "select export, count(*), count(*) filter (customer_id = $id) from e group by 1".replace(
            "$id", f"'{person.id}'"
        ),
        e="gold/exports",
    )
    assert {export: mine for export, _, mine in rows} == dict.fromkeys(lists.values(), 0)
    assert {count for _, count, _ in rows} == {show_export(world, TENANT, lists["plain"])["receipt"]["population"] - 1}


def test_the_files_of_a_persons_lists_go_and_the_record_says_to_whom_they_were_sent(
    sent: tuple[World, Person, dict[str, str]], tmp_path: Path
) -> None:
    world, person, lists = sent[0].copy(tmp_path), *sent[1:]
    kept = files(world, lists["without"])
    record = person.erase(world)
    assert_gone(world, person, lists, kept)
    assert record["sent_to"] == {"google_ads": DAY, "plain": DAY}
    assert record["proof"]["hits"] == 0
    assert record["zones"]["lists"] == {"objects": 3, "rows": 0, "whole": 3}
    body = world.lake.get(record["record"]).decode()
    assert not any(name in body for name in (*person.names, hashed(person)))
    ready = {one["export"]: one["ready"] for one in list_exports(world, TENANT)["exports"]}
    assert [name for name, export in lists.items() if ready[export]] == ["without"]
    assert person.erase(world) == record
    # the destination is told nothing more: nobody here knows the person's address any longer
    after = pull(world, "5", LATER, destination="google_ads", filter={"capacity": 20})
    [part] = files(world, after).values()
    assert hashed(person) not in {row["Email"] for row in csv.DictReader(io.StringIO(part.decode()))}


def test_a_list_that_was_not_finished_loses_its_files_and_is_made_anew(
    sent: tuple[World, Person, dict[str, str]], tmp_path: Path
) -> None:
    world, person, lists = sent[0].copy(tmp_path), *sent[1:]
    (tmp_path / export_folder(TENANT, lists["hashed"]) / "receipt.json").unlink()
    record = person.erase(world)
    assert export_folder(TENANT, lists["hashed"]) in record["open_runs"]
    assert files(world, lists["hashed"]) == {}
    assert show_export(world, TENANT, lists["hashed"])["state"] == "running"


def test_a_list_whose_files_an_erasure_removed_while_it_was_made_is_made_again(scored: World, tmp_path: Path) -> None:
    world = scored.copy(tmp_path)
    export = ask(world, "1", destination="plain")
    upload = world.lake.upload_new

    def lost(key: str, path: Path) -> bool:
        done = upload(key, path)
        if "/part-" in key:
            world.lake.remove(key)
        return done

    world.lake.upload_new = lost  # type: ignore[method-assign]
    with pytest.raises(RetryableError, match="it is made again"):
        build_export(world, tenant=TENANT, export=export)
    assert show_export(world, TENANT, export)["state"] == "running"
    world.lake.upload_new = upload  # type: ignore[method-assign]
    build_export(world, tenant=TENANT, export=export)
    assert show_export(world, TENANT, export)["state"] == "ready"


@pytest.mark.parametrize("left", [150, 400, 800])
def test_an_erasure_that_dies_is_ended_by_the_next_call(
    sent: tuple[World, Person, dict[str, str]], tmp_path: Path, left: int
) -> None:
    world, person, lists = sent[0].copy(tmp_path), *sent[1:]
    kept = files(world, lists["without"])
    ports = world.lake, world.tables
    light(world, left)
    with pytest.raises(Crash):
        person.erase(world)
    world.lake, world.tables = ports
    record = person.erase(world)
    assert_gone(world, person, lists, kept)
    assert record["sent_to"] == {"google_ads": DAY, "plain": DAY}


def test_until_the_files_are_gone_it_stays_known_which_lists_have_the_person(
    sent: tuple[World, Person, dict[str, str]], tmp_path: Path
) -> None:
    world, person, lists = sent[0].copy(tmp_path), *sent[1:]
    kept = files(world, lists["without"])
    put = world.lake.put_new

    def refused(key: str, body: bytes) -> bool:
        if key.endswith("/erased.json"):
            raise ConflictError("may not be written")
        return put(key, body)

    world.lake.put_new = refused  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="lists: ConflictError: may not be written"):
        person.erase(world)
    world.lake.put_new = put  # type: ignore[method-assign]
    person.erase(world)
    assert_gone(world, person, lists, kept)


def test_a_tenant_that_leaves_is_told_to_which_destinations_its_customers_went(
    sent: tuple[World, Person, dict[str, str]], tmp_path: Path
) -> None:
    world = sent[0].copy(tmp_path)
    record = erase_tenant(world, tenant_id=TENANT, **TICKET)
    assert record["sent_to"] == {"crm": DAY, "google_ads": LATER, "plain": DAY}
    assert list(world.lake.keys(export_folder(TENANT, ""))) == []
    assert json.loads(world.lake.get(record["record"]))["sent_to"] == record["sent_to"]
