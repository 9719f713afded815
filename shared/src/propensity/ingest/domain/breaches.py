"""Judges whether a tenant's day is out of the ordinary for one dataset, by the tenant's own days before.

Bad rows come in clusters, because one wrong export spoils thousands of rows. So a day is compared with days, and a row
is never compared with rows. A figure that one day in ten exceeds is ordinary. Weekends and Mondays count as days.
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
BreachMeasure = Literal["rate", "files", "rows"]  # the name of the figure that breaches


@dataclass(frozen=True, slots=True)
class DayCounts:
    """The counts of one tenant's files of one dataset on one day.

    rows_in = bronze + quarantine. A file that was refused whole counts in `files_rejected` and brings no rows.
    """

    day: date
    files: int
    files_rejected: int
    rows_in: int
    bronze: int
    quarantine: int


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The rhythm in which a tenant sends files of a dataset.

    A gap is the number of days from one day with files to the next. `usual_gap` is the median of the last `gaps` gaps,
    `longest_gap` is their maximum, and `last` is the newest day with files.
    """

    last: date
    usual_gap: float
    longest_gap: int
    gaps: int

    def expected(self, day: date) -> bool:
        """Whether the usual gap since the last day with files has passed on this day."""
        return (day - self.last).days >= self.usual_gap

    def missing(self, day: date) -> bool:
        """Whether a day without a file makes the present gap longer than any gap before."""
        return (day - self.last).days >= self.longest_gap


def rhythm(days: Iterable[date], before: date, limits: QuarantineLimits) -> Rhythm | None:
    """The rhythm of the days with files among the `limits.rhythm_days` before a day.

    The rhythm is None where there are fewer than `limits.min_gaps` gaps.
    """
    first = before - timedelta(days=limits.rhythm_days)
    came = sorted({day for day in days if first <= day < before})
    gaps = [(later - earlier).days for earlier, later in pairwise(came)]
    if len(gaps) < limits.min_gaps:
        return None
    return Rhythm(came[-1], median(gaps), max(gaps), len(gaps))


@dataclass(frozen=True, slots=True)
class DayVerdict:
    """The verdict whether a day breaches, and the figures behind the verdict.

    `rate` is the day's share of quarantined rows with its interval. `baseline` is the median share of the `days` days
    before. The day is a jump where the lower bound of `rate` exceeds `limit`. Each figure is None where data is too
    scarce.
    """

    rate: Estimate | None
    baseline: float | None
    limit: float | None
    days: int
    rhythm: Rhythm | None
    breach: Breach | None = None
    measure: BreachMeasure | None = None


def judge_day(day: date, counts: DayCounts | None, before: Sequence[DayCounts], limits: QuarantineLimits) -> DayVerdict:
    """Compare a day's counts with the tenant's days before. None for the counts means that no file came.

    The verdict is `missing` where no file came, and the gap is now longer than any gap before.
    The verdict is `jump` where the rate exceeds the rate of nine days in ten, both by `limits.jump` and by half of that
    rate. It is also `jump` where more files were refused than chance explains: the Wilson intervals of the two shares
    do not overlap.
    A day whose every file was refused is not compared by rows; beside a refused file, the rows of the others count.
    The verdict is `fall` where rows or files are below `limits.fall` times the figure that nine days in ten reach.
    """
    first = day - timedelta(days=limits.window_days)
    window = [past for past in before if first <= past.day < day and past.files]
    rates = sorted(past.quarantine / past.rows_in for past in window if past.rows_in >= limits.min_rows)
    enough = len(rates) >= limits.min_days
    high = _ninth_of_ten(rates) if enough else None
    limit = max(high + limits.jump, 1.5 * high) if high is not None else None
    verdict = DayVerdict(
        rate=wilson(counts.quarantine, counts.rows_in) if counts and counts.rows_in else None,
        baseline=median(rates) if enough else None,
        limit=limit,
        days=len(rates),
        rhythm=rhythm([past.day for past in before if past.files], day, limits),
    )
    breach, measure = _breach(day, counts, window, verdict, limits)
    return replace(verdict, breach=breach, measure=measure)


def _breach(
    day: date, counts: DayCounts | None, window: Sequence[DayCounts], verdict: DayVerdict, limits: QuarantineLimits
) -> tuple[Breach | None, BreachMeasure | None]:
    rate, limit = verdict.rate, verdict.limit
    if counts is None:
        return ("missing", "files") if verdict.rhythm and verdict.rhythm.missing(day) else (None, None)
    if counts.files_rejected and _refuses_more(counts, window, limits):
        return "jump", "files"
    if rate and limit is not None and counts.rows_in >= limits.min_rows and rate.low > limit:
        return "jump", "rate"
    # nobody knows how many rows a refused file had; where every file was refused, the day has no rows to compare
    read = [past.rows_in for past in window if past.files > past.files_rejected]
    if counts.files > counts.files_rejected and _falls(counts.rows_in, read, limits, limits.min_rows):
        return "fall", "rows"
    if _falls(counts.files, [past.files for past in window], limits, limits.min_files):
        return "fall", "files"
    return None, None


def _refuses_more(counts: DayCounts, window: Sequence[DayCounts], limits: QuarantineLimits) -> bool:
    files = sum(past.files for past in window)
    if files < limits.min_files:
        return False
    usual = wilson(sum(past.files_rejected for past in window), files)
    return wilson(counts.files_rejected, counts.files).low > usual.high


def _falls(value: int, before: Sequence[int], limits: QuarantineLimits, least: int) -> bool:
    """Whether a value is too low. No value is too low where the median day is below `least`.

    Numbers below `least` are too small to tell.
    """
    if len(before) < limits.min_days or median(before) < least:
        return False
    return value < limits.fall * sorted(before)[len(before) // 10]


def _ninth_of_ten(ordered: Sequence[float]) -> float:
    return ordered[ceil(0.9 * len(ordered)) - 1]
