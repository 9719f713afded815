"""The training set of a run, as counts: which rows are left out and why, and which of the others a capped fit takes.

Each work item of a run counts its own rows. This module decides what takes the counts of all items: whether a tenant
fell silent, and how many rows of a label a cap leaves. So these decisions do not depend on how the work was cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import sqrt
from typing import Any

from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import LabelWindow, ModelSpec

# a row counts under the first of these reasons that holds
LEFT_OUT = ("immature", "tenant_closed", "censored", "treated", "tenant_silent")


@dataclass(frozen=True, slots=True)
class Stratum:
    """The number of rows of an as-of date, a tenant and a label, and how many of them were under treatment."""

    as_of: date
    tenant_id: str
    label: int
    rows: int
    treated: int


@dataclass(frozen=True, slots=True)
class Rates:
    """The shares of rows, in (0, 1], that take part: `fit` per label, `valid` per as-of date for both labels alike."""

    fit: Mapping[int, float] = field(default_factory=dict)
    valid: Mapping[date, float] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every row takes part."""
        return all(rate == 1 for rate in (*self.fit.values(), *self.valid.values()))


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The counts of a run's rows.

    `population` is by as-of date, and `left_out` by date and reason. `strata` counts all other rows. `silent` has the
    tenants that fell silent, each with the day from which nothing of the tenant was seen.
    """

    population: Mapping[date, int]
    left_out: Mapping[tuple[date, str], int]
    strata: tuple[Stratum, ...]
    silent: Mapping[str, date]

    @staticmethod
    def of(
        results: Iterable[Mapping[str, Any]], spec: ModelSpec, *, until: date, silent_days: int | None
    ) -> TrainingSet:
        """Add up the counts in the results of build_features.

        `until` is the day before which outcomes were known to the run. `silent_days` is as in `silent_tenants`; with
        None no tenant counts as silent. Raises ConflictError where rows were lost.
        """
        population: Counter[date] = Counter()
        left_out: Counter[tuple[date, str]] = Counter()
        counted: Counter[tuple[date, str, int]] = Counter()
        treated: Counter[tuple[date, str, int]] = Counter()
        newest: dict[str, date] = {}
        for result in results:
            for day, rows in result["population_by_date"].items():
                population[date.fromisoformat(day)] += rows
            for day, reason, rows in result["left_out"]:
                left_out[date.fromisoformat(day), reason] += rows
            for day, tenant, label, rows, under_treatment in result["strata"]:
                counted[date.fromisoformat(day), tenant, label] += rows
                treated[date.fromisoformat(day), tenant, label] += under_treatment
            for tenant, day in result["newest_by_tenant"].items():
                newest[tenant] = max(date.fromisoformat(day), newest.get(tenant, date.min))
        silent = silent_tenants(newest, until=until, silent_days=silent_days)
        gone, strata = {day: _gone_on(day, silent, spec) for day, _, _ in counted}, []
        for key in sorted(counted):
            day, tenant, label = key
            if tenant in gone[day]:
                left_out[day, "tenant_silent"] += counted[key]
            else:
                strata.append(Stratum(day, tenant, label, counted[key], treated[key]))
        made = TrainingSet(dict(population), dict(left_out), tuple(strata), silent)
        made._check()
        return made

    def _check(self) -> None:
        for day, rows in self.population.items():
            out = sum(self.left_out.get((day, reason), 0) for reason in LEFT_OUT)
            kept = sum(stratum.rows for stratum in self.strata if stratum.as_of == day)
            if rows != out + kept:
                raise ConflictError(
                    f"training rows of {day}: {rows} in the population, but {kept} kept and {out} left out; "
                    "the run's results were changed: train under another day"
                )

    @property
    def rows(self) -> int:
        return sum(stratum.rows for stratum in self.strata)

    @property
    def positives(self) -> int:
        return sum(stratum.rows for stratum in self.strata if stratum.label == 1)

    @property
    def treated(self) -> int:
        return sum(stratum.treated for stratum in self.strata)

    def counts(self) -> Counter[tuple[date, int]]:
        """Return the number of rows by as-of date and label."""
        found: Counter[tuple[date, int]] = Counter()
        for stratum in self.strata:
            found[stratum.as_of, stratum.label] += stratum.rows
        return found

    def silent_on(self, spec: ModelSpec) -> dict[date, set[str]]:
        """Return, per as-of date, the tenants whose rows of that date are left out because they fell silent."""
        return {day: _gone_on(day, self.silent, spec) for day in self.population}

    def rates(self, spec: ModelSpec) -> Rates:
        """Return the shares that a cap leaves: of each label for fits, and of each date that is validated on."""
        counts, most = self.counts(), spec.training.max_rows
        if most is None or self.rows <= most:
            return Rates({0: 1.0, 1: 1.0}, dict.fromkeys(self.population, 1.0))
        shares = capped(self.rows - self.positives, self.positives, most)
        return Rates(
            {0: shares[0], 1: shares[1]}, {day: _validated(counts, day, spec) for day in validation_days(counts, spec)}
        )


def _gone_on(day: date, silent: Mapping[str, date], spec: ModelSpec) -> set[str]:
    return gone_within(spec.label_window(day), silent)


def gone_within(window: LabelWindow, silent: Mapping[str, date]) -> set[str]:
    """Return the tenants of `silent` of which nothing was seen at a window's end, so that outcomes may be unseen."""
    return {tenant for tenant, end in silent.items() if window.end > end}


