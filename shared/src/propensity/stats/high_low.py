"""Do the customers at the top of their tenant's list convert more often than those at its bottom, and by how much.

A tenant's list as of one date is a stratum: its high customers are compared with its own low ones, so neither tenants
nor dates with a high rate add anything. This module works without numpy, which the functions of SQL lack.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from propensity.kernel.errors import EvidenceError
from propensity.stats.figures import Estimate, Z
from propensity.stats.within_tenant import CLUSTERS

# the top three deciles and the bottom three
HIGH, LOW = range(8, 11), range(1, 4)


@dataclass(frozen=True, slots=True)
class HighLowList:
    """The high and the low customers of one list, and how many of each converted."""

    tenant: str
    high_rows: int
    high_hits: int
    low_rows: int
    low_hits: int

    @property
    def rows(self) -> int:
        return self.high_rows + self.low_rows

    @property
    def weight(self) -> float:
        """Mantel and Haenszel's weight; 0 for a list without one of the two kinds."""
        return self.high_rows * self.low_rows / self.rows if self.rows else 0.0

    @property
    def difference(self) -> float:
        return self.high_hits / self.high_rows - self.low_hits / self.low_rows


@dataclass(frozen=True, slots=True)
class HighLow:
    """The difference of the two rates, in conversions per customer, and the conversions among its n customers."""

    difference: Estimate
    positives: int


def high_low_lists(counts: Iterable[tuple[str, int, int, int]]) -> list[HighLowList]:
    """Return the lists of one date from (tenant, decile, rows, hits), in the order of the tenants' names."""
    found: dict[str, list[int]] = {}
    for tenant, decile, rows, hits in counts:
        sums = found.setdefault(tenant, [0, 0, 0, 0])
        for place, part in enumerate((HIGH, LOW)):
            if decile in part:
                sums[2 * place] += rows
                sums[2 * place + 1] += hits
    return [HighLowList(tenant, *sums) for tenant, sums in sorted(found.items())]


def high_against_low(lists: Iterable[HighLowList], least_variance: float = 0.0) -> HighLow:
    """Return how far the rate of the high customers lies above that of the low ones of the same list.

    Sum of w (p_high - p_low) over lists / sum of w, with the weights of Mantel and Haenszel. The interval is the score
    interval of Klingenberg (2014, Statistics in Medicine 33), with the variance of Sato (1989), which holds for few
    large lists and for many small ones. From `CLUSTERS` tenants on the variance is at least the spread of the tenants'
    own differences (tenants as clusters), and always at least `least_variance`. `n` counts high and low customers.
    Raises EvidenceError where no list has both kinds.
    """
    used = [one for one in lists if one.weight]
    if not used:
        raise EvidenceError("high against low: no list has customers in its top three and its bottom three deciles")
    total = sum(one.weight for one in used)
    value = sum(one.weight * one.difference for one in used) / total
    p = sum(_p(one) for one in used) / total**2
    q = sum(_q(one) for one in used) / total**2
    middle = value + Z * Z * p / 2
    half_squared = middle**2 - value**2 + Z * Z * q
    widest = max(least_variance, _between(used, value, total))
    half = sqrt(max(0.0, half_squared, Z * Z * widest))
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    found = Estimate(value, min(value, low), max(value, high), sum(one.rows for one in used))
    return HighLow(found, sum(one.high_hits + one.low_hits for one in used))


def _p(one: HighLowList) -> float:
    n1, n0, x1, x0 = one.high_rows, one.low_rows, one.high_hits, one.low_hits
    return (n1**2 * x0 - n0**2 * x1 + n1 * n0 * (n0 - n1) / 2) / one.rows**2


def _q(one: HighLowList) -> float:
    n1, n0, x1, x0 = one.high_rows, one.low_rows, one.high_hits, one.low_hits
    return (x1 * (n0 - x0) + x0 * (n1 - x1)) / (2 * one.rows)


def _between(used: Iterable[HighLowList], value: float, total: float) -> float:
    """The variance by the spread of tenants; 0 with too few of them for a spread."""
    sums: dict[str, float] = {}
    for one in used:
        sums[one.tenant] = sums.get(one.tenant, 0.0) + one.weight * (one.difference - value)
    if len(sums) < CLUSTERS:
        return 0.0
    return sum(part**2 for part in sums.values()) / total**2 * len(sums) / (len(sums) - 1)
