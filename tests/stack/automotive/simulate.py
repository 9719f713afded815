"""Customers, vehicles, visits and sales over four years, in steps of 30 days.

When a step starts, each customer's chances of buying and of coming in follow from what is observable then. The events
fall on days inside the step. A step is a third of the horizon, so that no choice of as-of dates fits the simulation
better than another. The true probabilities are those of the window that begins on the scoring day. They are means over
paths that the other kind of event may take through it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

AS_OF = date(2025, 7, 1)
STEP = 30  # days
STEPS = 48  # before the scoring day: four years
WINDOW = 3  # steps; the horizon of both models
START = AS_OF - timedelta(days=STEP * STEPS)
PATHS = 16  # a few are enough, for they differ in the other event only: twice as many move the AUC by < 0.001
WARM_UP = 360  # days before the start in which each first customer's last contact lies
LONG_AGO = -10_000
SMALL = 14  # customers of the last dealer: too few for a list with places
# Logits from the dealer in the middle to the first and the last one. With them the true rates of a window differ by a
# factor of five and more, for both models
SPREAD = (1.1, 0.9)
MAKES = ("AUDI", "BMW", "FIAT", "FORD", "OPEL", "SKODA", "TOYOTA", "VW")


@dataclass
class World:
    """Columns of events, with days counted from START, and the truth of the window from the scoring day on."""

    dealers: list[str]
    tenant: Any  # dealer index per customer
    joined: Any  # day on which a customer's first row is dated
    levels: Any  # logits by which each dealer's customers buy and come in more often than others who look alike
    sales: dict[str, list[Any]] = field(
        default_factory=lambda: _columns("customer", "day", "vehicle", "used", "finance")
    )
    visits: dict[str, list[Any]] = field(default_factory=lambda: _columns("customer", "day", "vehicle", "declined"))
    vehicles: dict[str, list[Any]] = field(default_factory=lambda: _columns("customer", "day", "vehicle", "registered"))
    leases: dict[str, list[Any]] = field(default_factory=lambda: _columns("customer", "day", "vehicle", "end"))
    truth: dict[str, Any] = field(default_factory=dict)
    small: int | None = None  # the dealer with SMALL customers

    def column(self, table: str, name: str) -> Any:
        parts = getattr(self, table)[name]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _columns(*names: str) -> dict[str, list[Any]]:
    return {name: [] for name in names}


class _State:
    """What a customer's chances depend on. The exported rows show all of it except `leaning`."""

    def __init__(self, count: int) -> None:
        self.active = np.zeros(count, dtype=bool)
        self.vehicle = np.full(count, -1, dtype=np.int64)
        self.registered = np.zeros(count, dtype=np.int64)
        self.contact = np.full(count, LONG_AGO, dtype=np.int64)  # last visit or purchase
        self.lease_end = np.full(count, LONG_AGO, dtype=np.int64)
        self.bought = np.zeros(count, dtype=np.int64)
        self.visits = np.zeros((24, count), dtype=np.int64)  # per step, the last two years
        self.declined = np.zeros((12, count))  # per step, the last year
        # towards buying and towards coming in, the customer's own and the dealer's; no row shows it
        self.leaning = np.zeros((2, count))
        self.due = np.full(count, 390)  # about how many days pass from one yearly service to the next


def simulate(
    *, seed: int, dealers: int, customers: int, no_effect: bool, alike: bool = False, differing: bool = False
) -> World:
    """Simulate all dealers. Their rates differ (SPREAD), and from three dealers on the last has SMALL customers.

    With `alike` all dealers have equal rates, and none is small. With `differing` three of those are not like the
    others: customers of the first are due twice a year. Those of the second come in more often (by 0.7 logits) whatever
    else is known of them, and those of the third less often.
    """
    random = np.random.default_rng(seed)
    uneven = not (no_effect or alike or differing)
    small = dealers - 1 if uneven and dealers >= 3 else None
    weights = random.gamma(3.0, 1.0, dealers)
    if small is not None:
        weights[small] = 0.0
    tenant = random.choice(dealers, size=customers, p=weights / weights.sum())
    if small is not None:
        tenant[random.choice(customers, size=SMALL, replace=False)] = small
    # six in ten are customers from before; the others join evenly over the steps and the window of the outcomes
    first = random.random(customers) < 0.6
    joined = np.where(
        first, -random.integers(1, WARM_UP, customers), random.integers(0, STEP * (STEPS + WINDOW), customers)
    )
    levels = _levels(dealers, small) if uneven else np.zeros((2, dealers))
    world = World([f"dealer_{number + 1:02d}" for number in range(dealers)], tenant, joined, levels, small=small)
    state = _State(customers)
    state.leaning = random.normal(0, 0.15, (2, customers)) + levels[:, tenant]
    if differing:
        state.due = np.where(tenant == 0, 190, 390)
        state.leaning[1] += np.select([tenant == 1, tenant == 2], [0.7, -0.7], 0.0)
    _begin(world, state, random, first)
    known, sold, came = np.zeros((3, customers), dtype=bool)
    for step in range(STEPS + WINDOW):
        day = step * STEP
        if step == STEPS:
            # a generator of its own, so that the truth draws no numbers from the events
            probabilities = _probabilities(state, np.random.default_rng(seed + 2), no_effect)
            known = state.active.copy()
        _forget(state, step)
        buy, service = _chances(state, day, no_effect)
        bought = state.active & (random.random(customers) < buy)
        served = state.active & (random.random(customers) < service)
        if step >= STEPS:
            sold |= bought
            came |= served
        who = np.flatnonzero(served)
        _record_visit(world, state, who, day + random.integers(0, STEP, len(who)), random, step)
        _buy(world, state, random, np.flatnonzero(bought), day + random.integers(0, STEP, int(bought.sum())))
        newcomers = np.flatnonzero(~first & (joined >= day) & (joined < day + STEP))
        _buy(world, state, random, newcomers, joined[newcomers])
        state.active[newcomers] = True
    world.truth = {
        "customer": np.flatnonzero(known),
        "buy": (probabilities[0][known], sold[known]),
        "service": (probabilities[1][known], came[known]),
    }
    return world


