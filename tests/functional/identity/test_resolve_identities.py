"""Which customers are one person, which persons one household, and how that changes over time."""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.identity.domain.identity_rules import rollout_arm
from propensity.identity.domain.queries import birth_id
from propensity.identity.identities import current_identities
from propensity.identity.resolve_identities import resolve_identities
from propensity.kernel.errors import ConflictError, PackError
from propensity.operations.maintain_tables import maintain_tables
from propensity.runtime.pack_files import pack_files, pack_names
from tests.kit.club import PACK, RULES, Club, groups, sets
from tests.kit.faults import Crash
from tests.kit.world import World

JAN, FEB, MAR, APR = "2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30"


def test_an_email_a_name_at_a_postcode_and_a_chain_of_them_make_a_person() -> None:
    club = Club()
    club.people(
        "a,Ann@Web.de,,,,2025-01-01",
        "b,ann@web.de,,Zoë O'Brien,10 115,2025-01-01",
        "c,,,zoe obrien,10115,2025-01-01",
        "d,,,Zoe Obrien,20095,2025-01-01",
        "e,,,,10115,2025-01-01",
    )
    club.resolve(JAN)
    assert groups(club.current(), 0) == sets("a b c", "d", "e")
    assert groups(club.current(), 1) == sets("a b c", "d", "e")


def test_a_household_is_made_of_whole_persons() -> None:
    club = Club()
    club.people("a,x@web.de,1,,,2025-01-01", "b,x@web.de,,,,2025-01-01", "c,,1,,,2025-01-01", "d,,2,,,2025-01-01")
    club.resolve(JAN)
    assert groups(club.current(), 0) == sets("a b", "c", "d")
    assert groups(club.current(), 1) == sets("a b c", "d")


def test_a_car_joins_a_household_where_it_was_brought_lately_and_the_postcode_is_one() -> None:
    club = Club()
    club.people(*(f"{member},,,,{code},2024-01-01" for member, code in zip("abcde", "11112", strict=True)))
    club.put("cars", "P1,a,2024-01-01")
    visits = (
        "1,P1,b,2025-01-15",
        "2,P1,c,2024-06-01",
        "3,P1,e,2025-01-15",
        "4,P2,d,2025-01-15",
        "5,P1,guest,2025-01-20",
    )
    club.put("visits", *visits)
    club.resolve(JAN)
    # c came too long ago, e lives elsewhere, d brought another car; the guest has no postcode, and an identity
    assert groups(club.current(), 1) == sets("a b", "c", "d", "e", "guest")


def test_placeholders_and_values_that_too_many_share_join_nobody_and_are_reported() -> None:
    club = Club()
    club.people(
        *(f"n{number},NoReply@web.de,,Mia Mai,00000,2025-01-01" for number in range(2)),
        *(f"m{number},desk@web.de,,,,2025-01-01" for number in range(4)),
        *(f"k{number},us@web.de,,,,2025-01-01" for number in range(3)),
    )
    totals = club.resolve(JAN)
    assert groups(club.current(), 0) == sets("n0", "n1", "m0", "m1", "m2", "m3", "k0 k1 k2")
    report = json.loads(club.store.get(f"identities/{JAN}.json"))
    assert {"slot": JAN, **report["totals"]} == totals
    assert totals == {
        "slot": JAN,
        "customers": 9,
        "persons": 7,
        "households": 7,
        "new": 9,
        "rows": 9,
        "person_merges": 0,
        "person_splits": 0,
        "household_merges": 0,
        "household_splits": 0,
    }
    assert report["tenants"]["t1"]["refused"] == {"email": {"values": 1, "customers": 4}}
    assert report["tenants"]["t1"]["joined"] == {"email": {"values": 1, "customers": 3}}


def test_customers_of_different_tenants_are_never_joined() -> None:
    club = Club()
    for tenant in ("t1", "t2"):
        club.people("a,x@web.de,1,Mia,1,2025-01-01", "b,x@web.de,,,,2025-01-01", tenant=tenant)
    club.resolve(JAN)
    assert groups(club.current("t1"), 0) == groups(club.current("t2"), 0) == sets("a b")
    ids = [{one for both in club.current(tenant).values() for one in both} for tenant in ("t1", "t2")]
    assert [len(found) for found in ids] == [2, 2]
    assert not ids[0] & ids[1]


