"""When a tenant's day is a breach: what must ring, what must not, and how often chance rings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.ingest.domain.breaches import DayCounts, rhythm
from propensity.ingest.domain.breaches import DayVerdict as Verdict
from propensity.ingest.domain.breaches import judge_day as judge
from propensity.pack.domain.definition import QuarantineLimits

LIMITS = QuarantineLimits()
DAY = date(2026, 3, 2)


def counts(day: date, rows: int = 1_000, bad: int = 10, files: int = 1, rejected: int = 0) -> DayCounts:
    return DayCounts(day, files, rejected, rows, rows - bad, bad)


def days(number: int, step: int = 1) -> list[date]:
    return [DAY - timedelta(days=step * back) for back in range(number, 0, -1)]


def usual(number: int = 28, **given: int) -> list[DayCounts]:
    return [counts(day, **given) for day in days(number)]


def told(verdict: Verdict) -> tuple[str | None, str | None]:
    return verdict.breach, verdict.measure


def test_a_day_like_the_others_is_no_breach_and_says_what_it_rests_on() -> None:
    verdict = judge(DAY, counts(DAY), usual(), LIMITS)
    assert told(verdict) == (None, None)
    assert (verdict.baseline, verdict.days) == (0.01, 28)
    assert verdict.limit == pytest.approx(0.06)
    assert verdict.rate is not None
    assert (verdict.rate.value, verdict.rate.n) == (0.01, 1_000)
    assert verdict.rate.low < 0.01 < verdict.rate.high
    assert verdict.rhythm is not None
    assert (verdict.rhythm.usual_gap, verdict.rhythm.longest_gap, verdict.rhythm.gaps) == (1, 1, 27)


@pytest.mark.parametrize(
    ("today", "before", "breach"),
    [
        ({"bad": 100}, {}, ("jump", "rate")),
        ({"bad": 65}, {}, (None, None)),  # its lower bound is below the limit of 6 %
        ({"bad": 280}, {"bad": 200}, (None, None)),  # less than half above what is usual
        ({"bad": 400}, {"bad": 200}, ("jump", "rate")),
        ({"rows": 100, "bad": 100}, {}, ("fall", "rows")),  # too few rows for a rate, but far fewer than ever
        ({"rows": 100, "bad": 100}, {"rows": 100, "bad": 0}, (None, None)),
        ({"rows": 499, "bad": 0}, {}, ("fall", "rows")),
        ({"rows": 501, "bad": 0}, {}, (None, None)),
        ({"rows": 0, "bad": 0, "rejected": 1}, {}, ("jump", "files")),
        ({"rows": 0, "bad": 0, "rejected": 1}, {"files": 2, "rejected": 1}, (None, None)),
        ({"files": 9}, {"files": 24}, ("fall", "files")),
        ({"files": 1}, {"files": 10}, (None, None)),
    ],
)
def test_jumps_and_falls(today: dict[str, int], before: dict[str, int], breach: tuple[str | None, str | None]) -> None:
    assert told(judge(DAY, counts(DAY, **today), usual(**before), LIMITS)) == breach


def test_small_days_and_short_histories_do_not_ring() -> None:
    assert told(judge(DAY, counts(DAY, rows=199, bad=199), usual(rows=199, bad=0), LIMITS)) == (None, None)
    assert told(judge(DAY, counts(DAY, bad=1_000), usual(6), LIMITS)) == (None, None)
    assert told(judge(DAY, counts(DAY, rows=0, bad=0, rejected=1), usual(19), LIMITS)) == (None, None)
    assert told(judge(DAY, None, usual(5), LIMITS)) == (None, None)


def test_one_past_accident_hides_no_second_one() -> None:
    before = [*usual(27), counts(DAY - timedelta(days=1), bad=900)]
    assert told(judge(DAY, counts(DAY, bad=900), before, LIMITS)) == ("jump", "rate")


def test_smaller_saturdays_are_no_fall() -> None:
    before = [counts(day, rows=150 if day.weekday() == 5 else 1_000) for day in days(28)]
    saturday = DAY + timedelta(days=5)
    assert saturday.weekday() == 5
    before += [counts(DAY + timedelta(days=ahead)) for ahead in range(5)]
    assert told(judge(saturday, counts(saturday, rows=120, bad=0), before, LIMITS)) == (None, None)


def test_a_daily_file_is_missed_on_the_first_day_and_a_weekly_one_when_its_week_is_over() -> None:
    assert told(judge(DAY, None, usual(), LIMITS)) == ("missing", "files")
    weekly = [counts(day) for day in days(8, step=7)]
    late = [
        ahead for ahead in range(1, 9) if judge(weekly[-1].day + timedelta(days=ahead), None, weekly, LIMITS).breach
    ]
    assert late == [7, 8]


def test_weekends_are_no_gap_and_the_monday_after_one_is() -> None:
    working = [day for day in days(58) if day.weekday() < 5]
    beat = rhythm(working, DAY, LIMITS)
    assert beat is not None
    assert (beat.usual_gap, beat.longest_gap, beat.gaps) == (1, 3, len(working) - 1)
    friday = beat.last
    assert friday.weekday() == 4
    after = [friday + timedelta(days=ahead) for ahead in (1, 2, 3)]
    assert [beat.missing(day) for day in after] == [False, False, True]
    assert [beat.expected(day) for day in after] == [True, True, True]


def test_who_stopped_for_good_is_told_until_nothing_is_known_of_them() -> None:
    before = usual()
    rung = [ahead for ahead in range(70) if judge(DAY + timedelta(days=ahead), None, before, LIMITS).breach]
    assert rung == list(range(55))  # until five gaps are no longer in the window of 60 days


@given(
    bad=st.integers(0, 1_000),
    history=st.lists(st.tuples(st.integers(0, 3_000), st.floats(0, 1), st.integers(1, 3)), max_size=40),
)
def test_the_decision_knows_no_future_and_no_order(bad: int, history: list[tuple[int, float, int]]) -> None:
    before = [
        counts(DAY - timedelta(days=back), rows=rows, bad=int(rows * share), files=files)
        for back, (rows, share, files) in enumerate(history, start=1)
    ]
    verdict = judge(DAY, counts(DAY, bad=bad), before, LIMITS)
    later = [counts(DAY + timedelta(days=1), bad=1_000), counts(DAY, bad=0)]
    assert judge(DAY, counts(DAY, bad=bad), [*later, *reversed(before)], LIMITS) == verdict
    if verdict.breach == "jump":
        assert judge(DAY, counts(DAY, bad=1_000), before, LIMITS).breach == "jump"


def beta_days(random: np.random.Generator, mean: float, spread: float, rows: float) -> Iterator[DayCounts]:
    """Rows of a day lognormal around `rows` (sd 0.3), its true rate beta with mean and sd."""
    strength = mean * (1 - mean) / spread**2 - 1
    for ahead in range(29):
        number = max(1, int(random.lognormal(np.log(rows), 0.3)))
        bad = int(random.binomial(number, random.beta(mean * strength, (1 - mean) * strength)))
        yield counts(DAY + timedelta(days=ahead - 28), rows=number, bad=bad)


@pytest.mark.parametrize(
    ("mean", "spread", "rows", "allowed"),
    [(0.01, 0.005, 1_700, 0.001), (0.01, 0.02, 1_700, 0.02), (0.2, 0.05, 1_700, 0.005), (0.05, 0.02, 250, 0.005)],
)
def test_chance_seldom_rings(mean: float, spread: float, rows: float, allowed: float) -> None:
    """Days whose true rates differ: far more than rows that are independent would make them."""
    random, n = np.random.default_rng(7), 4_000
    rung = {"jump": 0, "fall": 0}
    for _ in range(n):
        *before, today = beta_days(random, mean, spread, rows)
        breach = judge(DAY, today, before, LIMITS).breach
        if breach:
            rung[breach] += 1
    print(f"mean {mean}, sd {spread}, {rows} rows: {rung} of n={n} days")
    assert sum(rung.values()) <= allowed * n


def test_files_that_come_a_day_early_or_late_seldom_count_as_missing() -> None:
    random, n = np.random.default_rng(7), 4_000
    rung = 0
    for _ in range(n):
        day, came = DAY, []
        for _ in range(9):
            came.append(day)
            day += timedelta(days=int(random.integers(6, 9)))
        beat = rhythm(came, came[-1] + timedelta(days=1), LIMITS)
        assert beat is not None
        rung += any(beat.missing(came[-1] + timedelta(days=ahead)) for ahead in range(1, (day - came[-1]).days))
    print(f"weekly, a day early or late: {rung} of n={n} gaps called missing")
    assert rung <= 0.05 * n


@pytest.mark.parametrize(("before", "after"), [(0.01, 0.15), (0.2, 0.5)])
def test_a_true_jump_is_found(before: float, after: float) -> None:
    random, n = np.random.default_rng(7), 1_000
    found = 0
    for _ in range(n):
        *past, _ = beta_days(random, before, before / 4, 1_700)
        *_, today = beta_days(random, after, after / 10, 1_700)
        found += judge(DAY, today, past, LIMITS).breach == "jump"
    print(f"{before} to {after}: found {found} of n={n}")
    assert found >= 0.85 * n
