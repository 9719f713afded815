"""Customers who wait for a person's decision: who waits, what is recorded, and what the next list makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from propensity.delivery.build_export import build_export
from propensity.delivery.domain.list_sql import CUT
from propensity.delivery.review_customers import list_reviews, review_customers
from propensity.kernel.errors import BadInputError, NotFoundError
from tests.kit.pulls import AT, DAY, TENANT, members, of_arm, order, pull, rows
from tests.kit.world import World

LATER = "2025-07-{:02d}T09:00:00+00:00"
NEAR: dict[str, Any] = {"filter": {"deciles": [10]}, "holdout": 0.2, "review_band": 3}


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:
    return scored.copy(tmp_path / "world")


def decide(world: World, decision: str, customers: list[str], at: str = AT, tenant: str = TENANT) -> dict[str, Any]:
    told = {"model": "service", "decision": decision, "customer_ids": customers, "why": "spoke with the team"}
    return review_customers(world, tenant, told, by="arn:anna", at=at)


def waiting(world: World, at: str = AT, **query: str) -> list[dict[str, Any]]:
    return list(list_reviews(world, TENANT, query, at=at)["reviews"])


def history(world: World) -> list[tuple[Any, ...]]:
    return world.query(
        "select customer_id, why, decision, reason, decided_by, model_version, score, decile from r "
        "where decision is not null order by all",
        r="gold/review",
    )


def test_who_waits_is_shown_the_highest_score_first_and_page_by_page(world: World) -> None:
    export = pull(world, **NEAR)["export"]
    shown = waiting(world, limit="500")
    assert {one["customer_id"] for one in shown} == of_arm(world, export, "review")
    assert [one["score"] for one in shown] == sorted((one["score"] for one in shown), reverse=True)
    assert {one["why"] for one in shown} == {CUT}
    paged: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = list_reviews(world, TENANT, {"limit": "7", **after}, at=AT)
        assert page["count"] == len(shown)
        paged += page["reviews"]
        if page["next"] is None:
            break
        # an address ends in logs: it names no customer
        assert not any(one["customer_id"] in page["next"] for one in page["reviews"])
        after = {"after": page["next"]}
    assert paged == shown


def test_the_approved_are_listed_or_held_back_and_the_rejected_are_neither(world: World) -> None:
    first = pull(world, **NEAR)["export"]
    asked = sorted(of_arm(world, first, "review"))
    approved, rejected, left = asked[:12], asked[12:16], asked[16:]
    assert decide(world, "approve", approved)["recorded"] == 12
    assert decide(world, "reject", rejected)["recorded"] == 4
    assert {one["customer_id"] for one in waiting(world)} == set(left)
    answer = pull(world, "next", LATER.format(2), as_of=DAY, **NEAR)
    found = members(world, answer["export"])
    assert {found[customer][0] for customer in approved} == {"exported", "held_out"}
    assert {found[customer] for customer in rejected} == {("suppressed", "review_rejected")}
    assert {found[customer] for customer in left} == {("review", CUT)}
    assert answer["receipt"]["why"]["suppressed"]["review_rejected"] == 4


def test_a_decision_is_recorded_once_with_who_when_and_why_and_the_score_that_was_asked_about(world: World) -> None:
    first = pull(world, **NEAR)["export"]
    [customer, other, *_] = sorted(of_arm(world, first, "review"))
    once = decide(world, "approve", [customer, other, customer], LATER.format(1))
    again = decide(world, "approve", [other, customer], LATER.format(2))
    assert (once["recorded"], again["recorded"]) == (2, 0)
    assert [one["decided_at"][:10] for one in again["reviews"]] == ["2025-07-01"] * 2
    kept = history(world)
    assert len(kept) == 2
    scores = dict(world.query(f"select customer_id, score from e where export = '{first}'", e="gold/exports"))
    for name, why, decision, reason, by, version, score, decile in kept:
        assert (why, decision, reason, by, version) == (CUT, "approve", "spoke with the team", "arn:anna", 1)
        assert score == scores[name]
        assert decile in (9, 10)
    [told, _] = waiting(world, state="decided")
    assert told["holds_until"] == "2025-09-28"  # 90 days with the first


def test_a_decision_can_be_changed_and_the_newest_counts(world: World) -> None:
    first = pull(world, **NEAR)["export"]
    customer = min(of_arm(world, first, "review"))
    decide(world, "approve", [customer], LATER.format(1))
    assert decide(world, "reject", [customer], LATER.format(2))["recorded"] == 1
    second = pull(world, "b", LATER.format(3), as_of=DAY, **NEAR)["export"]
    assert members(world, second)[customer] == ("suppressed", "review_rejected")
    assert [decision for _, _, decision, *_ in history(world)] == ["approve", "reject"]


def test_a_decision_ends_when_its_days_are_over(world: World) -> None:
    with world.edited("rules.yaml") as rules:
        rules["review"] = {"holds_days": 10, "band": 3}
    asked: dict[str, Any] = {"filter": {"deciles": [10]}, "holdout": 0.0, "as_of": DAY}
    first = pull(world, "1", LATER.format(1), **asked)["export"]
    customer = min(of_arm(world, first, "review"))
    decide(world, "reject", [customer], LATER.format(1))
    held = pull(world, "2", LATER.format(10), **asked)["export"]
    assert members(world, held)[customer] == ("suppressed", "review_rejected")
    over = pull(world, "3", LATER.format(11), **asked)["export"]
    assert members(world, over)[customer] == ("review", CUT)
    assert customer in {one["customer_id"] for one in waiting(world, LATER.format(11), limit="500")}


def test_a_question_that_no_list_asks_any_more_does_not_wait_for_ever(world: World) -> None:
    pull(world, **NEAR)
    assert waiting(world)
    assert waiting(world, "2026-07-01T09:00:00+00:00") == []


def test_a_rule_sends_customers_to_review_whatever_their_place(world: World) -> None:
    rule = {
        "name": "many_vehicles",
        "action": "review",
        "description": "Keeps several vehicles. The account manager is asked.",
        "models": ["service"],
        "sql": "select tenant_id, customer_id from vehicles group by 1, 2 having count(*) > 1",
    }
    with world.edited("rules.yaml") as rules:
        rules["rules"].append(rule)
    first = pull(world, holdout=0.3)
    asked = of_arm(world, first["export"], "review")
    assert asked
    assert not asked & {row["customer_id"] for row in rows(world, first)}
    [one, *_] = waiting(world)
    assert (one["why"], one["says"]) == ("rule_many_vehicles", rule["description"])
    decide(world, "approve", sorted(asked))
    again = members(world, pull(world, "b", LATER.format(2), as_of=DAY, holdout=0.3)["export"])
    assert {again[customer][0] for customer in asked} <= {"exported", "held_out", "suppressed"}
    assert not any(arm == "review" for arm, _ in again.values())


def test_a_household_that_was_drawn_while_it_waited_stays_held_back_when_the_share_falls(world: World) -> None:
    near = {**NEAR, "holdout": 0.5}
    first = pull(world, **near)["export"]
    asked = sorted(of_arm(world, first, "review"))
    decide(world, "approve", asked)
    high = members(world, pull(world, "b", LATER.format(2), as_of=DAY, **near)["export"])
    world_low = pull(world, "c", LATER.format(3), as_of=DAY, **{**near, "holdout": 0.0})["export"]
    low = members(world, world_low)
    held = {customer for customer in asked if high[customer][0] == "held_out"}
    assert held
    assert not held & of_arm(world, world_low, "exported")
    assert all(low[customer][0] == "held_out" for customer in held)


def test_who_waits_at_a_high_share_is_not_exported_at_a_low_one_although_no_list_held_them_back(world: World) -> None:
    first = pull(world, **{**NEAR, "holdout": 0.5})["export"]
    asked = sorted(of_arm(world, first, "review"))
    decide(world, "approve", asked)
    low = members(world, pull(world, "c", LATER.format(3), as_of=DAY, **{**NEAR, "holdout": 0.0})["export"])
    arms = [low[customer][0] for customer in asked]
    # of those who waited about half were below the share of the list that asked
    assert arms.count("held_out") > len(asked) // 5
    assert arms.count("exported") > len(asked) // 5


def test_a_killed_list_asks_nobody_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    export = order(world, **NEAR)
    put_new = world.lake.put_new

    def refuse(key: str, body: bytes) -> bool:
        if key.endswith("receipt.json"):
            raise ConnectionError("killed")
        return put_new(key, body)

    monkeypatch.setattr(world.lake, "put_new", refuse)
    with pytest.raises(ConnectionError):
        build_export(world, tenant=TENANT, export=export)
    monkeypatch.undo()
    build_export(world, tenant=TENANT, export=export)
    [(count, people)] = world.query("select count(*), count(distinct customer_id) from r", r="gold/review")
    assert count == people == len(of_arm(world, export, "review"))


def test_what_is_asked_wrongly_is_refused_without_a_customer_in_the_words(world: World) -> None:
    first = pull(world, **NEAR)["export"]
    customer = min(of_arm(world, first, "review"))
    with pytest.raises(NotFoundError) as unknown:
        decide(world, "approve", [customer, "C-nobody"])
    assert "1 of 2 never waited" in str(unknown.value)
    assert "C-nobody" not in str(unknown.value)
    assert len(world.query("select 1 from r where decision is not null", r="gold/review")) == 0
    for body, said in (
        ({"decision": "maybe"}, "decision"),
        ({"customer_ids": []}, "customer_ids"),
        ({"why": " "}, "why"),
        ({"model": "none"}, "model"),
    ):
        whole = {"model": "service", "decision": "approve", "customer_ids": [customer], "why": "w", **body}
        with pytest.raises(BadInputError) as error:
            review_customers(world, TENANT, whole, by="a", at=AT)
        assert said in str(error.value)
        assert customer not in str(error.value)
    for query in ({"state": "x"}, {"limit": "0"}, {"limit": "501"}, {"after": "0.5"}, {"after": "nan_" + "0" * 32}):
        with pytest.raises(BadInputError) as error:
            list_reviews(world, TENANT, query, at=AT)
        assert next(iter(query)) in str(error.value)
    with pytest.raises(BadInputError) as band:
        pull(world, review_band=2)
    assert "review_band" in str(band.value)


def test_a_tenant_sees_and_decides_on_its_own_customers_alone(world: World) -> None:
    first = pull(world, **NEAR)["export"]
    customer = min(of_arm(world, first, "review"))
    assert list_reviews(world, "dealer_02", {}, at=AT)["count"] == 0
    with pytest.raises(NotFoundError):
        decide(world, "approve", [customer], tenant="dealer_02")