def test_a_long_chain_is_one_household() -> None:
    members = [f"m{number:03d}" for number in range(200)]
    random.Random(3).shuffle(members)  # noqa: S311 - an order, not a secret
    club = Club()
    # neighbours in the chain share a car, and all have one postcode
    club.people(*(f"{member},,,,1,2024-01-01" for member in members))
    club.put("cars", *(f"P{number},{member},2024-01-01" for number, member in enumerate(members)))
    visits = [f"{number},P{number},{members[number + 1]},2025-01-10" for number in range(199)]
    club.put("visits", *visits)
    club.resolve(JAN)
    assert groups(club.current(), 1) == {frozenset(members)}
    assert groups(club.current(), 0) == {frozenset([member]) for member in members}


def test_a_merge_keeps_the_older_id_and_records_it_and_a_split_gives_the_other_back() -> None:
    club = Club()
    club.people("b,b@web.de,,,,2025-01-01")
    club.resolve(JAN)
    club.people("a,a@web.de,,,,2025-02-01")
    club.resolve(FEB)
    before = club.current()
    club.people("a,b@web.de,,,,2025-03-01")
    merged = club.resolve(MAR)
    assert (merged["person_merges"], merged["household_merges"], merged["rows"]) == (1, 1, 2)
    assert club.current() == {"a": before["b"], "b": before["b"]}
    [(previous, household)] = club.rows(
        "previous_person_id, previous_household_id", order="as_of desc, customer_id limit 1"
    )
    assert (previous, household) == before["a"]
    club.people("a,a@web.de,,,,2025-04-01")
    split = club.resolve(APR)
    assert (split["person_splits"], split["household_splits"], split["person_merges"]) == (1, 1, 0)
    assert club.current() == before


def test_of_a_split_person_the_larger_part_keeps_the_id() -> None:
    club = Club()
    club.people(*(f"{member},x@web.de,,,,2025-01-01" for member in "abc"))
    club.resolve(JAN)
    [person] = {person for person, _ in club.current().values()}
    # the id was made from a's number, so a needs a new one
    club.people("a,,,,,2025-02-01")
    club.resolve(FEB)
    found = {member: ids[0] for member, ids in club.current().items()}
    assert found["b"] == found["c"] == person != found["a"]
    club.people("b,,,,,2025-03-01")
    club.resolve(MAR)
    found = {member: ids[0] for member, ids in club.current().items()}
    assert (found["b"], len(set(found.values()))) == (person, 3)


def test_of_equal_parts_the_one_with_who_came_first_keeps_the_id() -> None:
    club = Club()
    club.people("b,x@web.de,,,,2025-01-01")
    club.resolve(JAN)
    first = club.current()["b"]
    club.people("a,x@web.de,,,,2025-02-01")
    club.resolve(FEB)
    assert club.current()["a"] == first
    club.people("a,,,,,2025-03-01")
    club.resolve(MAR)
    assert club.current()["b"] == first != club.current()["a"]


def test_only_who_changed_gets_a_row_and_the_evidence_says_why_without_the_value() -> None:
    club = Club()
    club.people("a,x@web.de,77,Mia,1,2025-01-01", "b,,,,,2025-01-01")
    club.resolve(JAN)
    assert club.resolve(FEB)["rows"] == 0
    club.people("c,x@web.de,77,Mia,1,2025-03-01")
    assert club.resolve(MAR)["rows"] == 2
    found = club.rows("customer_id, as_of, evidence, person_id", order="as_of, customer_id")
    assert [(member, day.isoformat()) for member, day, _, _ in found] == [
        ("a", JAN),
        ("b", JAN),
        ("a", MAR),
        ("c", MAR),
    ]
    assert [evidence for _, _, evidence, _ in found[:2]] == [[], []]
    assert found[2][2] == found[3][2]
    rules = [one.split(":")[0] for one in found[2][2]]
    assert rules == ["email", "name_postcode", "phone"]
    content = b"".join(body for key, body in club.lake_content().items() if "identities" in key)
    assert b"web.de" not in content
    assert b"Mia" not in content


