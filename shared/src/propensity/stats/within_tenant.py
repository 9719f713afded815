"""Figures of a list that is made tenant by tenant: ranking within tenants, lift of their lists, and level.

A pooled AUC rises when one tenant's customers convert more often than another's, although no tenant's list gains by it.
So every figure here compares customers with others of their own tenant, and its interval treats tenants as clusters:
what is special about one tenant shifts all of its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

from propensity.kernel.errors import EvidenceError
from propensity.stats.figures import Estimate, ScoreGroup, Z, area, logit_interval, merged_groups

CLUSTERS = 10  # tenants with both outcomes from which their spread is trusted as the variance
TOP = 0.1  # the share of each tenant's list that is its top
_LARGE = 3_000  # events from which a normal's cube stands in for the gamma function's thousands of steps


@dataclass(frozen=True, slots=True)
class Tenant:
    """The rows of one tenant: score groups in ascending order, equal scores merged."""

    groups: tuple[ScoreGroup, ...]
    rows: int
    positives: int

    @property
    def negatives(self) -> int:
        return self.rows - self.positives

    @property
    def expected(self) -> float:
        """Conversions that the scores say: their sum."""
        return sum(group.score * group.rows for group in self.groups)


def by_tenant(rows: Iterable[tuple[str, float, int, int]]) -> dict[str, Tenant]:
    """Merge (tenant, score, rows, positives) in any order; tenants in the order of their names."""
    by_name: dict[str, list[tuple[float, int, int]]] = {}
    for tenant, score, count, positives in rows:
        by_name.setdefault(tenant, []).append((score, count, positives))
    found = {}
    for tenant, listed in sorted(by_name.items()):
        groups = merged_groups(listed)
        found[tenant] = Tenant(groups, sum(group.rows for group in groups), sum(group.positives for group in groups))
    return found


def auc_within(tenants: Mapping[str, Tenant]) -> Estimate:
    """The chance that a converter outranks another customer of the same tenant, ties half; 0.5 is chance.

    Sum of w_t AUC_t over tenants, w_t = positives x negatives: the share of all pairs within tenants. A tenant with one
    outcome only has no pair. From `CLUSTERS` tenants on, the variance is the spread of their AUCs (Obuchowski 1997,
    clustered data); below, and where it is smaller, the sum of DeLong's. The interval is on the logit scale. Raises
    EvidenceError where no tenant has both outcomes.
    """
    areas = [_area(tenant) for tenant in tenants.values() if tenant.positives and tenant.negatives]
    if not areas:
        raise EvidenceError(
            f"AUC within tenants: none of {len(tenants)} tenants has both converters and others; wait for outcomes"
        )
    pairs = sum(area.pairs for area in areas)
    value = sum(area.pairs * area.value for area in areas) / pairs
    variance = sum((area.pairs / pairs) ** 2 * area.variance for area in areas)
    if len(areas) >= CLUSTERS:
        spread = sum((area.pairs / pairs) ** 2 * (area.value - value) ** 2 for area in areas)
        variance = max(variance, spread * len(areas) / (len(areas) - 1))
    rows = sum(area.rows for area in areas)
    return logit_interval(value, variance, rows, fewest=sum(min(area.positives, area.negatives) for area in areas))


@dataclass(frozen=True, slots=True)
class _Area:
    value: float
    variance: float
    pairs: int
    rows: int
    positives: int
    negatives: int


def _area(tenant: Tenant) -> _Area:
    value, variance = area(tenant.groups, tenant.positives, tenant.negatives)
    pairs = tenant.positives * tenant.negatives
    return _Area(value, variance, pairs, tenant.rows, tenant.positives, tenant.negatives)


def observed_over_expected(tenants: Iterable[Tenant], error: float = 0.05) -> Estimate:
    """Conversions over the sum of the scores; 1 where the level is right, 2 where scores say half of what came.

    Garwood's exact Poisson interval (1936) for the conversions, the expected number taken as known. The interval misses
    the truth in at most the share `error` of cases. `n` is rows. Raises EvidenceError where the scores expect nothing.
    """
    known = list(tenants)
    expected = sum(tenant.expected for tenant in known)
    if expected <= 0:
        raise EvidenceError("observed over expected: the scores sum to 0; there is no level to compare with")
    observed = sum(tenant.positives for tenant in known)
    low, high = garwood(observed, error)
    return Estimate(observed / expected, low / expected, high / expected, sum(tenant.rows for tenant in known))


def lift_of_lists(tenants: Mapping[str, Tenant], share: float = TOP) -> Estimate:
    """How often the top `share` of each tenant's list converts, over how often its tenants' customers convert.

    Sum over tenants of the top's conversions / sum of (rows in the top x the tenant's own rate), so that a tenant with
    a high rate lifts nothing by itself. Equal scores at the edge count in proportion. A tenant without conversions adds
    rows and expects nothing. The interval is on the logarithm, tenants as clusters from `CLUSTERS` on (the ratio
    estimator's variance, Cochran 1977, 6.4), and no higher than what is possible: all conversions in the top. Raises
    EvidenceError without conversions.
    """
    return _lift([_part(tenant, 0, share) for tenant in tenants.values() if tenant.positives], len(tenants))


def hits_of_lists(tenants: Mapping[str, Tenant], share: float = TOP) -> float:
    """How many conversions the top `share` of all tenants' lists holds; equal scores at an edge count in proportion."""
    return sum(_part(tenant, 0, share).hits for tenant in tenants.values())


def lifts_by_tenth(tenants: Mapping[str, Tenant]) -> list[tuple[Estimate, float]]:
    """The lift of each tenth of the tenants' lists, the likeliest tenth first, and the conversions that it holds.

    The lift of a tenth is computed as that of the top. Raises EvidenceError without conversions.
    """
    found = []
    for number in range(10):
        parts = [_part(tenant, number / 10, (number + 1) / 10) for tenant in tenants.values() if tenant.positives]
        found.append((_lift(parts, len(tenants)), sum(part.hits for part in parts)))
    return found


def _lift(tops: Sequence[_Part], tenants: int) -> Estimate:
    expected = sum(top.expected for top in tops)
    if not expected:
        raise EvidenceError(f"lift: none of {tenants} tenants has a conversion; wait for outcomes")
    hits = sum(top.hits for top in tops)
    value = hits / expected
    most = sum(min(top.positives, top.rows) for top in tops) / expected
    # binomial part: which of its customers convert; at least half a conversion, or none would be certain
    variance = sum(top.hits * (1 - min(1.0, top.hits / top.rows)) for top in tops) / max(hits, 0.5) ** 2
    variance = max(variance, 1 / max(hits, 0.5) if hits < 1 else 0.0)
    if len(tops) >= CLUSTERS and hits:
        spread = sum((top.hits - value * top.expected) ** 2 for top in tops) / hits**2
        variance = max(variance, spread * len(tops) / (len(tops) - 1))
    centre = log(max(hits, 0.5) / expected)
    half = Z * sqrt(variance)
    low, high = exp(centre - half), min(most, exp(centre + half))
    return Estimate(value, min(value, low), max(value, high), round(sum(top.rows for top in tops)))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a tenant's list. `positives` are the tenant's, `expected` is what its rate says of these rows."""

    rows: float
    hits: float
    positives: int
    expected: float


def _part(tenant: Tenant, begin: float, end: float) -> _Part:
    """The part of a tenant's list from the share `begin` to the share `end`; the list begins with its likeliest."""
    first, last = begin * tenant.rows, end * tenant.rows
    passed = hits = 0.0
    for group in reversed(tenant.groups):
        inside = min(last, passed + group.rows) - max(first, passed)
        hits += max(0.0, inside) / group.rows * group.positives
        passed += group.rows
        if passed >= last:
            break
    rows = last - first
    return _Part(rows, hits, tenant.positives, rows * tenant.positives / tenant.rows)


def garwood(count: int, error: float = 0.05) -> tuple[float, float]:
    """The exact interval of a Poisson mean after `count` events (Garwood 1936): chi-square quantiles over 2."""
    low = 0.0 if count == 0 else _gamma_quantile(count, error / 2)
    return low, _gamma_quantile(count + 1, 1 - error / 2)


def _gamma_quantile(shape: int, p: float) -> float:
    """Where the distribution function of Gamma(shape, 1) is p, by bisection: the function rises everywhere.

    From `_LARGE` on by the cube of a normal (Wilson and Hilferty 1931), which is then right to 1e-5 of the quantile.
    """
    if shape > _LARGE:
        return shape * float(1 - 1 / (9 * shape) + NormalDist().inv_cdf(p) / (3 * sqrt(shape))) ** 3
    low, high = 0.0, shape + 10 * sqrt(shape) + 20
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _gamma_below(shape, middle) < p else (low, middle)
    return middle


def _gamma_below(shape: float, x: float) -> float:
    """The regularised lower incomplete gamma function (Numerical Recipes 6.2: a series, or a continued fraction)."""
    if x <= 0:
        return 0.0
    scale = exp(shape * log(x) - x - lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        number = shape
        while abs(term) > 1e-16 * abs(total):
            number += 1
            term *= x / number
            total += term
        return total * scale
    b = x + 1 - shape
    c = 1e300
    d = 1 / b
    fraction = d
    step = 0
    while True:
        step += 1
        a = -step * (step - shape)
        b += 2
        d = 1 / (a * d + b or 1e-300)
        c = b + a / c or 1e-300
        change = d * c
        fraction *= change
        if abs(change - 1) < 1e-16 or step > 10_000:
            return 1 - scale * fraction


def share_of_pairs_within(tenants: Iterable[Tenant]) -> float:
    """Of all pairs of a converter and another customer, the share that stands within one tenant, in [0, 1].

    Raises EvidenceError where there is no pair.
    """
    known = list(tenants)
    pairs = sum(one.positives for one in known) * sum(one.negatives for one in known)
    if not pairs:
        raise EvidenceError("pairs within tenants: all customers have the same outcome; wait for outcomes")
    return sum(one.positives * one.negatives for one in known) / pairs
