"""Figures of how good scores were, from grouped counts. Pure Python without numpy lets every function compute them.

The tests compare these figures with scikit-learn's. scikit-learn is in a 178 MB layer that does not fit beside the
engine that reads the lake. Scores come as groups (score, rows, positives) with equal scores merged. So every figure is
exact where scores are equal, and does not depend on the order of rows.

Every figure is an Estimate: the value, its 95 % interval, and the number n of rows behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, log1p, pi, sqrt

from propensity.kernel.errors import EvidenceError
from propensity.stats.logistic_line import Likelihood, LogitLine, Scale, fit_line

Z = 1.959963984540054  # two-sided 95 %
_CLIP = 1e-7  # keeps logarithms finite at scores of exactly 0 or 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its 95 % interval and its sample size."""

    value: float
    low: float
    high: float
    n: int

    def scaled(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.n)


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """The rows that have one score, in [0, 1], and the number of these rows that converted."""

    score: float
    rows: int
    positives: int


@dataclass(frozen=True, slots=True)
class Scored:
    """Score groups, ascending by score, with at least one positive and one negative among their rows."""

    groups: tuple[ScoreGroup, ...]
    rows: int
    positives: int

    @property
    def negatives(self) -> int:
        return self.rows - self.positives

    @property
    def base_rate(self) -> float:
        return self.positives / self.rows


def merged_groups(groups: Iterable[tuple[float, int, int]]) -> tuple[ScoreGroup, ...]:
    """Merge (score, rows, positives) of equal scores, and sort the groups by score."""
    counts: dict[float, tuple[int, int]] = {}
    for score, rows, positives in groups:
        before = counts.get(score, (0, 0))
        counts[score] = (before[0] + rows, before[1] + positives)
    return tuple(ScoreGroup(score, *counts[score]) for score in sorted(counts))


def scored(groups: Iterable[tuple[float, int, int]], what: str = "scores") -> Scored:
    """The score groups from (score, rows, positives), sorted and with equal scores merged.

    Raises EvidenceError where there is no positive or no negative.
    """
    ordered = merged_groups(groups)
    rows = sum(group.rows for group in ordered)
    positives = sum(group.positives for group in ordered)
    if positives == 0 or positives == rows:
        raise EvidenceError(
            f"{what}: {positives} of {rows} rows are positive; both kinds are needed to measure anything"
        )
    return Scored(ordered, rows, positives)


def auc(data: Scored) -> Estimate:
    """Area under the ROC curve: the chance that a positive is ranked above a negative. Equal scores count half.

    The interval is `logit_interval` by DeLong's variance. (DeLong's own interval covered 90.5 % at 13 positives.)
    """
    value, variance = area(data.groups, data.positives, data.negatives)
    return logit_interval(value, variance, data.rows, fewest=min(data.positives, data.negatives))


def area(groups: Sequence[ScoreGroup], positives: int, negatives: int) -> tuple[float, float]:
    """AUC and its variance by DeLong, DeLong and Clarke-Pearson (1988), from the placements of each class.

    `groups` ascend by score; neither count is 0. One row of a class says nothing of how the class spreads, so the
    widest spread that its mean allows stands in.
    """
    below_negative = below_positive = 0
    sum_10 = square_10 = sum_01 = square_01 = 0.0
    for group in groups:
        others = group.rows - group.positives
        placed = (below_negative + 0.5 * others) / negatives
        sum_10 += group.positives * placed
        square_10 += group.positives * placed * placed
        placed = 1 - (below_positive + 0.5 * group.positives) / positives
        sum_01 += others * placed
        square_01 += others * placed * placed
        below_negative += others
        below_positive += group.positives
    value = sum_10 / positives
    widest = value * (1 - value)
    per_positive = _variance(sum_10, square_10, positives) if positives > 1 else widest
    per_negative = _variance(sum_01, square_01, negatives) if negatives > 1 else widest
    return value, per_positive / positives + per_negative / negatives


