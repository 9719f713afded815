"""What a feature seems to know of the future, told from how its values behave over the dates of a training set.

A feature as of a date is made of the past. A sign of a coming outcome has to appear at some time before it, and it
tells the outcomes of every date about as well. A column that was written later, for example an extract's newest value,
knows the outcome from the first date on: it never moves towards the outcome, and it tells the last outcomes best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import numpy as np

LEAST_CLASS = 10  # rows of each class; an AUC of fewer can be high by chance
_STRATA = 40
_IN_STRATUM = 500
_FEW = 5  # a feature of so few values puts customers into groups


@dataclass(frozen=True, slots=True)
class Change:
    """A difference and its standard error."""

    value: float
    error: float

    def above(self, least: float, errors: float) -> bool:
        return self.value >= least and self.value >= errors * self.error


@dataclass(frozen=True, slots=True)
class Foresight:
    """The evidence about one feature. Every AUC is of the feature alone, in [0.5, 1] for the coming outcomes.

    `alone` is on the newest fold, in the direction and with missing values where they rank best. `early` is the same
    on the older half of the dates, and `rise` is `alone` less `early`. `behind` is for the past outcomes of the newest
    fold's rows, and `fade` is the AUC of their coming outcomes less `behind`. `towards` is the share of the steps, from
    a date to the next, in which the value moved towards the outcome, of entities whose outcome is not always the same.
    Fields are None where too few rows or steps say anything.

    `together` says how the outcomes of an entity's dates depend on each other, among entities of like values: 1 is not
    at all, below 1 they exclude each other. `together_alone` is the same among all entities. `exclusion` is by how many
    standard errors they exclude each other. `none` is how many positives one group of a few-valued feature should have
    by the rate of all, where it has none on any date; else 0.
    """

    name: str
    alone: float
    early: float | None
    rise: Change | None
    behind: float | None
    fade: Change | None
    towards: float | None
    together: float
    together_alone: float
    exclusion: float
    none: float


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
    found = _Rows(rows)
    return [found.evidence(name, matrix[:, number].astype(np.float64)) for number, name in enumerate(names)]


def rank_area(values: Any, labels: Any) -> float:
    """The AUC of values, (n,), for labels 0 and 1 of which both are there. A tie counts half."""
    _, place = np.unique(values, return_inverse=True)
    positives = np.bincount(place, weights=labels)
    negatives = np.bincount(place) - positives
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / (positives.sum() * negatives.sum()))


def area_error(area: float, labels: Any) -> float:
    """The standard error of an AUC (Hanley and McNeil 1982), at least that of half a row on the other side."""
    positives = float(labels.sum())
    negatives = len(labels) - positives
    inner = min(max(area, 1 - area), 1 - 0.5 / max(positives, negatives))
    first, second = inner / (2 - inner), 2 * inner**2 / (1 + inner)
    spread = inner * (1 - inner) + (positives - 1) * (first - inner**2) + (negatives - 1) * (second - inner**2)
    return sqrt(max(spread, 0.0) / (positives * negatives))


class _Rows:
    """What is the same for every feature of a training set."""

    def __init__(self, rows: History) -> None:
        self.rows = rows
        self.newest = np.flatnonzero(rows.newest)
        self.paired = self.newest[rows.before[self.newest] >= 0]
        self.date = np.unique(rows.day, return_inverse=True)[1]
        last = self.date[self.newest].max() if len(self.newest) else 0
        self.early = [np.flatnonzero(self.date == number) for number in range((int(last) + 1) // 2)]
        self.start, self.end = _steps(rows)
        self.entity = np.unique(rows.entity, return_inverse=True)[1]
        self.entities = int(self.entity.max()) + 1
        self.together_alone = self._together(np.zeros(len(rows.label), dtype=np.int64))[0]

    def evidence(self, name: str, values: Any) -> Foresight:
        labels = self.rows.label
        if not _enough(labels[self.newest]):
            return Foresight(name, 0.5, None, None, None, None, None, 1.0, 1.0, 0.0, 0.0)
        alone, ranked = _best(values, self.newest, labels)
        early, rise = self._early(ranked, alone)
        behind = fade = None
        if _enough(labels[self.paired]) and _enough(then := labels[self.rows.before[self.paired]]):
            ahead, behind = rank_area(ranked[self.paired], labels[self.paired]), rank_area(ranked[self.paired], then)
            errors = (area_error(ahead, labels[self.paired]), area_error(behind, then))
            fade = Change(ahead - behind, sqrt(errors[0] ** 2 + errors[1] ** 2))
        together, exclusion = self._together(_strata(ranked))
        none = self._none(values)
        towards = self._towards(ranked)
        return Foresight(
            name, alone, early, rise, behind, fade, towards, together, self.together_alone, exclusion, none
        )

    def _early(self, ranked: Any, alone: float) -> tuple[float | None, Change | None]:
        """The AUC on the older dates, weighted by pairs, and the rise since."""
        labels, parts = self.rows.label, []
        for there in self.early:
            positives = int(labels[there].sum())
            pairs = positives * (len(there) - positives)
            if pairs:
                area = rank_area(ranked[there], labels[there])
                parts.append((pairs, area, area_error(area, labels[there]), positives))
        if sum(part[3] for part in parts) < LEAST_CLASS:
            return None, None
        pairs = sum(part[0] for part in parts)
        early = sum(part[0] * part[1] for part in parts) / pairs
        variance = sum((part[0] * part[2]) ** 2 for part in parts) / pairs**2
        return early, Change(alone - early, sqrt(variance + area_error(alone, labels[self.newest]) ** 2))

    def _towards(self, ranked: Any) -> float | None:
        if len(self.start) < LEAST_CLASS:
            return None
        before, after = ranked[self.start], ranked[self.end]
        known = np.isfinite(ranked)
        slack = 1e-5 * float(np.abs(ranked[known]).max()) if known.any() else 0.0
        both = np.isfinite(before) & np.isfinite(after)
        gained = np.subtract(after, before, where=both, out=np.zeros(len(before)))
        moved = np.where(both, gained > slack, after > before)
        return float(moved.mean())

    def _together(self, strata: Any) -> tuple[float, float]:
        """How the outcomes of an entity's dates depend on each other within strata: (ratio, errors below 1).

        Under independence the products of an entity's residuals sum to 0. An honest value leaves differences between
        customers, so outcomes come together. A value that counts outcomes leaves the contrary: who had theirs on one
        date has none to come. Dates next to each other are left out, because who has just bought may need nothing.
        """
        rows, dates = self.rows, int(self.date.max()) + 1
        _, code = np.unique(self.date * (int(strata.max()) + 1) + strata, return_inverse=True)
        rate = (np.bincount(code, weights=rows.label) / np.bincount(code))[code]
        residual, spread = np.zeros((2, self.entities, dates))
        residual[self.entity, self.date] = rows.label - rate
        spread[self.entity, self.date] = rate * (1 - rate)
        products, pairs = np.zeros(self.entities), 0.0
        least = 2 if dates <= 5 else 3
        for lag in range(min(least, dates - 1), dates):
            products += (residual[:, lag:] * residual[:, :-lag]).sum(axis=1)
            pairs += float((np.sqrt(spread[:, lag:] * spread[:, :-lag])).sum())
        error = sqrt(float((products**2).sum()))
        if not pairs or not error:
            return 0.0, 0.0
        return float(products.sum() / pairs), float(-products.sum() / error)

    def _none(self, values: Any) -> float:
        kinds, group = np.unique(np.where(np.isfinite(values), values, -inf), return_inverse=True)
        if not 2 <= len(kinds) <= _FEW:
            return 0.0
        positives, counts = np.bincount(group, weights=self.rows.label), np.bincount(group)
        return float(counts[positives == 0].max(initial=0) * self.rows.label.mean())


def _enough(labels: Any) -> bool:
    positives = int(labels.sum())
    return min(positives, len(labels) - positives) >= LEAST_CLASS


def _best(values: Any, rows: Any, labels: Any) -> tuple[float, Any]:
    """The best AUC on some rows, and all values turned so that more is likelier, with missing values where they fit."""
    found = []
    for missing in (-inf, inf):
        filled = np.where(np.isfinite(values), values, missing)
        area = rank_area(filled[rows], labels[rows])
        found += [(area, filled), (1 - area, -filled)]
    return max(found, key=lambda pair: pair[0])


def _strata(ranked: Any) -> Any:
    """The values in groups of about equal size, at most `_STRATA` and each of at least `_IN_STRATUM` rows."""
    known = ranked[np.isfinite(ranked)]
    groups = min(_STRATA, max(2, len(known) // _IN_STRATUM))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, groups + 1)[1:-1])) if len(known) else np.zeros(0)
    return np.where(np.isfinite(ranked), np.searchsorted(edges, ranked, side="right"), len(edges) + 1)


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
