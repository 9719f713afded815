"""The figures of a matchback: what scored customers then did, and how good the scores were.

Rates and lift are by decile and by other segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from propensity.stats.figures import (
    Estimate,
    Scored,
    auc,
    average_precision,
    brier,
    brier_skill,
    calibration,
    difference,
    ece,
    lift,
    wilson,
)

HIGH, LOW = range(8, 11), range(1, 4)  # the segments `high` and `low` are the top three deciles and the bottom three


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of gold/matchback: a figure with its interval and n, and the number of conversions among its n rows."""

    segment: str
    measure: str
    estimate: Estimate
    positives: int


@dataclass(frozen=True, slots=True)
class DecileCount:
    """The matched customers of one decile (10 is the likeliest), and how many of them converted."""

    decile: int
    rows: int
    positives: int


def measures(data: Scored, deciles: Sequence[DecileCount], chosen: tuple[int, int] | None) -> list[Measure]:
    """Return all figures of a matchback.

    `chosen` has the size and the conversions of the manual filter's list; it is None without a filter.
    """
    everyone = wilson(data.positives, data.rows)
    out = [Measure("all", "rate", everyone, data.positives), *_quality(data)]
    for count in deciles:
        out += _segment(f"decile_{count.decile}", count.rows, count.positives, data)
    high = _sum(deciles, HIGH)
    low = _sum(deciles, LOW)
    if high.rows and low.rows:
        out += _segment("high", high.rows, high.positives, data) + _segment("low", low.rows, low.positives, data)
        gap = difference(wilson(high.positives, high.rows), wilson(low.positives, low.rows))
        out.append(Measure("high_against_low", "rate_difference", gap, high.positives + low.positives))
    if chosen and chosen[0]:
        size, hits = chosen
        out += _segment("filter", size, hits, data)
        out.append(Measure("model_at_filter_size", "lift", lift(data, size), data.positives))
    return out


def _quality(data: Scored) -> list[Measure]:
    slope, intercept = calibration(data)
    figures = {
        "auc": auc(data),
        "average_precision": average_precision(data),
        "brier": brier(data),
        "brier_skill": brier_skill(data),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "ece": ece(data),
    }
    out = [Measure("all", name, figure, data.positives) for name, figure in figures.items()]
    top = Measure("top_decile", "lift", lift(data, data.rows / 10), data.positives)
    return [*out, top]


def _segment(name: str, rows: int, positives: int, data: Scored) -> list[Measure]:
    rate = wilson(positives, rows)
    return [
        Measure(name, "rate", rate, positives),
        Measure(name, "lift", rate.scaled(1 / data.base_rate), positives),
    ]


@dataclass(frozen=True, slots=True)
class _Sum:
    rows: int
    positives: int


def _sum(deciles: Sequence[DecileCount], wanted: range) -> _Sum:
    chosen = [count for count in deciles if count.decile in wanted]
    return _Sum(sum(count.rows for count in chosen), sum(count.positives for count in chosen))
