"""The as-of dates of a training, and the day on which a run was last due."""

from __future__ import annotations

from datetime import date, timedelta

from propensity.pack.domain.model_spec import Cadence, ModelSpec

_ORIGIN = 2000  # the year from whose anchor month the months of a cadence are counted


def months_before(day: date, months: int) -> date:
    """Return the same day of an earlier month, or the last day of that month if the month is shorter."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise ValueError(f"no day in {year}-{month + 1}")


def training_dates(spec: ModelSpec, run_date: date) -> tuple[date, ...]:
    """Return the as-of dates of the training set, oldest first.

    The label window of each date has ended and settled by the run's date. A date from before the data begins gives no
    rows.
    """
    newest = run_date - timedelta(days=spec.reach_days)
    if spec.training.every_months is not None:
        # as-of dates fall on the run's own day of the month, like the dates of scoring
        aligned = 0
        while months_before(run_date, aligned) > newest:
            aligned += 1
        step = spec.training.every_months
        days = [months_before(run_date, aligned + step * index) for index in range(spec.training.as_of_count)]
    else:
        every = timedelta(days=spec.training.every_days or 0)
        days = [newest - every * index for index in range(spec.training.as_of_count)]
    return tuple(sorted(days))


def last_training_due(cadence: Cadence, slot: date) -> date:
    """Return the newest day on which a training is due, not after the slot's day."""
    return _last_of(cadence, slot, cadence.train_every_months, cadence.train_every_days)


def last_scoring_due(cadence: Cadence, slot: date) -> date:
    """Return the newest day on which a batch is due, not after the slot's day."""
    return _last_of(cadence, slot, cadence.score_every_months, cadence.score_every_days)


def _last_of(cadence: Cadence, slot: date, months: int, days: int | None) -> date:
    if days is not None:
        return slot - timedelta(days=(slot - cadence.anchor_day).days % days)
    return last_due(cadence, slot, months)


def last_due(cadence: Cadence, slot: date, every_months: int) -> date:
    """Return the newest day on which a run is due, not after the slot's day.

    Months are counted on from `anchor_month` of the year 2000, over the ends of years: every 5 months is every 5.
    """
    year, month = slot.year, slot.month
    while True:
        if ((year - _ORIGIN) * 12 + month - cadence.anchor_month) % every_months == 0 and date(
            year, month, cadence.day
        ) <= slot:
            return date(year, month, cadence.day)
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def next_training_due(cadence: Cadence, day: date) -> date:
    """Return the first day on which a training is due, this day or later."""
    while last_training_due(cadence, day) != day:
        day += timedelta(days=1)
    return day


def next_scoring_due(cadence: Cadence, day: date) -> date:
    """Return the first day on which a batch is due, this day or later."""
    while last_scoring_due(cadence, day) != day:
        day += timedelta(days=1)
    return day
