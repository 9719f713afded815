"""The size of a holdout and the conversions to expect, held against scipy's exact distributions and a simulation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from propensity.stats.holdout_size import (
    POWER,
    Chances,
    conversions,
    least_lift,
    least_share,
    power,
    together,
)


def stratum(chances: np.ndarray) -> Chances:
    spread = chances * (1 - chances)
    return Chances(len(chances), float(chances.sum()), float(spread.sum()), float((spread * (1 - 2 * chances)).sum()))


def even(rows: int, rate: float) -> Chances:
    """A stratum whose customers all have one chance."""
    return stratum(np.full(rows, rate))


@pytest.mark.parametrize(
    ("first", "second", "rows"), [(1, 30, 500), (2, 5, 40), (0.5, 0.5, 300), (1, 9, 60), (5, 1, 80)]
)
def test_the_interval_of_conversions_is_the_one_of_the_exact_distribution(
    first: float, second: float, rows: int
) -> None:
    chances = np.random.default_rng(7).beta(first, second, rows)
    exact = np.asarray(stats.poisson_binom.cdf(np.arange(rows + 1), chances))
    found = conversions(stratum(chances))
    assert found.value == pytest.approx(chances.sum())
    assert found.n == rows
    # the approximation may be off by one count where a quantile lies between two
    assert abs(found.low - np.searchsorted(exact, 0.025)) <= 1
    assert abs(found.high - np.searchsorted(exact, 0.975)) <= 1


def test_who_is_certain_has_no_interval() -> None:
    found = conversions(even(10, 1.0))
    assert (found.value, found.low, found.high, found.n) == (10, 10, 10, 10)
    assert conversions(Chances(0, 0.0, 0.0, 0.0)).high == 0


def exact_power(contacted: int, held: int, rate: float, lift: float) -> float:
    """The chance that a two-sided z test of two proportions sees the effect, counted over every pair of outcomes."""
    here, there = np.arange(contacted + 1)[:, None], np.arange(held + 1)[None, :]
    weight = stats.binom.pmf(here, contacted, rate * lift) * stats.binom.pmf(there, held, rate)
    first, second = here / contacted, there / held
    spread = first * (1 - first) / contacted + second * (1 - second) / held
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = (first - second) / np.sqrt(spread) > stats.norm.ppf(0.975)
    return float(weight[seen].sum())


@pytest.mark.parametrize(("rows", "rate", "lift"), [(4_000, 0.1, 1.3), (3_000, 0.3, 1.2), (2_500, 0.2, 1.35)])
def test_the_least_holdout_has_the_power_that_counting_all_outcomes_gives(rows: int, rate: float, lift: float) -> None:
    share = least_share([even(rows, rate)], lift, 0.5)
    assert share is not None
    held = round(rows * share)
    assert exact_power(rows - held, held, rate, lift) == pytest.approx(POWER, abs=0.02)


def test_equal_arms_have_the_sample_size_of_the_books() -> None:
    # Fleiss, Levin and Paik: ((1.960 + 0.842) / 0.05)^2 (0.05 0.95 + 0.10 0.90) = 432 of each arm
    assert power([even(864, 0.05)], 2.0, 0.5) == pytest.approx(POWER, abs=0.001)
    assert power([even(850, 0.05)], 2.0, 0.5) < POWER


def test_strata_are_judged_as_a_simulation_of_the_stratified_test_judges_them() -> None:
    draw = np.random.default_rng(11)
    strata, lift = [even(1_500, 0.25), even(1_500, 0.1), even(3_000, 0.02)], 1.25
    share = least_share(strata, lift, 0.5)
    assert share is not None
    seen, repeats = 0, 4_000
    total = together(strata).rows
    difference, variance = np.zeros(repeats), np.zeros(repeats)
    for one in strata:
        held = round(one.rows * share)
        contacted = one.rows - held
        first = draw.binomial(contacted, one.rate * lift, repeats) / contacted
        second = draw.binomial(held, one.rate, repeats) / held
        weight = one.rows / total
        difference += weight * (first - second)
        variance += weight**2 * (first * (1 - first) / contacted + second * (1 - second) / held)
    seen = int((difference / np.sqrt(variance) > stats.norm.ppf(0.975)).sum())
    # three standard errors of 4,000 draws, and the arms' rounding
    assert seen / repeats == pytest.approx(POWER, abs=0.025)


def test_strata_that_differ_need_no_more_than_the_same_customers_as_one() -> None:
    strata = [even(1_000, 0.4), even(1_000, 0.02)]
    apart, mixed = least_share(strata, 1.3, 0.5), least_share([together(strata)], 1.3, 0.5)
    assert apart is not None
    assert mixed is not None
    assert apart < mixed


@given(
    rows=st.integers(50, 200_000),
    rate=st.floats(0.001, 0.6),
    lift=st.floats(1.01, 3.0),
)
def test_the_least_share_has_the_power_and_a_smaller_one_has_not(rows: int, rate: float, lift: float) -> None:
    strata = [even(rows, rate)]
    share = least_share(strata, lift, 0.5)
    if share is None:
        assert power(strata, lift, 0.5) < POWER + 1e-9
        return
    assert power(strata, lift, share) == pytest.approx(POWER, abs=1e-6)
    assert power(strata, lift, share * 0.9) < POWER


@given(rows=st.integers(50, 50_000), rate=st.floats(0.001, 0.5), share=st.floats(0.01, 0.5))
def test_the_least_lift_is_seen_and_more_of_it_is_seen_better(rows: int, rate: float, share: float) -> None:
    strata = [even(rows, rate)]
    lift = least_lift(strata, share)
    if lift is not None:
        assert power(strata, lift, share) >= POWER - 1e-9
        chances = [power(strata, step, share) for step in (1 + (lift - 1) / 4, 1 + (lift - 1) / 2, lift)]
        assert all(low < high for low, high in pairwise(chances))


def test_nobody_can_see_a_lift_without_conversions() -> None:
    assert least_share([even(1_000, 0.0)], 1.5, 0.5) is None
    assert least_share([], 1.5, 0.5) is None
    assert least_lift([even(5, 0.01)], 0.1) is None
