"""Laws of lists over months: the sum of the arms, who is never in a file, and changes that add up to the list."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.delivery.build_export import build_export
from propensity.delivery.request_export import show_export
from propensity.delivery.review_customers import review_customers
from propensity.kernel.errors import RetryableError
from tests.kit.pulls import DAY, TENANT, members, move, of_arm, order, pull, recall, rows, withdraw
from tests.kit.world import World

LAWS = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILTERS = st.one_of(
    st.just({}),
    st.builds(lambda n: {"top": n}, st.integers(1, 400)),
    st.builds(lambda n: {"capacity": n}, st.integers(1, 400)),
    st.builds(lambda d: {"deciles": sorted(d)}, st.sets(st.integers(1, 10), min_size=1)),
    st.builds(
        lambda d, n: {"deciles": sorted(d), "capacity": n},
        st.sets(st.integers(1, 10), min_size=1),
        st.integers(1, 100),
    ),
)
MONTHS = st.lists(
    st.fixed_dictionaries(
        {
            "filter": FILTERS,
            "holdout": st.sampled_from([0.0, 0.05, 0.2, 0.5]),
            "household": st.sampled_from(["best", "each"]),
            "destination": st.sampled_from(["plain", "crm", "google_ads", "meta_ads"]),
            "not_within_days": st.sampled_from([None, 1, 20, 300]),
            "review_band": st.sampled_from([0, 0, 2, 10]),
            "reset": st.booleans(),
            # what happens in the month after the list
            "then": st.sets(st.sampled_from(["withdraw", "merge", "split", "approve", "reject", "recall"])),
        }
    ),
    min_size=2,
    max_size=4,
)


@pytest.fixture(scope="module")
def asked(scored: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The scored world with a rule that sends some customers to review."""
    world = scored.copy(tmp_path_factory.mktemp("asked"))
    rule = {
        "name": "several",
        "action": "review",
        "description": "Keeps several vehicles.",
        "sql": "select tenant_id, customer_id from vehicles group by 1, 2 having count(*) > 1",
    }
    with world.edited("rules.yaml") as rules:
        rules["rules"].append(rule)
    return world


def at(month: int, day: int = 2) -> str:
    return f"2026-{month:02d}-{day:02d}T09:00:00+00:00"


def happen(
    world: World, what: set[str], month: int, answer: dict[str, Any], data: st.DataObject
) -> list[dict[str, Any]]:
    """Let things happen after a month's list; the recalls that were made."""
    arms = members(world, answer["export"])
    everybody = sorted(arms)
    draw = st.lists(st.sampled_from(everybody), min_size=2, max_size=12, unique=True)
    if "merge" in what:
        move(world, dict.fromkeys(data.draw(draw), f"merged-{month}"), at(month, 5)[:10])
    if "split" in what:
        move(world, {one: f"alone-{month}-{one}" for one in data.draw(draw)}, at(month, 6)[:10])
    if "withdraw" in what:
        withdraw(world, data.draw(draw), f"w{month}", f"{at(month, 7)[:10]}T08:00:00Z")
    for decision in ("approve", "reject"):
        waiting = sorted(of_arm(world, answer["export"], "review"))
        if decision in what and waiting:
            told = {"model": "service", "decision": decision, "customer_ids": waiting[::2], "why": "w"}
            review_customers(world, TENANT, told, by="a", at=at(month, 8 if decision == "approve" else 9))
    if "recall" in what and answer["receipt"]["arms"]["exported"]:
        return [recall(world, answer["export"], f"r{month}", at(month, 10))]
    return []


def households(world: World, export: str) -> dict[str, str]:
    found = world.query(f"select customer_id, household_id from e where export = '{export}'", e="gold/exports")
    return dict(found)


def consenting(world: World) -> set[str]:
    """The customers whose newest row, of all that arrived, says that they agree."""
    found = world.query(
        f"select customer_id, consent from c where tenant_id = '{TENANT}' "
        "qualify row_number() over (partition by customer_id order by _valid_from desc, _known_at desc) = 1",
        c="silver/customers",
    )
    return {customer for customer, consent in found if consent}