def test_a_call_again_changes_nothing_and_days_go_in_order() -> None:
    club = Club()
    club.people("a,x@web.de,,,,2025-01-01", "b,x@web.de,,,,2025-02-01")
    first = club.resolve(JAN)
    club.resolve(FEB)
    # a late row about a day that was resolved changes nothing any more
    club.people("c,x@web.de,,,,2025-01-02")
    before = club.lake_content()
    assert club.resolve(JAN) == first
    assert club.resolve(f"{FEB}T02:00:00Z")["customers"] == 2
    assert club.lake_content() == before
    with pytest.raises(ConflictError, match="resolved as of 2025-02-28 already"):
        club.resolve("2025-02-10")


def changing_club() -> Club:
    """Two slots are resolved, and the third will have a merge and a split."""
    club = Club()
    club.people("a,x@web.de,1,,,2025-01-01", "b,x@web.de,,,,2025-01-01", "c,,1,,,2025-01-01", "d,,,,,2025-01-01")
    club.resolve(JAN)
    club.people("b,y@web.de,,,,2025-02-01", "d,y@web.de,,,,2025-02-01")
    return club


def outcome(club: Club) -> tuple[object, ...]:
    return club.rows(), club.store.get(f"identities/{FEB}.json"), club.store.get(f"identities/{FEB}/plan.json")


def test_wherever_it_dies_nothing_half_is_visible_and_a_call_again_ends_the_same() -> None:
    undisturbed = changing_club()
    undisturbed.fuse.left = 1_000_000
    undisturbed.resolve(FEB)
    calls = 1_000_000 - undisturbed.fuse.left
    undisturbed.fuse.left = None
    assert calls > 20
    # after each call, which is the same as before the next one
    for left in range(1, calls, 2):
        club = changing_club()
        before = club.rows()
        club.fuse.left = left
        with pytest.raises(Crash):
            club.resolve(FEB)
        club.fuse.left = None
        assert club.rows() in (before, undisturbed.rows())
        planned = any(key.endswith("/plan.json") and str(FEB) in key for key in club.store.keys("identities/"))
        if planned:
            # a file that arrives in between does not take part
            club.people("e,y@web.de,,,,2025-01-01")
        club.resolve(FEB)
        assert outcome(club) == outcome(undisturbed), left


def test_a_lake_with_nothing_in_it_and_a_pack_without_rules_have_nothing_to_resolve() -> None:
    club = Club()
    assert club.resolve(JAN) == {"slot": JAN, "customers": 0, "rows": 0}
    assert club.current() == {}
    del club.pack_files["identity.yaml"]
    before = club.lake_content()
    assert club.resolve(FEB) == {"slot": FEB, "rows": 0, "rules": 0}
    assert club.lake_content() == before


def test_with_rows_spread_by_customer_those_of_several_buckets_are_joined() -> None:
    club = Club(pack=PACK.format(key="entity"))
    club.people(*(f"m{number},,5,,,2025-01-01" for number in range(20)))
    club.resolve(JAN)
    assert len(groups(club.current(), 1)) == 1


def test_who_was_never_resolved_has_the_id_that_it_would_be_born_with() -> None:
    club = Club()
    club.people("a,,,,,2025-01-01")
    club.resolve(JAN)
    with DuckDbSql() as sql:
        [born] = sql.rows(f"select {birth_id('person', "'t1'", "'a'")}, {birth_id('household', "'t1'", "'a'")}")
    assert born == club.current()["a"]


def test_identities_as_of_an_earlier_day_can_be_asked_for() -> None:
    club = Club()
    club.people("a,x@web.de,,,,2025-01-01", "b,y@web.de,,,,2025-01-01")
    club.resolve(JAN)
    club.people("b,x@web.de,,,,2025-02-01")
    club.resolve(FEB)
    with DuckDbSql() as sql:
        current_identities(club.ports, sql, "then", before=date(2025, 2, 1))
        current_identities(club.ports, sql, "now")
        query = "select count(distinct person_id) from "
        assert (sql.rows(f'{query} "then"'), sql.rows(f"{query} now")) == ([(2,)], [(1,)])


