"""The day from which a tenant will have enough positives, if positives keep coming at the present rate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, exp, sqrt

from propensity.stats.figures import Z

# Where no event was seen in a time, fewer than 3 events are expected in such a time, with 95 % confidence (Hanley,
# Lippman-Hand 1983).
_NONE_SEEN = 3.0
_FAR = 3_650  # days; a projection beyond ten years says nothing


@dataclass(frozen=True, slots=True)
class Projection:
    """A projected day with its 95 % interval.

    A field is None where the present rate does not lead to it within ten years.
    """

    day: date | None
    low: date | None
    high: date | None


def project(have: float, need: int, seen_days: float, today: date) -> Projection:
    """Return the day on which there will be `need` events, where `have` came in the `seen_days` days up to today.

    The days to go are seen_days x (need - have) / have. After k events were seen in T days, r more events take the time
    T x (r / k) x F(2r, 2k) in a Poisson process, which gives the interval. The logarithm of that time is about normal
    with variance 1/r + 1/k: the chance in the future and in the past.
    """
    if have >= need:
        return Projection(today, today, today)
    if seen_days <= 0:
        return Projection(None, None, None)
    more = need - have
    if have <= 0:
        return Projection(None, _after(today, seen_days * more / _NONE_SEEN), None)
    days, factor = seen_days * more / have, exp(Z * sqrt(1 / more + 1 / have))
    return Projection(_after(today, days), _after(today, days / factor), _after(today, days * factor))


def _after(today: date, days: float) -> date | None:
    return today + timedelta(days=ceil(days)) if days <= _FAR else None
