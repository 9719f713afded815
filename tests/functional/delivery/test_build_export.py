"""A list from the request to its receipt: who is on it, who is not and why, and what the files hold."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.delivery.domain.order import export_folder
from propensity.delivery.request_export import list_exports, request_export, show_export
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.json_objects import read_json
from tests.kit.pulls import AT, DAY, TENANT, members, pull, rows
from tests.kit.world import World


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:
    return scored.copy(tmp_path / "world")


def test_a_list_of_the_top_tenth_adds_up_to_the_population_and_holds_the_likeliest(world: World) -> None:
    answer = pull(world, filter={"deciles": [10]}, holdout=0.2)
    receipt = answer["receipt"]
    assert answer["state"] == "ready"
    assert sum(receipt["arms"].values()) == receipt["population"]
    arms = members(world, answer["export"])
    assert Counter(arm for arm, _ in arms.values()) == Counter({a: n for a, n in receipt["arms"].items() if n})
    written = rows(world, answer)
    assert {row["customer_id"] for row in written} == {c for c, (arm, _) in arms.items() if arm == "exported"}
    assert {row["decile"] for row in written} == {"10"}
    scores = [float(row["score"]) for row in written]
    assert scores == sorted(scores, reverse=True)
    assert receipt["arms"]["held_out"] > 0
    assert receipt["deciles"]["10"]["held_out"] == receipt["arms"]["held_out"]


def test_a_capacity_counts_who_is_contacted_and_a_top_who_is_held_back_too(world: World) -> None:
    by_capacity = pull(world, "c", filter={"capacity": 40}, holdout=0.3)["receipt"]["arms"]
    assert by_capacity["exported"] == 40
    assert by_capacity["held_out"] > 0
    by_top = pull(world, "t", filter={"top": 40}, holdout=0.3)["receipt"]["arms"]
    assert by_top["exported"] + by_top["held_out"] == 40


def test_without_consent_nobody_leaves_for_ads_and_a_withdrawal_counts_when_it_arrives(world: World) -> None:
    allowed = dict(
        world.query(
            "select customer_id, consent from c where tenant_id = 'dealer_01' "
            "qualify row_number() over (partition by customer_id order by _valid_from desc) = 1",
            c="silver/customers",
        )
    )
    answer = pull(world, destination="google_ads", holdout=0.0)
    arms = members(world, answer["export"])
    exported = {customer for customer, (arm, _) in arms.items() if arm == "exported"}
    assert exported
    assert all(allowed[customer] for customer in exported)
    assert answer["receipt"]["why"]["suppressed"]["no_consent"] > 0
    [withdrawn, *_] = sorted(exported)
    header = "customer_id,email,phone,postcode,consent,valid_from,recorded_at"
    later = "2099-01-01"  # whoever takes a consent back for a day to come is not contacted until then either
    body = f"{header}\n{withdrawn},,,,false,{later},{DAY}T10:00:00Z\n"
    world.put(f"customers/tenant_id={TENANT}/withdrawals.csv", body.encode())
    world.promote()
    again = pull(world, "again", destination="google_ads", holdout=0.0)
    assert members(world, again["export"])[withdrawn] == ("suppressed", "no_consent")


def test_a_suppressed_customer_is_on_no_list_until_the_entry_is_over(world: World) -> None:
    first = members(world, pull(world, "1", holdout=0.0)["export"])
    someone, other = sorted(customer for customer, (arm, _) in first.items() if arm == "exported")[:2]
    header, recorded = "customer_id,reason,until,valid_from,recorded_at", "2020-01-01 09:00:00"
    entries = [f"{someone},complaint,,2020-01-01,{recorded}", f"{other},other,2020-06-30,2020-01-01,{recorded}"]
    body = "\n".join([header, *entries, ""])
    world.put(f"suppressions/tenant_id={TENANT}/s.csv", body.encode())
    world.promote()
    second = members(world, pull(world, "2", holdout=0.0)["export"])
    assert second[someone] == ("suppressed", "suppression_list")
    assert second[other] == ("exported", "listed")


def test_ads_get_hashes_and_no_address(world: World) -> None:
    answer = pull(world, destination="google_ads", holdout=0.0)
    written = rows(world, answer)
    assert written
    for row in written:
        assert row["Email"] or row["Phone"]
        for column in ("Email", "Phone"):
            assert row[column] == "" or (len(row[column]) == 64 and int(row[column], 16) >= 0)
    body = json.dumps(answer["receipt"])
    assert "@" not in body
    assert set(answer["receipt"]["matchable"]) == {"Email", "Phone"}


def test_additions_and_removals_in_order_are_the_whole_list(world: World) -> None:
    def keys(answer: dict[str, Any], operation: str) -> set[tuple[str, str]]:
        return {(row["Email"], row["Phone"]) for row in rows(world, answer) if row["operation"] == operation}

    ads: dict[str, Any] = {"destination": "google_ads", "holdout": 0.1}
    known: set[tuple[str, str]] = set()
    for number, limit in enumerate((200, 120, 260, 10)):
        answer = pull(world, f"d{number}", f"{DAY}T1{number}:00:00+00:00", filter={"top": limit}, **ads)
        added, removed = keys(answer, "add"), keys(answer, "remove")
        assert removed <= known
        known = (known - removed) | added
        whole = pull(world, f"w{number}", f"{DAY}T1{number}:30:00+00:00", filter={"top": limit}, **ads, reset=True)
        assert known == {(row["Email"], row["Phone"]) for row in rows(world, whole)}


def test_the_same_request_is_the_same_list_and_a_second_try_changes_nothing(world: World) -> None:
    first = pull(world, filter={"top": 50})
    before = {key: world.lake.get(key) for key in world.lake.keys("exports/")}
    assert pull(world, filter={"top": 50}, at=f"{DAY}T11:00:00+00:00") == first
    assert {key: world.lake.get(key) for key in world.lake.keys("exports/")} == before
    assert pull(world, "other", filter={"top": 50})["export"] != first["export"]
    assert len(list_exports(world, TENANT)["exports"]) == 2
    [(count,)] = world.query(f"select count(*) from e where export = '{first['export']}'", e="gold/exports")
    assert count == first["receipt"]["population"]


def test_a_list_that_is_not_finished_has_no_receipt_and_no_link(world: World) -> None:
    asked = {"model": "service", "destination": "plain"}
    answer = request_export(world, TENANT, asked, key="k", by="a", at=AT, request_id="r")
    assert answer["state"] == "running"
    assert "files" not in answer
    assert read_json(world.lake, f"{export_folder(TENANT, answer['export'])}/request.json")["by"] == "a"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "serv"}, "model: 'serv', expected one of buy, service"),
        ({"destination": "fax"}, "destination: 'fax', expected one of crm, google_ads, meta_ads, plain"),
        ({"filter": {"top": 5, "capacity": 5}}, "top and capacity exclude each other"),
        ({"filter": {"deciles": [11]}}, "filter.deciles.0"),
        ({"holdout": 0.9}, "holdout"),
        ({"holdut": 0.1}, "holdut"),
        ({"as_of": "2031-01-01"}, f"as_of: 2031-01-01 is to come; expected {DAY} or earlier"),
    ],
)
def test_a_wrong_request_is_refused_by_field(world: World, body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError) as error:
        pull(world, **body)
    assert said in str(error.value)


def test_an_unknown_list_and_an_unknown_tenant_are_not_found(world: World) -> None:
    with pytest.raises(NotFoundError):
        show_export(world, TENANT, "service-0000000000000000")
    with pytest.raises(NotFoundError):
        pull(world, tenant="dealer_99")


FILTERS = st.one_of(
    st.just({}),
    st.builds(lambda n: {"top": n}, st.integers(1, 700)),
    st.builds(lambda n: {"capacity": n}, st.integers(1, 700)),
    st.builds(lambda d: {"deciles": sorted(d)}, st.sets(st.integers(1, 10), min_size=1)),
)
PULLS = st.fixed_dictionaries(
    {
        "filter": FILTERS,
        "holdout": st.sampled_from([0.0, 0.05, 0.2, 0.5]),
        "household": st.sampled_from(["best", "each"]),
        "destination": st.sampled_from(["plain", "crm", "google_ads", "meta_ads"]),
        "not_within_days": st.sampled_from([None, 1, 30]),
        "format": st.sampled_from([None, "csv", "parquet", "jsonl"]),
    }
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PULLS, min_size=1, max_size=3), st.data())
def test_whatever_is_asked_the_arms_add_up_and_who_is_held_back_is_in_no_file(
    scored: World, tmp_path_factory: pytest.TempPathFactory, pulls: list[dict[str, Any]], data: st.DataObject
) -> None:
    world = scored.copy(tmp_path_factory.mktemp("pulls"))
    held: set[str] = set()
    for number, body in enumerate(pulls):
        asked = {key: value for key, value in body.items() if value is not None}
        answer = pull(world, f"p{number}", f"{DAY}T{10 + number}:00:00+00:00", **asked)
        receipt = answer["receipt"]
        arms = members(world, answer["export"])
        assert sum(receipt["arms"].values()) == receipt["population"] == len(arms)
        households = dict(
            world.query(
                f"select customer_id, household_id from e where export = '{answer['export']}'", e="gold/exports"
            )
        )
        exported = {households[customer] for customer, (arm, _) in arms.items() if arm == "exported"}
        assert not exported & held
        held |= {households[customer] for customer, (arm, _) in arms.items() if arm == "held_out"}