def logit_interval(value: float, variance: float, n: int, *, fewest: int) -> Estimate:
    """A share in [0, 1] with its 95 % interval on the logit scale, which stays inside and leans to the middle.

    `fewest` is the number of rows of the rarer outcome. The interval is made around the value, or around what half a
    row on the other side would make of a value nearer to 0 or 1: of 5 converters who all rank first, the next may not.
    For the same reason the variance is at least that of half a row.
    """
    edge = 0.5 / (fewest + 1)
    at = min(max(value, edge), 1 - edge)
    shrunk = (value * fewest + 0.5) / (fewest + 1)
    least = shrunk * (1 - shrunk) / (3 * (fewest + 1))
    centre, half = log(at / (1 - at)), Z * sqrt(max(variance, least)) / (at * (1 - at))
    return Estimate(value, min(value, _sigmoid(centre - half)), max(value, _sigmoid(centre + half)), n)


def average_precision(data: Scored) -> Estimate:
    """The sum over thresholds of (recall step) x precision, as scikit-learn defines average precision.

    The interval is made on the logit scale, with the number of positives as n (Boyd, Eng and Page 2013).
    """
    taken = hits = 0
    value = 0.0
    for group in reversed(data.groups):
        taken += group.rows
        hits += group.positives
        value += group.positives / data.positives * hits / taken
    if not 0 < value < 1:
        return Estimate(value, value, value, data.rows)
    centre, half = _logit(value), Z / sqrt(data.positives * value * (1 - value))
    return Estimate(value, _sigmoid(centre - half), _sigmoid(centre + half), data.rows)


def brier(data: Scored) -> Estimate:
    """Mean squared error of the scores (Brier 1950); lower is better."""
    return _mean(((1 - group.score) ** 2, group.score**2, group) for group in data.groups)


def brier_skill(data: Scored) -> Estimate:
    """1 - Brier / (Brier of giving everyone the base rate). Above 0 the scores beat the base rate.

    The interval is that of the difference of the two squared errors, row by row; the base rate is taken as known. A row
    that is hard for both says nothing of which is better, so such a row does not widen the interval.
    """
    rate = data.base_rate
    less = _mean(((1 - rate) ** 2 - (1 - group.score) ** 2, rate**2 - group.score**2, group) for group in data.groups)
    return less.scaled(1 / (rate * (1 - rate)))


def log_loss(data: Scored) -> Estimate:
    """Mean negative log likelihood in nats; scores are clipped to [1e-7, 1 - 1e-7]."""
    return _mean((-log(_clipped(group.score)), -log(1 - _clipped(group.score)), group) for group in data.groups)


def calibration(data: Scored) -> tuple[Estimate, Estimate]:
    """The slope and intercept of the outcome's logit on the score's logit (Cox 1958). Calibrated scores have 1 and 0.

    Where all scores are equal there is no slope to fit, and the result is (0, logit of the base rate).
    """
    points = [(_logit(_clipped(group.score)), group.rows, group.positives) for group in data.groups]
    if len(points) == 1:
        intercept = _logit(data.base_rate)
        return Estimate(0.0, 0.0, 0.0, data.rows), Estimate(intercept, intercept, intercept, data.rows)

    mean = sum(x * rows for x, rows, _ in points) / data.rows
    scale = Scale.of(mean, sqrt(sum((x - mean) ** 2 * rows for x, rows, _ in points) / data.rows))
    scaled = [((x - scale.centre) / scale.spread, rows, positives) for x, rows, positives in points]

    def likelihood(line: LogitLine) -> Likelihood:
        loss = miss = lean = a = b = c = 0.0
        for x, rows, positives in scaled:
            z = line.intercept + line.slope * x
            p = _sigmoid(z)
            weight = rows * p * (1 - p)
            loss += rows * (max(z, 0.0) + log1p(exp(-abs(z)))) - positives * z
            miss += positives - rows * p
            lean += (positives - rows * p) * x
            a += weight
            b += weight * x
            c += weight * x * x
        return Likelihood(loss, (miss, lean), (a, b, c))

    line, there = fit_line(likelihood, scale.identity)
    intercept, slope = scale.back(line)
    half_0, half_1 = (Z * sqrt(variance) for variance in scale.variances(there.information))
    return (
        Estimate(slope, slope - half_1, slope + half_1, data.rows),
        Estimate(intercept, intercept - half_0, intercept + half_0, data.rows),
    )