@LAWS
@given(months=MONTHS, data=st.data())
def test_over_months_the_arms_add_up_and_no_file_has_whom_it_may_not_have(
    asked: World, tmp_path_factory: pytest.TempPathFactory, months: list[dict[str, Any]], data: st.DataObject
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("months"))
    held_customers: set[str] = set()
    held_households: set[str] = set()
    for month, body in enumerate(months, start=1):
        chosen = {name: value for name, value in body.items() if name != "then" and value is not None}
        if not body["filter"]:
            del chosen["review_band"]
        agreeing = consenting(world)
        answer = pull(world, f"m{month}", at(month), as_of=DAY, **chosen)
        receipt, arms = answer["receipt"], members(world, answer["export"])
        counted = Counter(arm for arm, _ in arms.values())
        assert counted == Counter({arm: count for arm, count in receipt["arms"].items() if count})
        assert sum(counted.values()) == receipt["population"] == len(arms)
        whys = {arm: sum(found.values()) for arm, found in receipt["why"].items()}
        assert whys == {arm: count for arm, count in receipt["arms"].items() if count}
        lives = households(world, answer["export"])
        exported = {customer for customer, (arm, _) in arms.items() if arm == "exported"}
        # whoever was held back once, and the household that they lived in then
        assert not exported & held_customers
        assert not {lives[customer] for customer in exported} & held_households
        if receipt["channel"] is not None:
            assert exported <= agreeing
        if body["household"] == "best":
            assert len({lives[customer] for customer in exported}) == len(exported) == receipt["households"]
        if receipt["mode"] == "full" and receipt["destination"] in ("plain", "crm"):
            assert {row["customer_id"] for row in rows(world, answer)} == exported
        held_customers |= {customer for customer, (arm, _) in arms.items() if arm == "held_out"}
        held_households |= {lives[customer] for customer in held_customers if customer in lives}
        for told in happen(world, body["then"], month, answer, data):
            assert told["receipt"]["population"] == sum(told["receipt"]["arms"].values()) == len(exported)
            if receipt["destination"] in ("plain", "crm"):
                stays = {row["customer_id"] for row in rows(world, told, "corrected")}
                taken = {row["customer_id"] for row in rows(world, told, "recall")}
                assert stays | taken == exported
                assert not stays & (taken | held_customers)


@LAWS
@given(
    months=st.lists(
        st.tuples(
            st.integers(1, 300),
            st.booleans(),
            st.sets(st.sampled_from(["withdraw", "merge", "move", "recall", "shrink"])),
        ),
        min_size=2,
        max_size=4,
    ),
    data=st.data(),
)
def test_changes_in_their_order_are_the_whole_list_whatever_happens_in_between(
    asked: World,
    tmp_path_factory: pytest.TempPathFactory,
    months: list[tuple[int, bool, set[str]]],
    data: st.DataObject,
) -> None:
    """What lies at the platform is held against an own account of who should be there, by what was sent of each."""
    world = asked.copy(tmp_path_factory.mktemp("changes"))
    there: Counter[tuple[str, ...]] = Counter()

    def apply(found: list[dict[str, str]]) -> None:
        # in the order of the file: a row is removed as it was added
        for row in found:
            values = tuple(value for name, value in row.items() if name != "operation")
            if row.get("operation") == "remove":
                assert there[values] > 0
                there[values] -= 1
            else:
                there[values] += 1

    for month, (limit, reset, what) in enumerate(months, start=1):
        ads: dict[str, Any] = {"destination": "google_ads", "holdout": 0.1, "as_of": DAY, "filter": {"top": limit}}
        answer = pull(world, f"m{month}", at(month), reset=reset, **ads)
        if reset:
            there.clear()
        apply(rows(world, answer))
        whole = pull(world, f"w{month}", at(month, 3), reset=True, **ads)
        assert +there == Counter(tuple(row.values()) for row in rows(world, whole))
        happen(world, what & {"withdraw", "merge"}, month, whole, data)
        exported = sorted(of_arm(world, whole["export"], "exported"))
        if "move" in what and exported:
            # another address: the platform has to forget the old one
            line = f"{exported[0]},moved{month}@example.org,+4915100000{month:03d},10115,true,{at(month, 7)[:10]},"
            header = "customer_id,email,phone,postcode,consent,valid_from,recorded_at"
            body = f"{header}\n{line}{at(month, 7)[:10]}T08:00:00Z\n"
            world.put(f"customers/tenant_id={TENANT}/m{month}.csv", body.encode())
            world.promote()
        if "recall" in what and exported:
            apply(rows(world, recall(world, whole["export"], f"r{month}", at(month, 10)), "recall"))


def test_who_leaves_the_population_is_taken_off_the_platform(
    asked: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("gone"))
    ads: dict[str, Any] = {"destination": "google_ads", "holdout": 0.0, "as_of": DAY}
    first = pull(world, "a", at(1), **ads)
    sent = Counter(row["Email"] for row in rows(world, first))
    left = sorted(of_arm(world, first["export"], "exported"))[:5]
    version = next(
        key for key in world.lake.keys("registry/service/versions/") if key.endswith("/definition/model.yaml")
    )
    body = world.lake.get(version).decode()
    names = ", ".join(f"'{customer}'" for customer in left)
    model = yaml.safe_load(body)
    model["population"]["sql"] = (
        f"select * from ({model['population']['sql'].strip().rstrip(';')}) where customer_id not in ({names})"
    )
    world.lake.put(version, yaml.safe_dump(model).encode())
    second = rows(world, pull(world, "b", at(2), **ads))
    assert [row["operation"] for row in second] == ["remove"] * 5
    assert not Counter(row["Email"] for row in second) - sent


def test_a_list_that_was_asked_for_first_and_made_last_is_what_the_next_follows(
    asked: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("slow"))
    ads: dict[str, Any] = {"destination": "google_ads", "holdout": 0.0, "as_of": DAY}
    slow = order(world, "slow", at(1), filter={"top": 30}, **ads)
    quick = pull(world, "quick", at(2), filter={"top": 60}, **ads)
    build_export(world, tenant=TENANT, export=slow)
    last = pull(world, "last", at(3), filter={"top": 30}, **ads)
    assert quick["receipt"]["added"] == 60
    assert show_export(world, TENANT, slow)["receipt"]["removed"] == 30
    assert (last["receipt"]["added"], last["receipt"]["removed"]) == (0, 0)


