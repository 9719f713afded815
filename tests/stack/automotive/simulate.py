"""Customers, vehicles, visits and sales over four years, in blocks of the horizon.

At a block's start each customer's chances of buying and of coming in are fixed by what is observable then; the
events fall on days inside the block. The last block begins on the scoring day, so the chances in it are the
true probabilities of the two outcomes, without approximation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

AS_OF = date(2025, 7, 1)
BLOCK = 90  # days; the horizon of both models
BLOCKS = 16  # before the scoring day: four years
START = AS_OF - timedelta(days=BLOCK * BLOCKS)
WARM_UP = 360  # days before the start in which each first customer's last contact lies
MAKES = ("AUDI", "BMW", "FIAT", "FORD", "OPEL", "SKODA", "TOYOTA", "VW")


@dataclass
class World:
    """Columns of events, days as whole numbers since START, and the truth of the last block."""

    dealers: list[str]
    tenant: Any  # dealer index per customer
    joined: Any  # day on which a customer's first row is dated
    sales: dict[str, list[Any]] = field(
        default_factory=lambda: _columns("customer", "day", "vehicle", "used", "finance")
    )
    visits: dict[str, list[Any]] = field(default_factory=lambda: _columns("customer", "day", "vehicle", "declined"))
    vehicles: dict[str, list[Any]] = field(default_factory=lambda: _columns("customer", "day", "vehicle", "registered"))
    leases: dict[str, list[Any]] = field(default_factory=lambda: _columns("customer", "day", "vehicle", "end"))
    truth: dict[str, Any] = field(default_factory=dict)

    def column(self, table: str, name: str) -> Any:
        parts = getattr(self, table)[name]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _columns(*names: str) -> dict[str, list[Any]]:
    return {name: [] for name in names}


class _State:
    """What a customer's chances rest on; everything in it can be read off the exported rows."""

    def __init__(self, count: int) -> None:
        self.active = np.zeros(count, dtype=bool)
        self.vehicle = np.full(count, -1, dtype=np.int64)
        self.registered = np.zeros(count, dtype=np.int64)
        self.contact = np.full(count, -10_000, dtype=np.int64)  # last visit, or the purchase before any
        self.lease_end = np.full(count, -10_000, dtype=np.int64)
        self.bought = np.zeros(count, dtype=np.int64)
        self.visits = np.zeros((8, count), dtype=np.int64)  # per block, the last two years
        self.declined = np.zeros((4, count))  # per block, the last year


def simulate(*, seed: int, dealers: int, customers: int, no_effect: bool) -> World:
    random = np.random.default_rng(seed)
    weights = random.gamma(3.0, 1.0, dealers)
    tenant = random.choice(dealers, size=customers, p=weights / weights.sum())
    # six in ten are customers from before; the others join evenly, the outcome block included
    first = random.random(customers) < 0.6
    joined = np.where(
        first, -random.integers(1, WARM_UP, customers), random.integers(0, BLOCK * (BLOCKS + 1), customers)
    )
    world = World([f"dealer_{number + 1:02d}" for number in range(dealers)], tenant, joined)
    state = _State(customers)
    _begin(world, state, random, first)
    for block in range(BLOCKS + 1):
        day = block * BLOCK
        buy, service = _chances(state, day, random, no_effect)
        bought = state.active & (random.random(customers) < buy)
        served = state.active & (random.random(customers) < service)
        if block == BLOCKS:
            world.truth = {
                "customer": np.flatnonzero(state.active),
                "buy": (buy[state.active], bought[state.active]),
                "service": (service[state.active], served[state.active]),
            }
        _visit(world, state, random, served, day, block)
        _buy(world, state, random, np.flatnonzero(bought), day + random.integers(0, BLOCK, int(bought.sum())))
        newcomers = np.flatnonzero(~first & (joined >= day) & (joined < day + BLOCK))
        _buy(world, state, random, newcomers, joined[newcomers])
        state.active[newcomers] = True
    return world