@pytest.mark.parametrize("pack", [pack for pack in pack_names() if "identity.yaml" in pack_files(pack)])
def test_every_packs_rules_fit_its_contracts_and_run(pack: str, tmp_path: Path) -> None:
    assert resolve_identities(World(pack, tmp_path), slot=JAN)["customers"] == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("people.email", "people.mail", r"club/identity.yaml: person\.0\.parts\.0\.columns: people\.mail: .* 'mail'"),
        ("cars.plate", "bikes.plate", r"household\.1\.parts\.0\.columns: bikes\.plate: pack.yaml lists no dataset"),
        ("people.phone", "phone", r"household\.phone\.parts\.item 1\.columns\.item 1"),
        ("no-?reply@.*", "(no", r"person\.email\.parts\.item 1\.ignore: .*pattern 1"),
        ("no-?reply@.*", "(?=no).*", r"person rule email: .* RE2"),
        ("max_customers: 300", "max_customers: 1", r"household\.phone\.max_customers"),
        ("name: phone", "name: email", r"rules email: a name stands for one rule"),
        ("[cars.plate, visits.plate]", "[cars.plate]", r"household\.1\.parts\.0\.within_days: none"),
        ("person:", "persons:", r"club/identity.yaml: persons"),
    ],
)
def test_wrong_rules_are_told_by_file_and_field(old: str, new: str, told: str) -> None:
    assert old in RULES
    club = Club(identity=RULES.replace(old, new, 1))
    club.people("a,x@web.de,,,,2025-01-01")
    with pytest.raises(PackError, match=told):
        club.resolve(JAN)


def automotive(folder: Path) -> World:
    world = World("automotive", folder)
    header = "customer_id,email,phone,postcode,consent,valid_from,recorded_at"
    people = [
        "C001,ann@web.de,+493055501,10115,true,2025-01-01,2025-01-01",
        "C002,ANN@web.de,+493055502,10115,true,2025-01-01,2025-01-01",
        "C003,bob@web.de,+493055502,10115,true,2025-01-01,2025-01-01",
        "C004,cid@web.de,+490000000000,10115,true,2025-01-01,2025-01-01",
        "C005,dora@web.de,+490000000000,20095,true,2025-01-01,2025-01-01",
        "C006,eve@web.de,,10 115,true,2025-01-01,2025-01-01",
        "C007,late@web.de,+493055501,10115,true,2025-01-01,2025-02-02",
    ]
    vehicles = ["vin,customer_id,make,model_year,first_registered_on,valid_from,recorded_at"]
    vehicles.append("WAUZZZ8K000000001,C004,AUDI,2020,2020-01-01,2025-01-01,2025-01-01")
    visits = [
        "service_id,revision,customer_id,vin,visited_at,visit_kind,odometer_km,amount,declined_amount,recorded_at"
    ]
    for number, customer in enumerate(("C005", "C006")):
        visits.append(f"V{number:03d},1,{customer},WAUZZZ8K000000001,2025-01-10,repair,900,10,,2025-01-11")
    for dataset, lines in (("customers", [header, *people]), ("vehicles", vehicles), ("service_records", visits)):
        report = world.put(f"{dataset}/tenant_id=dealer_01/a.csv", "".join(f"{line}\n" for line in lines).encode())
        assert report["quarantine"] == 0, report
    world.promote()
    return world


def test_the_automotive_pack_joins_by_email_telephone_and_vehicle_at_a_postcode(tmp_path: Path) -> None:
    world = automotive(tmp_path)
    totals = resolve_identities(world, slot="2025-02-01T02:00:00Z")
    assert (totals["customers"], totals["persons"], totals["households"]) == (6, 4, 3)
    assert resolve_identities(world, slot="2025-03-01")["rows"] == 2  # C007, and C001 with evidence
    maintain_tables(world, slot="2025-03-02")
    assert resolve_identities(world, slot="2025-04-01")["rows"] == 0
    newest = "select arg_max(household_id, as_of) from i group by customer_id order by customer_id"
    households = [household for (household,) in world.query(newest, i="gold/identities")]
    first, second, third = households[0], households[3], households[4]
    assert households == [first, first, first, second, third, second, first]
    assert len({first, second, third}) == 3
    # all members of a household are in one arm, for it is drawn from the household's id alone
    arms = {household: rollout_arm(household, salt="buy-v2", share=0.5) for household in households}
    assert len(arms) == 3
