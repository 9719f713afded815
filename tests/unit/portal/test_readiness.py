"""When a tenant will have enough: the projection lies in its interval, and the interval covers the real day."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from propensity.portal.domain.readiness import project

TODAY = date(2025, 7, 1)


@given(have=st.integers(0, 500), need=st.integers(1, 500), days=st.just(0.0) | st.floats(1e-6, 800))
def test_a_projection_lies_in_its_interval_and_not_before_today(have: int, need: int, days: float) -> None:
    found = project(have, need, days, TODAY)
    known = [day for day in (found.low, found.day, found.high) if day]
    assert known == sorted(known)
    assert all(day >= TODAY for day in known)
    assert (found.day == TODAY) == (have >= need or (found.day is not None and have > 0 and days == 0))


def test_the_interval_covers_the_day_in_a_poisson_process() -> None:
    random, covered, runs = np.random.default_rng(2), 0, 2_000
    for _ in range(runs):
        rate, seen, need = random.uniform(0.1, 1.0), 200.0, 200
        have = random.poisson(rate * seen)
        if have == 0 or have >= need:
            covered += 1
            continue
        waited = random.gamma(need - have, 1 / rate)
        found = project(int(have), need, seen, TODAY)
        high = (found.high - TODAY).days if found.high else np.inf
        assert found.low
        covered += (found.low - TODAY).days - 1 <= waited <= high
    assert 0.93 <= covered / runs <= 0.985


def test_without_one_event_there_is_a_first_possible_day_and_no_expected_one() -> None:
    found = project(0, 30, 90.0, TODAY)
    assert (found.day, found.high) == (None, None)
    assert found.low
    assert (found.low - TODAY).days == 900  # at most three in 90 days
    assert project(0, 30, 0.0, TODAY).low is None