def _begin(world: World, state: _State, random: Any, first: Any) -> None:
    """The customers from before: half of them bought in the year before the start, the others came in."""
    who = np.flatnonzero(first)
    by_sale = random.random(len(who)) < 0.5
    _buy(world, state, random, who[by_sale], world.joined[who[by_sale]])
    came = who[~by_sale]
    age = random.gamma(3.0, 1.6, len(came)) * 365
    vehicle = _new_vehicles(world, len(came))
    _keep(world, state, came, world.joined[came], vehicle, (world.joined[came] - age).astype(np.int64))
    _record_visit(world, state, came, world.joined[came], random, 0)
    state.active[who] = True


def _chances(state: _State, day: int, random: Any, no_effect: bool) -> tuple[Any, Any]:
    count = len(state.active)
    if no_effect:
        return np.full(count, 0.03), np.full(count, 0.33)
    age = (day - state.registered) / 365.25
    since = day - state.contact
    left = state.lease_end - day
    visits = state.visits.sum(axis=0)
    declined = state.declined.sum(axis=0)
    service = (
        -1.75
        + 1.7 * np.exp(-(((since - 320) / 110) ** 2))
        + 0.3 * np.minimum(visits, 6)
        - 1.1 * (since > 730)
        + random.normal(0, 0.15, count)
    )
    buy = (
        -5.1
        + 0.34 * np.clip(age - 3, 0, 7)
        + 2.7 * ((left >= -31) & (left <= 122))
        + 1.4 * ((left > 122) & (left <= 214))
        + 0.16 * np.log1p(declined)
        + 0.5 * (state.bought >= 2)
        - 0.8 * (since > 540)
        + random.normal(0, 0.15, count)
    )
    return 1 / (1 + np.exp(-buy)), 1 / (1 + np.exp(-service))


def _visit(world: World, state: _State, random: Any, served: Any, day: int, block: int) -> None:
    state.visits[block % 8] = 0
    state.declined[block % 4] = 0
    who = np.flatnonzero(served)
    days = day + random.integers(0, BLOCK, len(who))
    _record_visit(world, state, who, days, random, block)
    again = random.random(len(who)) < 0.12
    later = np.minimum(days[again] + random.integers(3, 40, int(again.sum())), day + BLOCK - 1)
    _record_visit(world, state, who[again], later, random, block)


def _record_visit(world: World, state: _State, who: Any, days: Any, random: Any, block: int) -> None:
    declined = np.where(random.random(len(who)) < 0.25, np.round(random.gamma(2.0, 150.0, len(who)), 2), 0.0)
    for name, values in (("customer", who), ("day", days), ("vehicle", state.vehicle[who]), ("declined", declined)):
        world.visits[name].append(values)
    state.contact[who] = np.maximum(state.contact[who], days)
    np.add.at(state.visits[block % 8], who, 1)
    np.add.at(state.declined[block % 4], who, declined)


def _buy(world: World, state: _State, random: Any, who: Any, days: Any) -> None:
    used = random.random(len(who)) < 0.4
    age = np.where(used, random.integers(365, 5 * 365, len(who)), 0)
    draw = random.random(len(who))
    finance = np.where(draw < 0.35, 2, np.where(draw < 0.7, 1, 0))  # lease, loan, cash
    finance = np.where(used & (finance == 2), 1, finance)
    vehicle = _new_vehicles(world, len(who))
    _keep(world, state, who, days, vehicle, days - age)
    for name, values in (
        ("customer", who),
        ("day", days),
        ("vehicle", vehicle),
        ("used", used.astype(np.int64)),
        ("finance", finance),
    ):
        world.sales[name].append(values)
    leased = finance == 2
    term = np.where(random.random(len(who)) < 0.5, 3 * 365, 4 * 365)
    state.lease_end[who] = np.where(leased, days + term, -10_000)
    for name, values in (("customer", who), ("day", days), ("vehicle", vehicle), ("end", days + term)):
        world.leases[name].append(values[leased])
    state.contact[who] = np.where(state.contact[who] < 0, days, state.contact[who])
    state.bought[who] += 1


def _keep(world: World, state: _State, who: Any, days: Any, vehicle: Any, registered: Any) -> None:
    for name, values in (("customer", who), ("day", days), ("vehicle", vehicle), ("registered", registered)):
        world.vehicles[name].append(values)
    state.vehicle[who] = vehicle
    state.registered[who] = registered


def _new_vehicles(world: World, count: int) -> Any:
    taken = sum(len(part) for part in world.vehicles["vehicle"])
    return np.arange(taken, taken + count)
