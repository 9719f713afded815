"""Feeds that come late, and exports that change what they said before. What is planted stands in the manifest.

The late dealer's system holds back its visits of the last days before the scoring day. They come with the outcomes, and
say truly when they were recorded. So a batch of the scoring day cannot see them, and a later training of that day can.

The changing dealer exports its vehicles again, twice, under the days of the first export. What changed gives the answer
away: vehicles whose keepers bought another one are suddenly old. A lake that believes the declared days would learn
from it (docs/decisions/0096-a-restatement-counts-from-its-arrival.md).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from tests.stack.automotive.simulate import AS_OF, START, World

LATE_DAYS = 20
LATE_DATASET, CHANGED_DATASET = "service_records", "vehicles"
CHANGED_FEATURES = ("vehicle_age_years", "vehicle_age_over_3_years")  # of the pack; they read what the exports change
OLD = "2005-01-01"  # the first registration that a changed row says


def late_dealer(world: World) -> int | None:
    """The dealer whose visits come late; it is the one whose customers come in most often. None in worlds alike."""
    return None if world.small is None else 1


def changing_dealer(world: World) -> int | None:
    """The dealer who exports its vehicles again with other values."""
    return None if world.small is None else world.small - 1


def is_late(world: World, dataset: str, tenant: int, recorded: Any) -> bool:
    return (
        dataset == LATE_DATASET
        and tenant == late_dealer(world)
        and AS_OF - timedelta(days=LATE_DAYS) <= recorded.date()
    )


def traded_in(world: World, *, before: int, since: int = 0) -> set[int]:
    """The vehicles whose keepers bought another one from day `since` on and before day `before`."""
    sales = {name: world.column("sales", name) for name in ("customer", "day")}
    bought: dict[int, int] = {}
    inside = (sales["day"] >= since) & (sales["day"] < before)
    for customer, day in zip(sales["customer"][inside].tolist(), sales["day"][inside].tolist(), strict=True):
        bought[customer] = max(day, bought.get(customer, day))
    kept = zip(*(world.column("vehicles", name).tolist() for name in ("customer", "day", "vehicle")), strict=True)
    return {vehicle for customer, day, vehicle in kept if customer in bought and day < bought[customer]}


def changes(world: World, phase: str) -> set[int]:
    """The vehicles that the changing dealer's export of a phase, `history` or `outcomes`, says something else of."""
    as_of = (AS_OF - START).days
    window = 90 + as_of
    found = traded_in(world, before=as_of) if phase == "history" else traded_in(world, before=window, since=as_of)
    keeper = np.zeros(int(world.column("vehicles", "vehicle").max()) + 1, dtype=np.int64)
    keeper[world.column("vehicles", "vehicle")] = world.column("vehicles", "customer")
    return {vehicle for vehicle in found if world.tenant[keeper[vehicle]] == changing_dealer(world)}
