"""Lists of movers: who rose or fell since the batch before, and what a destination is told of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from propensity.delivery.domain.request import ExportRequest, ListFilter, export_id
from propensity.kernel.errors import BadInputError
from tests.kit.pulls import TENANT, members, pull, rows
from tests.kit.world import World
from tests.stack.automotive import AS_OF

LATER = (AS_OF + timedelta(days=30)).isoformat()
AT = f"{LATER}T09:00:00+00:00"


@pytest.fixture(scope="module")
def world(scored: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The dealers, and a second batch a month after the first."""
    made = scored.copy(tmp_path_factory.mktemp("movers"))
    made.score("service", LATER)
    return made


def changes(world: World) -> dict[str, tuple[int | None, str]]:
    found = world.query(
        f"select customer_id, percentile_change, movement from s where tenant_id = '{TENANT}' "
        f"and as_of = date '{LATER}' and run like '%/service/%'",
        s="gold/scores",
    )
    return {customer: (change, movement) for customer, change, movement in found}


def crm(world: World, key: str, **asked: Any) -> dict[str, Any]:
    return pull(world, key, AT, destination="crm", holdout=0.0, household="each", **asked)


@pytest.mark.parametrize(("way", "by"), [("up", 5), ("down", 10)])
def test_a_list_takes_those_who_moved_so_far_and_tells_the_others_why_not(world: World, way: str, by: int) -> None:
    told = changes(world)
    sign = 1 if way == "up" else -1
    wanted = {customer for customer, (change, _) in told.items() if change is not None and sign * change >= by}
    assert 5 < len(wanted) < len(told) / 2
    answer = crm(world, f"{way}{by}", filter={"moved": way, "by": by})
    arms = members(world, answer["export"])
    assert {customer for customer, (arm, _) in arms.items() if arm == "exported"} <= wanted
    assert {customer for customer, why in arms.items() if why == ("filtered", "moved")} == (
        {customer for customer, why in arms.items() if why[1] not in ("no_score",) and why[0] != "suppressed"} - wanted
    )
    receipt = answer["receipt"]
    assert sum(receipt["arms"].values()) == receipt["population"]
    written = rows(world, answer)
    assert written
    for row in written:
        change, movement = told[row["customer_id"]]
        assert (row["percentile_change"], row["trend"]) == (str(change), way)
        assert (row["trend_reason"] != "") == (movement == "explained")
        assert float(row["previous_score"]) > 0


def test_moved_by_default_is_one_percentile_and_composes_with_a_limit(world: World) -> None:
    told = changes(world)
    risen = {customer for customer, (change, _) in told.items() if change is not None and change >= 1}
    answer = crm(world, "any", filter={"moved": "up", "capacity": 7})
    exported = {row["customer_id"] for row in rows(world, answer)}
    assert len(exported) == 7
    assert exported <= risen


def test_a_trend_is_never_empty_and_without_history_it_says_so(world: World, scored: World, tmp_path: Path) -> None:
    written = rows(world, crm(world, "all"))
    told = changes(world)
    assert {row["trend"] for row in written} >= {"up", "down"}
    for row in written:
        change, movement = told[row["customer_id"]]
        expected = movement if change is None else "up" if change > 0 else "down" if change < 0 else "same"
        assert row["trend"] == expected
    first = scored.copy(tmp_path / "first")
    day = AS_OF.isoformat()
    alone = pull(first, "first", f"{day}T09:00:00+00:00", destination="crm", holdout=0.0)
    assert {row["trend"] for row in rows(first, alone)} == {"not_enough_history"}
    nobody = pull(first, "up", f"{day}T10:00:00+00:00", destination="crm", holdout=0.0, filter={"moved": "up"})
    assert nobody["receipt"]["arms"]["exported"] == 0


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"by": 20}, "by is the least change in percentile; expected moved"),
        ({"moved": "sideways"}, "filter.moved"),
        ({"moved": "up", "by": 0}, "filter.by"),
        ({"moved": "up", "by": 100}, "filter.by"),
    ],
)
def test_a_wrong_filter_of_movers_is_refused(world: World, chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError) as error:
        crm(world, "wrong", filter=chosen)
    assert said in str(error.value)


def test_the_id_of_a_request_that_asks_for_no_movers_is_what_it_was() -> None:
    plain = ExportRequest(model="service", destination="crm")
    assert export_id("dealer_01", plain, "k") == "service-18798ea714ad2203"
    moved = plain.model_copy(update={"filter": ListFilter(moved="up")})
    assert export_id("dealer_01", moved, "k") != export_id("dealer_01", plain, "k")
