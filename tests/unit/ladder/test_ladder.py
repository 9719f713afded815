"""Laws of the ladder's evidence: no rung without enough of it, intercepts drawn to 0, intervals that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.kernel.errors import ConflictError
from propensity.ladder.domain.choice import Climb, climb_alone, climb_segment
from propensity.ladder.domain.choice import RungLosses as Held
from propensity.ladder.domain.evidence import (
    MIN_HELD,
    Shift,
    between,
    by_name,
    intercept,
    shift_of,
    smoothed_rate,
)
from propensity.ladder.domain.evidence import clustered_gain as gain
from propensity.registry.domain.ladder import Ladder, Place
from propensity.stats.calibration import row_losses
from propensity.stats.sampling import rarer

RUNGS = ("heuristic", "global", "intercept", "segment", "own")


def held(seed: int, rows: int, rate: float, scale: float) -> Held:
    random = np.random.default_rng(seed)
    losses: dict[Any, Any] = {rung: random.gamma(2.0, scale, rows) for rung in RUNGS}
    losses["own"][random.random(rows) < 0.2] = np.nan
    return Held((random.random(rows) < rate).astype(int), np.ones(rows), random.integers(0, rows, rows), losses)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(0, 400), rate=st.floats(0, 1), scale=st.floats(0.01, 2))
def test_a_tenant_never_moves_without_enough_held_out_rows_and_an_interval_above_0(
    seed: int, rows: int, rate: float, scale: float
) -> None:
    given_, climb = held(seed, rows, rate, scale), Climb()
    climb_alone(climb, given_, {"heuristic", "own"}, ("heuristic", "own"))
    if climb.standing != "global":
        over, found = climb.gains[climb.standing]
        both = np.isfinite(given_.losses[over]) & np.isfinite(given_.losses[climb.standing])
        assert found.low > 0
        assert rarer(given_.labels[both]) >= MIN_HELD
        assert found.n == both.sum()


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 300), count=st.integers(1, 6))
def test_a_segment_takes_nobody_whose_own_rows_say_it_is_worse(seed: int, rows: int, count: int) -> None:
    given_ = held(seed, rows, 0.5, 0.5)
    tenant = np.random.default_rng(seed + 1).integers(0, count, rows)
    climbs = [(Climb(), tenant == number) for number in range(count)]
    pooled = climb_segment(climbs, np.ones(rows, dtype=bool), given_)
    for climb, _ in climbs:
        if climb.standing == "segment":
            assert pooled is not None
            assert pooled.low > 0
            assert climb.gains["segment"][1].high >= 0


def test_the_interval_of_a_gain_covers_the_truth_where_customers_come_back() -> None:
    covered = naive = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        customers = np.repeat(np.arange(60), 3)
        gaps = random.normal(0.1, 1, 60)[customers] + random.normal(0, 0.3, 180)
        found = gain(gaps, np.zeros(180), np.ones(180), customers)
        covered += found.low <= 0.1 <= found.high
        rows = gain(gaps, np.zeros(180), np.ones(180), np.arange(180))
        naive += rows.low <= 0.1 <= rows.high
    assert 0.92 <= covered / 400 <= 0.97
    assert naive / 400 < 0.8  # what it would be with every row for itself


def test_three_positives_hardly_move_an_intercept_and_three_hundred_do() -> None:
    few, many = np.r_[np.ones(3), np.zeros(7)], np.r_[np.ones(300), np.zeros(700)]
    moved = [intercept(np.full(len(one), 0.1), one, np.ones(len(one)), 0.05) for one in (few, many)]
    exact = np.log(0.3 / 0.7) - np.log(0.1 / 0.9)
    assert 0 < moved[0] < 0.12
    assert 0.8 * exact < moved[1] < exact


@settings(deadline=None)
@given(rows=st.integers(1, 200), positives=st.integers(0, 200), rate=st.floats(0.01, 0.99), variance=st.floats(0, 2))
def test_an_intercept_goes_towards_the_surplus_and_never_past_it(
    rows: int, positives: int, rate: float, variance: float
) -> None:
    label = (np.arange(rows) < min(positives, rows)).astype(float)
    score, weight = np.full(rows, rate), np.ones(rows)
    found, surplus = intercept(score, label, weight, variance), shift_of(score, label, weight).surplus
    assert found * surplus >= -1e-9
    p = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + found)))
    assert abs(label.sum() - p * rows) <= abs(surplus) + 1e-6


def test_tenants_that_differ_by_chance_alone_have_no_variance_between_them() -> None:
    random = np.random.default_rng(4)
    drawn = [random.random(400) < 0.2 for _ in range(200)]
    same = [shift_of(np.full(400, 0.2), one.astype(float), np.ones(400)) for one in drawn]
    assert between(same) < 0.01
    odds = np.exp(random.normal(np.log(0.25), 0.6, 200))
    apart = [
        shift_of(np.full(400, 0.2), (random.random(400) < one / (1 + one)).astype(float), np.ones(400)) for one in odds
    ]
    assert 0.2 < between(apart) < 0.6
    assert between([]) == between([Shift(0.0, 0.0)]) == 0


def test_losses_are_finite_and_rates_between_a_tenants_own_and_everyones() -> None:
    assert np.isfinite(row_losses(np.array([0.0, 1.0]), np.array([1, 0]))).all()
    assert 0.1 < smoothed_rate(30, 100, 0.1) < 0.3
    assert smoothed_rate(0, 0, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "place", [{"rung": "own"}, {"rung": "global", "model": "m"}, {"rung": "heuristic"}, {"rung": "x"}]
)
def test_a_ladder_that_contradicts_itself_is_refused(place: dict[str, Any]) -> None:
    said = {"model": None, "intercept": 0, "rate": None, **place}
    with pytest.raises(ConflictError, match="ladder"):
        Ladder.from_json({"tenants": {"t": said}})
    assert Ladder({}).place("nobody") == Place("global")


def test_rows_by_name_are_those_of_each_and_no_other() -> None:
    names = np.array(["b", "a", "b", "c", "a", "b"], dtype=object)
    found = by_name(names, np.array([0, 2, 3, 4]))
    assert {name: rows.tolist() for name, rows in found.items()} == {"a": [4], "b": [0, 2], "c": [3]}
    assert by_name(names, np.empty(0, np.int64)) == {}
