"""A list that was wrong: who is taken back, what is left of it, and what later lists make of that."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from propensity.delivery.request_export import list_exports, request_recall, show_export
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError
from tests.kit.pulls import DAY, TENANT, members, move, of_arm, order, pull, recall, rows, withdraw
from tests.kit.registries import crown
from tests.kit.world import World

ADS: dict[str, Any] = {"destination": "google_ads", "filter": {"top": 80}, "holdout": 0.1, "as_of": DAY}
TIME = "2025-07-{:02d}T09:00:00+00:00"


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:
    return scored.copy(tmp_path / "world")


def people(found: list[dict[str, str]]) -> Counter[tuple[str, str]]:
    return Counter((row["Email"], row["Phone"]) for row in found)


def test_who_withdrew_is_taken_back_as_sent_and_the_corrected_list_is_the_rest(world: World) -> None:
    first = pull(world, **ADS)
    sent = rows(world, first)
    gone = sorted(of_arm(world, first["export"], "exported"))[:4]
    withdraw(world, gone, "w")
    told = recall(world, first["export"], at=TIME.format(2), why="consents came late")
    receipt = told["receipt"]
    assert (receipt["mode"], receipt["recalls"]) == ("recall", first["export"])
    assert receipt["population"] == len(sent) == sum(receipt["arms"].values())
    assert receipt["why"]["suppressed"] == {"no_consent": 4}
    removals, corrected = rows(world, told, "recall"), rows(world, told, "corrected")
    assert {row["operation"] for row in removals} == {"remove"}
    assert len(removals) == 4
    # the platform is told what it was sent, although the withdrawal carried no address
    assert people(removals) + people(corrected) == people(sent)
    assert told["recall"] == {"export": first["export"], "why": "consents came late"}
    assert (told["by"], told["at"]) == ("arn:bob", TIME.format(2))
    kept = world.query("select customer_id, export, recall, recalled_by, reason, arm, why from r", r="gold/recalls")
    assert sorted(row[0] for row in kept) == gone
    assert {row[1:] for row in kept} == {
        (first["export"], told["export"], "arn:bob", "consents came late", "suppressed", "no_consent")
    }


def test_the_same_recall_is_made_once_and_a_later_one_finds_what_came_since(world: World) -> None:
    first = pull(world, **ADS)
    gone = sorted(of_arm(world, first["export"], "exported"))[:3]
    withdraw(world, gone[:2], "w")
    told = recall(world, first["export"], at=TIME.format(2))
    before = {key: world.lake.get(key) for key in world.lake.keys("exports/")}
    assert recall(world, first["export"], at=TIME.format(3)) == told
    assert {key: world.lake.get(key) for key in world.lake.keys("exports/")} == before
    withdraw(world, gone[2:], "w2")
    second = recall(world, first["export"], "other", at=TIME.format(4))
    assert second["receipt"]["removed"] == 1
    assert second["receipt"]["population"] == told["receipt"]["arms"]["exported"]
    assert world.query("select count(*) from r", r="gold/recalls") == [(3,)]
    listed = {one["export"]: one["recalls"] for one in list_exports(world, TENANT)["exports"]}
    assert listed == {first["export"]: None, told["export"]: first["export"], second["export"]: first["export"]}


def test_a_recall_judges_by_the_version_of_the_list_whoever_is_champion_now(world: World) -> None:
    first = pull(world, **ADS)
    gone = sorted(of_arm(world, first["export"], "exported"))[:2]
    withdraw(world, gone, "w")
    for key in list(world.lake.keys("registry/service/versions/000001/")):
        world.lake.put(key.replace("/000001/", "/000002/"), world.lake.get(key))
    crown(world.lake, "service", 2)
    receipt = recall(world, first["export"], at=TIME.format(2))["receipt"]
    assert (receipt["model_version"], receipt["removed"]) == (1, 2)


def test_a_recall_that_finds_nobody_says_so_and_leaves_the_list(world: World) -> None:
    first = pull(world, **ADS)
    told = recall(world, first["export"], at=TIME.format(2))
    assert told["receipt"]["removed"] == 0
    assert people(rows(world, told, "corrected")) == people(rows(world, first))


def test_a_corrected_rule_takes_back_whom_it_names(world: World) -> None:
    first = pull(world, filter={"deciles": [10, 9]}, holdout=0.1)
    rule = {
        "name": "kept",
        "action": "suppress",
        "description": "Keeps several vehicles.",
        "sql": "select tenant_id, customer_id from vehicles group by 1, 2 having count(*) > 1",
    }
    with world.edited("rules.yaml") as rules:
        rules["rules"].append(rule)
    told = recall(world, first["export"], at=TIME.format(2))
    taken = {row["customer_id"] for row in rows(world, told, "recall")}
    assert taken
    assert told["receipt"]["why"]["suppressed"] == {"rule_kept": len(taken)}
    stays = {row["customer_id"] for row in rows(world, told, "corrected")}
    assert taken | stays == of_arm(world, first["export"], "exported")
    assert not taken & stays


def test_a_household_that_turns_out_to_be_held_back_is_taken_back(world: World) -> None:
    first = pull(world, holdout=0.3)
    exported, held = (sorted(of_arm(world, first["export"], arm)) for arm in ("exported", "held_out"))
    move(world, {exported[0]: "joined", held[0]: "joined"}, "2025-07-02")
    told = recall(world, first["export"], at=TIME.format(3))
    assert [row["customer_id"] for row in rows(world, told, "recall")] == [exported[0]]
    assert told["receipt"]["why"]["held_out"] == {"holdout": 1}
    # and nobody who was held back comes in by the correction
    assert not set(held) & {row["customer_id"] for row in rows(world, told, "corrected")}


def test_of_two_who_turn_out_to_be_one_household_one_is_taken_back(world: World) -> None:
    first = pull(world, holdout=0.0)
    [one, other, *_] = sorted(of_arm(world, first["export"], "exported"))
    move(world, {one: "same", other: "same"}, "2025-07-02")
    told = recall(world, first["export"], at=TIME.format(3))
    assert told["receipt"]["why"]["suppressed"] == {"household": 1}
    assert {row["customer_id"] for row in rows(world, told, "recall")} < {one, other}


def test_the_next_changes_follow_the_corrected_list(world: World) -> None:
    first = pull(world, **ADS)
    at_platform = people(rows(world, first))
    gone = sorted(of_arm(world, first["export"], "exported"))[:4]
    withdraw(world, gone, "w")
    told = recall(world, first["export"], at=TIME.format(2))
    at_platform -= people(rows(world, told, "recall"))
    second = pull(world, "b", TIME.format(3), **ADS)
    changes = rows(world, second)
    # who was recalled is not removed a second time
    assert not people([row for row in changes if row["operation"] == "remove"]) & people(rows(world, told, "recall"))
    at_platform -= people([row for row in changes if row["operation"] == "remove"])
    at_platform += people([row for row in changes if row["operation"] == "add"])
    whole = pull(world, "c", TIME.format(4), reset=True, **ADS)
    assert at_platform == people(rows(world, whole))


def test_a_recall_does_not_contact_anybody_anew(world: World) -> None:
    first = pull(world, filter={"top": 60}, holdout=0.0)
    recall(world, first["export"], at=TIME.format(20))
    again = pull(world, "b", TIME.format(25), filter={"top": 60}, holdout=0.0, not_within_days=20, as_of=DAY)
    # 24 days since the list; the recall of it is five days old
    assert of_arm(world, again["export"], "exported") == of_arm(world, first["export"], "exported")
    assert members(world, again["export"])


def test_what_cannot_be_recalled_is_refused(world: World) -> None:
    def ask(export: str, body: dict[str, Any]) -> None:
        request_recall(world, TENANT, export, body, key="r", by="a", at=TIME.format(2), request_id="r")

    open_list = order(world, "open", filter={"top": 5})
    with pytest.raises(ConflictError, match="is not ready"):
        ask(open_list, {"why": "w"})
    with pytest.raises(NotFoundError):
        ask("service-0000000000000000", {"why": "w"})
    first = pull(world, **ADS)
    for body in ({}, {"why": ""}, {"why": "w" * 501}, {"why": "w", "more": 1}):
        with pytest.raises(BadInputError):
            ask(first["export"], body)
    told = recall(world, first["export"], at=TIME.format(2))
    with pytest.raises(ConflictError, match="is a recall itself"):
        ask(told["export"], {"why": "w"})
    second = pull(world, "b", TIME.format(3), **ADS)
    with pytest.raises(ConflictError, match=f"{second['export']} came after it"):
        recall(world, first["export"], "late", at=TIME.format(4))
    assert show_export(world, TENANT, first["export"])["state"] == "ready"
