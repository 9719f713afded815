"""The days of a backtest: settled by its own day, on one day of the month, and apart where they are counted."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from propensity.backtest.domain.origin_days import BacktestRequest, origins_of, without_overlap
from tests.kit.specs import model_spec

days = st.dates(date(2005, 1, 1), date(2035, 12, 31))


@given(days, st.integers(1, 400), st.integers(0, 30), st.integers(1, 12), st.none() | st.integers(1, 12))
def test_origins_have_settled_and_those_that_are_counted_share_no_day(
    as_of: date, horizon: int, settle: int, count: int, every: int | None
) -> None:
    spec = model_spec(horizon_days=horizon, settle_days=settle, gap_days=0)
    origins = origins_of(spec, BacktestRequest(origins=count, every_months=every), as_of)
    assert len(set(origins)) == count
    assert sorted(origins) == list(origins)
    assert max(origins) + timedelta(days=horizon + settle) <= as_of
    # a month later, the newest would not have settled
    assert max(origins) + timedelta(days=31 + horizon + settle) >= as_of
    counted = without_overlap(spec, origins)
    assert counted[-1] == origins[-1]
    for earlier, later in pairwise(counted):
        assert earlier + timedelta(days=horizon) <= later
    if every is None:
        assert counted == origins


def test_by_default_origins_lie_as_close_as_their_windows_allow() -> None:
    spec = model_spec(horizon_days=90, settle_days=7, gap_days=0)
    found = origins_of(spec, BacktestRequest(origins=3), date(2025, 7, 1))
    assert [day.isoformat() for day in found] == ["2024-09-01", "2024-12-01", "2025-03-01"]
    monthly = origins_of(spec, BacktestRequest(origins=3, every_months=1), date(2025, 7, 1))
    assert [day.isoformat() for day in monthly] == ["2025-01-01", "2025-02-01", "2025-03-01"]
