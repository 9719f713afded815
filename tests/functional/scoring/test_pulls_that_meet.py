"""Two gap runs of one model that meet: each customer gets one score of the day, and both receipts add up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from propensity.lake.gold_tables import SCORES
from tests.kit.faults import fused
from tests.kit.registries import crown
from tests.kit.replays import Meeting
from tests.kit.shop import DAY, Shop, stocked

MODEL, BATCH = "reorder", DAY - timedelta(days=31)
WHOLE, HALF = range(40), range(20, 60)


@pytest.fixture(scope="module")
def batched(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose batch is a month old, and 40 customers who came since."""
    shop = stocked(tmp_path_factory.mktemp("pulls"))
    crown(shop.lake, MODEL, shop.train(MODEL, f"{BATCH}")["version"])
    shop.score(MODEL, f"{BATCH}")
    newcomers(shop, WHOLE)
    return shop


def newcomers(shop: Shop, numbers: range) -> None:
    for tenant in ("north", "south"):
        rows = [(f"{tenant}-new-{n}", f"NEW{n:03d}", f"{DAY - timedelta(days=1 + n % 20)}") for n in numbers]
        shop.land("orders", tenant, rows, f"new-{numbers.start}")
    shop.promote()


def once(shop: Shop, receipts: list[dict[str, Any]], people: int) -> None:
    """Every newcomer has one score of the day, online the one that Gold has, and both receipts add up."""
    rows = shop.query(
        f"select tenant_id, customer_id, run from s where as_of = '{DAY}' and customer_id like 'NEW%'", s=SCORES
    )
    assert len({row[:2] for row in rows}) == len(rows) == people
    keys = "tenant_id, customer_id, as_of, model_version"
    assert shop.query(f"select count(*) from s group by {keys} having count(*) > 1", s=SCORES) == []
    for receipt in receipts:
        assert receipt["population"] == receipt["had"] + receipt["new"]
        assert (receipt["failed"], receipt["coverage"]) == (0, 1.0)
        [(count,)] = shop.query(f"select count(*) from s where run = '{receipt['run']}'", s=SCORES)
        assert count == receipt["new"]
    runs = {(tenant, customer): run for tenant, customer, run in rows}
    online = {key[:2]: item.run for key, item in shop.online.items.items() if key[1].startswith("NEW")}
    assert online == runs


@pytest.mark.parametrize("left", [0, 1, 2, 3])
@pytest.mark.parametrize("more", [False, True], ids=["the same customers", "some more customers"])
def test_a_gap_run_that_another_overtakes_scores_only_whom_the_other_did_not(
    batched: Shop, tmp_path: Path, left: int, more: bool
) -> None:
    shop = batched.copied(tmp_path, rows_per_item=1_000)
    shop.online.items.update(batched.online.items)
    receipts: list[dict[str, Any]] = []

    def meet() -> None:
        other = Shop(shop.folder, rows_per_item=700)
        other.online = shop.online
        if more:
            newcomers(other, HALF)
        receipts.append(other.score(MODEL, f"{DAY}", "gap", "second"))

    online = shop.online
    for name, step in shop.scoring(MODEL, f"{DAY}", "gap", "first"):
        if name == "commit_run":
            with fused(shop, Meeting(left, meet)):
                receipts.append(step())
            shop.online = online
        else:
            step()
    again = shop.score(MODEL, f"{DAY}", "gap", "first")
    assert again == receipts[-1]
    once(shop, receipts, 2 * (len(WHOLE) if not more else 60))