def equal_bins(data: Scored, bins: int) -> list[tuple[float, int, int]]:
    """The (sum of scores, rows, positives) of each bin. Bins are of about equal size, ascending by score.

    A group of equal scores is never split, so there may be fewer bins. Bins without rows are left out.
    """
    sums = [[0.0, 0, 0] for _ in range(bins)]
    seen = 0
    for group in data.groups:
        place = min(bins - 1, int((seen + group.rows / 2) * bins / data.rows))
        sums[place][0] += group.score * group.rows
        sums[place][1] += group.rows
        sums[place][2] += group.positives
        seen += group.rows
    return [(total, int(rows), int(positives)) for total, rows, positives in sums if rows]


def ece(data: Scored, bins: int = 10) -> Estimate:
    """Expected calibration error: the mean distance of score and rate over bins of equal size (Naeini et al. 2015).

    Chance alone puts distance between a perfect score and a rate. So the square of each bin's distance is taken less
    its expected square by chance, and at least 0 (Kumar, Liang and Ma 2019). The interval's lower bound is the plain
    error less what a perfect model's error would be, and less its spread: it is 0 for nearly all perfect models.
    """
    value = plain = chance = spread = 0.0
    for total, rows, positives in equal_bins(data, bins):
        distance, rate, score = abs(total - positives) / rows, positives / rows, min(1.0, total / rows)
        square, weight = max(rate * (1 - rate), score * (1 - score)) / rows, rows / data.rows
        value += weight * sqrt(max(0.0, distance * distance - square))
        plain += weight * distance
        chance += weight * sqrt(square * 2 / pi)
        spread += weight * weight * square
    half = Z * sqrt(spread)
    return Estimate(value, min(value, max(0.0, plain - chance - half)), min(1.0, plain + half), data.rows)


def log_loss_gain(groups: Iterable[tuple[float, float, int, int]]) -> Estimate:
    """How far the log loss of a second score lies below the log loss of a first score, in nats a row.

    A group is (first score, second score, rows, positives). The interval is that of the differences row by row, because
    a row that is hard for both says nothing of which is better.
    """
    terms = []
    for first, second, rows, positives in groups:
        p, q = _clipped(first), _clipped(second)
        terms.append((log(q / p), log((1 - q) / (1 - p)), ScoreGroup(second, rows, positives)))
    return _mean(terms)


def lift(data: Scored, top: float) -> Estimate:
    """The rate among the `top` highest scores (a number of rows) over the rate of all, with the interval of `lift_of`.

    Equal scores on both sides of the edge count in proportion, which is their expected share.
    """
    if not 0 < top <= data.rows:
        raise EvidenceError(f"lift: the top {top} of {data.rows} rows; expected 1 to {data.rows}")
    taken = hits = 0.0
    for group in reversed(data.groups):
        share = min(1.0, (top - taken) / group.rows)
        taken += share * group.rows
        hits += share * group.positives
        if taken >= top:
            break
    return lift_of(hits, top, data)


