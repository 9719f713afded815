"""What a feature seems to know of the future, told from how its values behave over the dates of a training set.

A feature as of a date is made of the past, so it moves when an outcome happened, and it tells past outcomes at least
about as well as coming ones. A column that was written later, for example an extract's newest value, does neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_CLASS = 10  # rows of each class; an AUC of fewer can be high by chance
_ENOUGH = 5  # so many features have a usual AUC, from which one can be far off


@dataclass(frozen=True, slots=True)
class Foresight:
    """The evidence about one feature. Every AUC is in [0.5, 1], in either direction, of the feature alone.

    `alone` is for the coming outcomes. `ahead` and `behind` are for the coming and the past outcomes of the same rows;
    they are None where too few rows have both. `moving` is the share of entities' steps, from a date to the next, in
    which the value did other than pass the time; it is None where no entity with both outcomes has several dates.
    `oddness` is how far `alone` is above the features' median, in robust standard deviations; None among few features.
    """

    name: str
    alone: float
    ahead: float | None
    behind: float | None
    moving: float | None
    oddness: float | None


@dataclass(frozen=True, slots=True)
class History:
    """Rows of entities over dates, (n,) each: `entity` as int64 codes, `day` as datetime64[D], `label` as 0 and 1.

    `before` says where the entity's newest earlier row stands whose outcome was known by the row's day; -1 without one.
    `newest` is the mask of the rows that are judged.
    """

    entity: Any
    day: Any
    label: Any
    before: Any
    newest: Any


def earlier_rows(entity: Any, day: Any, reach_days: int) -> Any:
    """Where each row's `History.before` stands, int64 (n,). An outcome is known `reach_days` after its day."""
    order = np.lexsort((day, entity))
    before = np.full(len(order), -1, dtype=np.int64)
    reach = np.timedelta64(reach_days, "D")
    last = order
    for back in range(1, len(np.unique(day))):
        here, there = last[back:], last[:-back]
        fits = (entity[here] == entity[there]) & (day[there] + reach <= day[here]) & (before[here] < 0)
        before[here[fits]] = there[fits]
    return before


def foresight_of(names: Sequence[str], matrix: Any, rows: History) -> list[Foresight]:
    """The evidence about each column of a matrix, float32 (n, k) with NaN for missing."""
    newest = np.flatnonzero(rows.newest)
    paired = newest[rows.before[newest] >= 0]
    now, then = rows.label[paired], rows.label[rows.before[paired]]
    steps = _steps(rows)
    alone = [_either_way(matrix[newest, number], rows.label[newest]) or 0.5 for number in range(len(names))]
    middle = float(np.median(alone))
    spread = 1.4826 * float(np.median(np.abs(np.array(alone) - middle)))
    return [
        Foresight(
            name,
            alone[number],
            _either_way(matrix[paired, number], now),
            _either_way(matrix[paired, number], then),
            _moving(matrix[:, number], rows.day, *steps),
            (alone[number] - middle) / max(spread, 0.02) if len(names) >= _ENOUGH else None,
        )
        for number, name in enumerate(names)
    ]


def rank_area(values: Any, labels: Any) -> float:
    """The AUC of values, (n,), for labels 0 and 1 of which both are there. A tie counts half."""
    _, place = np.unique(values, return_inverse=True)
    positives = np.bincount(place, weights=labels)
    negatives = np.bincount(place) - positives
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / (positives.sum() * negatives.sum()))


def _either_way(values: Any, labels: Any) -> float | None:
    """The AUC in either direction, with missing values as the least or as the greatest; None with too few rows."""
    positives = int(labels.sum())
    if min(positives, len(labels) - positives) < LEAST_CLASS:
        return None
    found = []
    for missing in (-np.inf, np.inf):
        value = rank_area(np.where(np.isfinite(values), values, missing), labels)
        found += [value, 1 - value]
    return max(found)


def _steps(rows: History) -> tuple[Any, Any]:
    """The steps (from, to) of entities whose outcome differs between their dates, from each date to the next."""
    order = np.lexsort((rows.day, rows.entity))
    entity = rows.entity[order]
    codes = np.unique(entity, return_inverse=True)[1]
    counts = np.bincount(codes)
    positives = np.bincount(codes, weights=rows.label[order])
    differs = ((positives > 0) & (positives < counts))[codes]
    same = (entity[1:] == entity[:-1]) & differs[1:]
    return order[:-1][same], order[1:][same]


def _moving(values: Any, day: Any, start: Any, end: Any) -> float | None:
    """The share of steps in which a value did other than the usual of these two dates.

    A value that only counts the days down moves alike for everyone, and so does not move here.
    """
    if len(start) < LEAST_CLASS:
        return None
    before, after = values[start].astype(np.float64), values[end].astype(np.float64)
    known = np.isfinite(before) & np.isfinite(after)
    moved = np.isfinite(before) != np.isfinite(after)
    change = np.where(known, after - np.where(known, before, 0), 0.0)
    pairs = np.unique(np.stack([day[start].astype(np.int64), day[end].astype(np.int64)]), axis=1, return_inverse=True)[
        1
    ]
    scale = max(float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0, 1e-9) * 1e-5
    for pair in np.unique(pairs):
        here = known & (pairs == pair)
        if here.any():
            usual = float(np.median(change[here]))
            moved[here] = np.abs(change[here] - usual) > scale
    return float(moved.mean())
