"""How large a holdout has to be, and how many conversions to expect, from calibrated scores. Works without numpy.

Both arms have the same share of each stratum, because the holdout is drawn by a hash that sees no score. The effect is
the mean over strata of the difference of two rates, weighted by the strata's rows. Its variance, with N rows, a share h
held back, and V1 and V0 the mean variances within strata of a contacted and a held-back customer's outcome, is

    (V1 / (1 - h) + V0 / h) / N

A two-sided z test of size a has the power 1 - b to see a difference d where d^2 N = (z_(1-a/2) + z_(1-b))^2 times the
bracket. With one stratum this is the sample size of two proportions by Fleiss, Levin and Paik, Statistical Methods for
Rates and Proportions (2003), section 4.3, without a continuity correction. Miratrix, Sekhon and Yu (2013, J. R. Stat.
Soc. B 75) give the variance of the stratified difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, pi, sqrt
from statistics import NormalDist

from propensity.stats.figures import Estimate

POWER = 0.8
SIZE = 0.05  # of the two-sided test
MOST_LIFT = 10.0
FEWEST = 5  # conversions to expect in each arm, from which the normal distribution stands for their number
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Chances:
    """The customers of a stratum: how many, and the sums over them of p, of p (1 - p), and of p (1 - p) (1 - 2p).

    p is a customer's probability to convert without a contact, in [0, 1].
    """

    rows: int
    expected: float
    variance: float
    third: float

    @property
    def rate(self) -> float:
        return self.expected / self.rows if self.rows else 0.0


def together(strata: Sequence[Chances]) -> Chances:
    """Return the customers of all strata as one."""
    return Chances(
        sum(one.rows for one in strata),
        sum(one.expected for one in strata),
        sum(one.variance for one in strata),
        sum(one.third for one in strata),
    )


def conversions(stratum: Chances) -> Estimate:
    """Return the number of conversions to expect, with the interval of the number that will be counted (95 %).

    Conversions are Poisson-binomial. The quantiles are those of the refined normal approximation (Volkova 1996; Hong
    2013, Comput. Stat. Data Anal. 59). The interval holds the chance of the outcomes alone: it takes the probabilities
    as right.
    """
    low, high = (_quantile(stratum, tail) for tail in (SIZE / 2, 1 - SIZE / 2))
    return Estimate(
        stratum.expected, min(float(low), stratum.expected), max(float(high), stratum.expected), stratum.rows
    )


def _quantile(stratum: Chances, chance: float) -> int:
    """The least number of conversions of which at least `chance` lies at or below it."""
    if stratum.variance <= 0:
        return round(stratum.expected)
    low, high = 0, stratum.rows
    while low < high:
        middle = (low + high) // 2
        if _at_most(stratum, middle) >= chance:
            high = middle
        else:
            low = middle + 1
    return low


def _at_most(stratum: Chances, count: int) -> float:
    deviation = sqrt(stratum.variance)
    x = (count + 0.5 - stratum.expected) / deviation
    skew = stratum.third / deviation**3
    density = exp(-x * x / 2) / sqrt(2 * pi)
    return min(1.0, max(0.0, _NORMAL.cdf(x) + skew * (1 - x * x) * density / 6))


@dataclass(frozen=True, slots=True)
class _Effect:
    """The mean difference of the arms, and the mean variances of an outcome in strata: contacted, held back."""

    difference: float
    contacted: float
    held: float


def _effect(strata: Sequence[Chances], lift: float) -> _Effect:
    rows = sum(one.rows for one in strata)
    difference = contacted = held = 0.0
    for one in strata:
        # a rate cannot grow beyond 1
        raised = min(1.0, one.rate * lift)
        difference += one.rows * (raised - one.rate)
        contacted += one.rows * raised * (1 - raised)
        held += one.rows * one.rate * (1 - one.rate)
    return _Effect(difference / rows, contacted / rows, held / rows) if rows else _Effect(0.0, 0.0, 0.0)


def power(strata: Sequence[Chances], lift: float, share: float) -> float:
    """Return the chance to see a lift, in [0, 1], with a share in (0, 1) held back.

    `lift` is the rate of the contacted over that of the held back, above 0. Seen means: a two-sided z test of size 5 %
    rejects, on the side of the effect.
    """
    effect, rows = _effect(strata, lift), sum(one.rows for one in strata)
    variance = effect.contacted / (1 - share) + effect.held / share
    if variance <= 0:
        return 1.0 if effect.difference else 0.0
    return _NORMAL.cdf(abs(effect.difference) * sqrt(rows / variance) - _NORMAL.inv_cdf(1 - SIZE / 2))


def least_share(strata: Sequence[Chances], lift: float, most: float) -> float | None:
    """Return the least share to hold back that sees a lift with a power of 0.8; None where `most` is too little.

    The share solves A h^2 + (V1 - V0 - A) h + V0 = 0, with A = d^2 N / (z_(1-a/2) + z_(1-b))^2.
    """
    effect, rows = _effect(strata, lift), sum(one.rows for one in strata)
    needed = (_NORMAL.inv_cdf(1 - SIZE / 2) + _NORMAL.inv_cdf(POWER)) ** 2
    seen = effect.difference**2 * rows / needed
    middle = effect.contacted - effect.held - seen
    inside = middle**2 - 4 * seen * effect.held
    if seen <= 0 or middle >= 0 or inside < 0:
        return None
    # the smaller root, in the form that loses no digits where the other root is far greater
    share = 2 * effect.held / (-middle + sqrt(inside))
    return share if share <= most else None


def least_lift(strata: Sequence[Chances], share: float) -> float | None:
    """Return the least lift above 1 that a share sees with a power of 0.8; None where no lift up to 10 is seen."""
    low, high = 1.0, MOST_LIFT
    if power(strata, high, share) < POWER:
        return None
    # power grows with lift until rates reach 1; 60 halvings leave less than 1e-15
    for _ in range(60):
        middle = (low + high) / 2
        if power(strata, middle, share) >= POWER:
            high = middle
        else:
            low = middle
    return high