def _levels(dealers: int, small: int | None) -> Any:
    """Logits per model and dealer, in even steps from -SPREAD to SPREAD. A dealer's two levels have nothing in common.

    The second dealer has the highest level of coming in.
    """
    known = dealers if small is None else dealers - 1
    levels = np.zeros((2, dealers))
    steps = np.linspace(-1, 1, known) if known > 1 else np.zeros(known)
    levels[0, :known] = SPREAD[0] * np.roll(steps[::-1], known // 2)
    levels[1, :known] = SPREAD[1] * np.roll(steps, 2 if known > 1 else 0)
    return levels


def _begin(world: World, state: _State, random: Any, first: Any) -> None:
    """Start the customers from before: in the year before START half of them bought, and the others came in."""
    who = np.flatnonzero(first)
    by_sale = random.random(len(who)) < 0.5
    _buy(world, state, random, who[by_sale], world.joined[who[by_sale]])
    came = who[~by_sale]
    age = np.minimum(random.gamma(3.0, 1.6, len(came)), 25) * 365
    vehicle = _new_vehicles(world, len(came))
    _keep(world, state, came, world.joined[came], vehicle, (world.joined[came] - age).astype(np.int64))
    _record_visit(world, state, came, world.joined[came], random, -1)
    state.active[who] = True


def _chances(state: _State, day: int, no_effect: bool) -> tuple[Any, Any]:
    """Probabilities of buying and of coming in, within the step that begins on this day."""
    count = len(state.active)
    if no_effect:
        return np.full(count, 0.01), np.full(count, 0.125)
    age = (day - state.registered) / 365.25
    since = day - state.contact
    left = state.lease_end - day
    visits = state.visits.sum(axis=0)
    declined = state.declined.sum(axis=0)
    service = (
        -2.9
        + 1.7 * np.exp(-(((since - state.due) / 120) ** 2))
        + 0.24 * np.minimum(visits, 6)
        - 0.3 * (since > 730)
        + state.leaning[1]
    )
    buy = (
        -6.0
        + 0.34 * np.clip(age - 3, 0, 7)
        + 2.7 * ((left >= -31) & (left <= 122))
        + 1.4 * ((left > 122) & (left <= 214))
        + 0.16 * np.log1p(declined)
        + 0.5 * (state.bought >= 2)
        - 0.8 * (since > 540)
        + state.leaning[0]
    )
    return 1 / (1 + np.exp(-buy)), 1 / (1 + np.exp(-service))


def _probabilities(state: _State, random: Any, no_effect: bool) -> tuple[Any, Any]:
    """For each customer P(buys at least once) and P(comes in at least once) within the window.

    It is 1 - mean over paths of prod(1 - chance in a step | none of this event before), where a path is one course of
    the other event. This has far less spread than counting events. On a path, the other event renews the contact.
    """
    count = len(state.active)
    none = np.zeros((2, count))
    for _ in range(PATHS):
        for event in (0, 1):
            path = deepcopy(state)
            stays = np.ones(count)
            for step in range(STEPS, STEPS + WINDOW):
                _forget(path, step)
                chances = _chances(path, step * STEP, no_effect)
                stays *= 1 - chances[event]
                who = np.flatnonzero(random.random(count) < chances[1 - event])
                path.contact[who] = step * STEP + random.integers(0, STEP, len(who))
                if event == 0:
                    path.declined[step % 12, who] += _declined(random, len(who))
            none[event] += stays
    buy, service = 1 - none / PATHS
    return buy, service


def _forget(state: _State, step: int) -> None:
    """Make room for a step. Its visits replace those of two years before, its declined work that of one year before."""
    state.visits[step % 24] = 0
    state.declined[step % 12] = 0


def _declined(random: Any, count: int) -> Any:
    return np.where(random.random(count) < 0.25, np.round(random.gamma(2.0, 150.0, count), 2), 0.0)


def _record_visit(world: World, state: _State, who: Any, days: Any, random: Any, step: int) -> None:
    declined = _declined(random, len(who))
    for name, values in (("customer", who), ("day", days), ("vehicle", state.vehicle[who]), ("declined", declined)):
        world.visits[name].append(values)
    state.contact[who] = np.maximum(state.contact[who], days)
    np.add.at(state.visits[step % 24], who, 1)
    np.add.at(state.declined[step % 12], who, declined)


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
    state.lease_end[who] = np.where(leased, days + term, LONG_AGO)
    for name, values in (("customer", who), ("day", days), ("vehicle", vehicle), ("end", days + term)):
        world.leases[name].append(values[leased])
    state.contact[who] = np.maximum(state.contact[who], days)
    state.bought[who] += 1


def _keep(world: World, state: _State, who: Any, days: Any, vehicle: Any, registered: Any) -> None:
    for name, values in (("customer", who), ("day", days), ("vehicle", vehicle), ("registered", registered)):
        world.vehicles[name].append(values)
    state.vehicle[who] = vehicle
    state.registered[who] = registered


def _new_vehicles(world: World, count: int) -> Any:
    taken = sum(len(part) for part in world.vehicles["vehicle"])
    return np.arange(taken, taken + count)