def lift_of(hits: float, rows: float, data: Scored) -> Estimate:
    """The lift of some of the rows, of which `hits` are positive. `n` counts these rows.

    The interval is on the logarithm, by the spread of two independent rates, theirs and the others' (delta method). So
    a positive among these rows lifts the rate of all too. The interval ends where all positives that find a place among
    these rows are there. Where none is, half a positive says how far it could be.
    """
    value, rate = hits / rows / data.base_rate, data.base_rate
    most = min(data.positives, rows) / rows / rate
    share, left = rows / data.rows, data.rows - rows
    inside = min(max(hits, 0.5), rows - min(0.5, rows / 2)) / rows
    outside = max(0.0, data.positives - hits) / left if left else 0.0
    whole = share * inside + (1 - share) * outside
    variance = (1 / inside - share / whole) ** 2 * inside * (1 - inside) / rows
    if left:
        variance += ((1 - share) / whole) ** 2 * outside * (1 - outside) / left
    centre, half = inside / rate, Z * sqrt(variance)
    low, high = centre * exp(-half), min(most, centre * exp(half))
    return Estimate(value, min(value, low), max(value, high), round(rows))


def wilson(positives: float, rows: float) -> Estimate:
    """A rate with Wilson's interval (1927). Raises EvidenceError for no rows."""
    if rows <= 0:
        raise EvidenceError("rate: no rows to count")
    rate, z2 = positives / rows, Z * Z
    centre = (rate + z2 / (2 * rows)) / (1 + z2 / rows)
    half = Z / (1 + z2 / rows) * sqrt(max(0.0, rate * (1 - rate) / rows + z2 / (4 * rows * rows)))
    return Estimate(rate, min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)), round(rows))


def difference(rate: Estimate, other: Estimate) -> Estimate:
    """`rate` less `other`, which are independent rates with Wilson's intervals.

    The interval of the difference is by Newcombe's method 10 (1998).
    """
    value = rate.value - other.value
    low = value - sqrt((rate.value - rate.low) ** 2 + (other.high - other.value) ** 2)
    high = value + sqrt((rate.high - rate.value) ** 2 + (other.value - other.low) ** 2)
    return Estimate(value, low, high, rate.n + other.n)


FLOOR = 1e-4  # an empty bin would make the logarithm infinite


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Population stability index: the sum of (a - e) ln(a / e) over bins.

    `expected` and `actual` are shares of rows per bin, each of length k and of sum 1. Raises ValueError for different
    lengths.
    """
    if len(expected) != len(actual):
        raise ValueError(f"psi: {len(expected)} and {len(actual)} bins, expected as many of both")
    total = 0.0
    for e, a in zip(expected, actual, strict=True):
        e, a = max(e, FLOOR), max(a, FLOOR)
        total += (a - e) * log(a / e)
    return total


def psi_noise(bins: int, reference: int, current: int) -> float:
    """The mean PSI without any drift: (k - 1)(1/n + 1/m), the limit by the chi-square distribution (Yurdakul 2018)."""
    return (bins - 1) * (1 / reference + 1 / current)


def shares(counts: Sequence[int]) -> list[float]:
    """The counts per bin as shares of their sum. Every share is 0 where the sum is 0."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def is_ascending(values: Sequence[float]) -> bool:
    return all(before < after for before, after in pairwise(values))


def _variance(total: float, squares: float, count: int) -> float:
    return max(0.0, (squares - total * total / count) / (count - 1)) if count > 1 else 0.0


def _mean(terms: Iterable[tuple[float, float, ScoreGroup]]) -> Estimate:
    """The mean of a loss over rows, with its normal interval.

    A term is (loss of a positive row, loss of a negative row, group).
    """
    total = squares = 0.0
    count = 0
    for positive, negative, group in terms:
        negatives = group.rows - group.positives
        total += group.positives * positive + negatives * negative
        squares += group.positives * positive * positive + negatives * negative * negative
        count += group.rows
    half = Z * sqrt(_variance(total, squares, count) / count)
    return Estimate(total / count, total / count - half, total / count + half, count)


def _bounded(value: float, error: float, n: int) -> Estimate:
    return Estimate(value, max(0.0, value - Z * error), min(1.0, value + Z * error), n)


def _clipped(score: float) -> float:
    return min(1 - _CLIP, max(_CLIP, score))


def _logit(p: float) -> float:
    return log(p / (1 - p))


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))