def test_two_lists_at_once_follow_one_another(
    asked: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("race"))
    ads: dict[str, Any] = {"destination": "google_ads", "holdout": 0.0, "as_of": DAY}
    pull(world, "a", at(1), filter={"top": 50}, **ads)
    slow = order(world, "slow", at(2), filter={"top": 10}, **ads)
    append = world.tables.append
    raced: list[bool] = []

    def late(table: str, *given: Any, **told: Any) -> int:
        # another list is made between this one's plan and its commit
        if table == "gold/exports" and not raced:
            raced.append(True)
            pull(world, "quick", at(3), filter={"top": 70}, **ads)
        return append(table, *given, **told)

    monkeypatch.setattr(world.tables, "append", late)
    build_export(world, tenant=TENANT, export=slow)
    receipt = show_export(world, TENANT, slow)["receipt"]
    assert (receipt["added"], receipt["removed"]) == (0, 60)
    assert [file["file"] for file in receipt["files"]] == ["part-0001-2.csv"]
    assert world.query(f"select count(*) from e where export = '{slow}'", e="gold/exports") == [
        (receipt["population"],)
    ]
    last = pull(world, "last", at(4), filter={"top": 10}, **ads)
    assert (last["receipt"]["added"], last["receipt"]["removed"]) == (0, 0)


def test_a_list_that_lost_every_race_of_a_call_is_made_by_the_next(
    asked: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("races"))
    monkeypatch.setattr("propensity.delivery.build_export._MOST_PLANS", 2)
    ads: dict[str, Any] = {"destination": "google_ads", "holdout": 0.0, "as_of": DAY}
    slow = order(world, "slow", at(1), filter={"top": 10}, **ads)
    append = world.tables.append
    raced: list[str] = []

    def late(table: str, *given: Any, **told: Any) -> int:
        if len(raced) < 2 and f"export {TENANT} {slow}" in told["transactions"]:
            raced.append(table)
            pull(world, f"quick{len(raced)}", at(2), filter={"top": 20 * len(raced)}, **ads)
        return append(table, *given, **told)

    monkeypatch.setattr(world.tables, "append", late)
    with pytest.raises(RetryableError):
        build_export(world, tenant=TENANT, export=slow)
    build_export(world, tenant=TENANT, export=slow)
    receipt = show_export(world, TENANT, slow)["receipt"]
    assert (receipt["added"], receipt["removed"]) == (0, 30)


def test_the_cap_of_contacts_counts_a_household_and_a_person_by_all_their_numbers(
    asked: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("cap"))
    first = pull(world, "a", at(1), holdout=0.0, as_of=DAY, filter={"top": 40})
    contacted = sorted(of_arm(world, first["export"], "exported"))
    fresh = sorted(of_arm(world, first["export"], "beyond_limit"))
    # a second number of a person who was contacted, and a member of a household that was
    move(world, {contacted[0]: "one", fresh[0]: "one"}, at(1, 5)[:10], person=True)
    move(world, {contacted[1]: "two", fresh[1]: "two"}, at(1, 6)[:10])
    capped: dict[str, Any] = {"holdout": 0.0, "as_of": DAY, "not_within_days": 60}
    best = members(world, pull(world, "b", at(1, 20), household="best", **capped)["export"])
    for customer in (*contacted, fresh[0], fresh[1]):
        assert best[customer] in (("suppressed", "contacted_recently"), ("review", "rule_several"))
    each = members(world, pull(world, "c", at(1, 21), household="each", destination="crm", **capped)["export"])
    assert each[fresh[0]] == ("suppressed", "contacted_recently")
    assert each[fresh[1]] != ("suppressed", "contacted_recently") or best[fresh[1]] == ("exported", "listed")


def test_who_lived_with_a_held_back_customer_stays_held_back_after_moving_out(
    asked: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = asked.copy(tmp_path_factory.mktemp("moved"))
    plain = pull(world, "a", at(1), holdout=0.0, as_of=DAY)
    everybody = sorted(of_arm(world, plain["export"], "exported"))
    world = asked.copy(tmp_path_factory.mktemp("again"))
    pairs = {customer: f"pair-{number // 2}" for number, customer in enumerate(everybody[:40])}
    move(world, pairs, "2025-06-20")
    first = members(world, pull(world, "a", at(1), holdout=0.5, as_of=DAY)["export"])
    held = {pairs[customer] for customer in pairs if first[customer][0] == "held_out"}
    assert held
    move(world, {customer: f"alone-{customer}" for customer in pairs}, at(1, 20)[:10])
    second = members(world, pull(world, "b", at(2), holdout=0.0, as_of=DAY)["export"])
    for customer, pair in pairs.items():
        if pair in held:
            assert second[customer][0] != "exported"
