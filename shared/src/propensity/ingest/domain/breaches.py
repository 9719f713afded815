"""Whether a day of a tenant's files is out of the ordinary, by that tenant's own days before.

Bad rows come in clusters (one wrong export spoils thousands), so days are held against days and not rows against rows:
what one day in ten passes is ordinary, weekends and Mondays included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from typing import Literal

from propensity.pack.domain.definition import QuarantineLimits
from propensity.stats.figures import Estimate, wilson

Breach = Literal["jump", "fall", "missing"]
Measure = Literal["rate", "files", "rows"]


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What came of one tenant's files of one dataset on one day. rows_in = bronze + quarantine; a file that was
    refused whole has no rows."""

    day: date
    files: int
    files_rejected: int
    rows_in: int
    bronze: int
    quarantine: int


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a tenant's files of a dataset come: days between days with files, by the last `gaps` of them."""

    last: date
    usual_gap: float
    longest_gap: int
    gaps: int

    def expected(self, day: date) -> bool:
        """Whether it is as long since the last file as it usually is, or longer."""
        return (day - self.last).days >= self.usual_gap

    def missing(self, day: date) -> bool:
        """Whether a day without a file makes this gap longer than any before."""
        return (day - self.last).days >= self.longest_gap


def rhythm(days: Iterable[date], before: date, limits: QuarantineLimits) -> Rhythm | None:
    """From the days with files in the window before a day; None where they are too few to tell."""
    first = before - timedelta(days=limits.rhythm_days)
    came = sorted({day for day in days if first <= day < before})
    gaps = [(other - one).days for one, other in pairwise(came)]
    if len(gaps) < limits.min_gaps:
        return None
    return Rhythm(came[-1], median(gaps), max(gaps), len(gaps))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rate` is the day's share of quarantined rows, `baseline` the median of those of `days` days before, and `limit`
    what the rate's lower bound must pass to be a jump; None where there is too little to tell."""

    rate: Estimate | None
    baseline: float | None
    limit: float | None
    days: int
    rhythm: Rhythm | None
    breach: Breach | None = None
    measure: Measure | None = None


def judge(day: date, counts: DayCounts | None, before: Sequence[DayCounts], limits: QuarantineLimits) -> Verdict:
    """A day's counts, None where no file came, against the tenant's days before.

    `missing`: no file, after a longer gap than any before. `jump`: a higher rate than on nine days in ten, by `jump`
    and by half at least; or more refused files than chance explains (Wilson's intervals apart). `fall`: fewer rows or
    files than `fall` times what nine days in ten bring.
    """
    window = [one for one in before if day - timedelta(days=limits.window_days) <= one.day < day and one.files]
    rates = sorted(one.quarantine / one.rows_in for one in window if one.rows_in >= limits.min_rows)
    enough = len(rates) >= limits.min_days
    high = _ninth_of_ten(rates) if enough else None
    limit = max(high + limits.jump, 1.5 * high) if high is not None else None
    found = Verdict(
        rate=wilson(counts.quarantine, counts.rows_in) if counts and counts.rows_in else None,
        baseline=median(rates) if enough else None,
        limit=limit,
        days=len(rates),
        rhythm=rhythm([one.day for one in before if one.files], day, limits),
    )
    breach, measure = _breach(day, counts, window, found, limits)
    return replace(found, breach=breach, measure=measure)


def _breach(
    day: date, counts: DayCounts | None, window: Sequence[DayCounts], found: Verdict, limits: QuarantineLimits
) -> tuple[Breach | None, Measure | None]:
    if counts is None:
        return ("missing", "files") if found.rhythm and found.rhythm.missing(day) else (None, None)
    if counts.files_rejected and _refuses_more(counts, window, limits):
        return "jump", "files"
    if found.rate and found.limit is not None and counts.rows_in >= limits.min_rows and found.rate.low > found.limit:
        return "jump", "rate"
    whole = [one for one in window if not one.files_rejected]
    # rows that a refused file held are not known: such a day is no measure, and is not measured
    if not counts.files_rejected and _falls(counts.rows_in, [one.rows_in for one in whole], limits, limits.min_rows):
        return "fall", "rows"
    if _falls(counts.files, [one.files for one in window], limits, limits.min_files):
        return "fall", "files"
    return None, None


def _refuses_more(counts: DayCounts, window: Sequence[DayCounts], limits: QuarantineLimits) -> bool:
    files = sum(one.files for one in window)
    if files < limits.min_files:
        return False
    usual = wilson(sum(one.files_rejected for one in window), files)
    return wilson(counts.files_rejected, counts.files).low > usual.high


def _falls(value: int, before: Sequence[int], limits: QuarantineLimits, least: int) -> bool:
    """`least`: of the usual day, below which numbers are too small to tell."""
    if len(before) < limits.min_days or median(before) < least:
        return False
    return value < limits.fall * sorted(before)[len(before) // 10]


def _ninth_of_ten(ordered: Sequence[float]) -> float:
    return ordered[ceil(0.9 * len(ordered)) - 1]
