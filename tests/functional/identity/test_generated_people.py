"""The automotive pack joins the persons and households of generated dealers, whose keys are dirty."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from propensity.identity.resolve_identities import resolve_identities
from tests.kit.folder_lake import FolderLake
from tests.kit.world import World
from tests.stack.automotive import AS_OF, Generated, generate
from tests.stack.planted import identity_found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("files"), dealers=3, customers=4_000)


@pytest.fixture(scope="module")
def world(made: Generated, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World("automotive", tmp_path_factory.mktemp("lake"))
    wanted = ("customers", "vehicles", "service_records")
    world.load(drop for drop in made.phases["history"] if drop.dataset in wanted)
    resolve_identities(world, slot=AS_OF.isoformat())
    return world


@pytest.fixture(scope="module")
def found(world: World, made: Generated) -> dict[str, Any]:
    return identity_found(FolderLake(world), made.people, made.manifest)


@pytest.mark.parametrize("kind", ["email_case", "email_plus", "phone_spelling", "nickname", "umlaut"])
def test_what_is_written_otherwise_is_found(found: dict[str, Any], kind: str) -> None:
    one = found["kinds"][kind]
    assert one["planted"] >= 8
    # a customer whose row is faulty, or who has another e-mail since, is not found by it
    assert one["one_person"] >= 0.75 * one["planted"]
    assert one["one_household"] >= one["one_person"]


def test_nobody_is_found_who_shares_nothing(found: dict[str, Any]) -> None:
    assert found["kinds"]["nothing_shared"]["one_person"] == 0
    assert found["kinds"]["nothing_shared"]["planted"] > 0


def test_a_shared_number_joins_two_people_wrongly_and_the_figures_say_so(found: dict[str, Any]) -> None:
    mistaken = sum(found["kinds"][kind]["one_person"] for kind in ("recycled_phone", "couple_with_one_phone"))
    assert found["person"]["wrong"] == pytest.approx(mistaken, abs=2)
    assert found["person"]["wrong"] > 0


def test_members_who_drive_each_other_s_vehicles_are_households(found: dict[str, Any]) -> None:
    one = found["household"]
    assert one["found"] > found["person"]["found"]
    assert one["wrong"] < 0.2 * one["joined"]
    assert found["customers"] > found["persons"] > found["households"]


def test_the_dealer_s_own_number_joins_nobody(world: World) -> None:
    biggest = Counter(row[0] for row in world.query("select person_id from i", i="gold/identities")).most_common(1)
    assert biggest[0][1] <= 4
    report = json.loads(world.lake.get(f"identities/{AS_OF}.json"))
    assert report["tenants"]["dealer_01"]["refused"]["phone"]["values"] == 1