def silent_tenants(newest: Mapping[str, date], *, until: date, silent_days: int | None) -> dict[str, date]:
    """Return the tenants without an event in the `silent_days` before a day.

    Each tenant comes with the day after its newest event.
    """
    if silent_days is None:
        return {}
    return {
        tenant: day + timedelta(days=1)
        for tenant, day in sorted(newest.items())
        if until - day > timedelta(days=silent_days)
    }


def capped(negatives: int, positives: int, most: int) -> tuple[float, float]:
    """Return the shares of negatives and of positives, in (0, 1], that leave `most` rows where there are more.

    The rarer label is kept whole as long as it is at most half of `most`.
    """
    kept = min(positives, max(most // 2, most - negatives))
    return (min(1.0, (most - kept) / negatives) if negatives else 1.0, kept / positives if positives else 1.0)


def _validated(counts: Mapping[tuple[date, int], int], day: date, spec: ModelSpec) -> float:
    """Return the share of a day's rows that are validated on under the cap, the same for both labels."""
    rows, most = sum(counts.get((day, label), 0) for label in (0, 1)), spec.training.max_rows
    return 1.0 if most is None or rows <= most else most / rows


def _sure(least: int, share: float) -> float:
    """Return how many rows are needed so that a draw of `share` surely leaves at least `least` rows.

    With that many rows the average of such draws is three standard deviations above `least`.
    """
    return least if share == 1 else ((3 + sqrt(9 + 4 * least)) / 2) ** 2 / share


def validation_days(counts: Mapping[tuple[date, int], int], spec: ModelSpec) -> list[date]:
    """Return the days that folds may validate on, by the rows that a cap leaves, oldest first.

    The newest day is always among the days.
    """
    days = sorted({day for day, _ in counts})
    reach = timedelta(days=spec.reach_days)

    def two_classes(chosen: Sequence[date], least: float) -> bool:
        return all(sum(counts.get((day, label), 0) for day in chosen) >= least for label in (0, 1))

    least = spec.validation.min_positives
    eligible = [
        day
        for day in days
        if two_classes([day], _sure(least, _validated(counts, day, spec)))
        and two_classes([earlier for earlier in days if earlier + reach <= day], 1)
    ]
    return sorted({*eligible[-spec.validation.folds :], *days[-1:]})
