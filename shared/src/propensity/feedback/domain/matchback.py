"""The figures of a matchback: what scored customers then did, and how good the scores were.

Lists are made tenant by tenant, so the figures that compare customers with others of their own tenant come first. The
figures over all tenants together, pooled, follow: they rise when one tenant's customers convert more often than
another's, although no list gains by it. Rates and lift are by decile and by other segments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from propensity.kernel.errors import EvidenceError
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
    lift_of,
    scored,
    wilson,
)
from propensity.stats.high_low import HIGH, LOW
from propensity.stats.within_tenant import Tenant, auc_within, hits_of_lists, lift_of_lists, observed_over_expected

NAMED = 5  # a finding names at most this many tenants


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of gold/matchback: a figure with its interval and n, and the number of conversions among its n rows.

    Where equal scores at the edge of a list count in proportion, the conversions are rounded.

    `pooled` says that the figure compares customers of all tenants with each other.
    """

    segment: str
    measure: str
    estimate: Estimate
    positives: int
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class DecileCount:
    """The matched customers of one decile (10 is the likeliest, None the unranked), and how many converted."""

    decile: int | None
    rows: int
    positives: int


@dataclass(frozen=True, slots=True)
class FiguresFound:
    """What a matchback found: its figures, and in words the figures that there cannot be, and why."""

    measures: tuple[Measure, ...]
    findings: tuple[str, ...]


def all_figures(
    tenants: Mapping[str, Tenant], deciles: Sequence[DecileCount], chosen: tuple[int, int] | None
) -> FiguresFound:
    """Return all figures of a matchback, those within tenants first.

    `tenants` has the matched customers of each tenant, at least one. `deciles` counts them by decile, the unranked as
    None. `chosen` has the size and the conversions of the manual filter's list; it is None without a filter. Where all
    customers converted, or none, there is nothing to rank by: the rates stand, and a finding says so.
    """
    rows, positives = (sum(getattr(one, name) for one in tenants.values()) for name in ("rows", "positives"))
    out, findings = [Measure("all", "rate", wilson(positives, rows), positives)], []
    if positives in (0, rows):
        findings.append(
            f"{positives or 'none'} of {rows:,} customers converted; figures of the ranking need both kinds"
        )
    data = None
    if 0 < positives < rows:
        groups = [group for one in tenants.values() for group in one.groups]
        data = scored((group.score, group.rows, group.positives) for group in groups)
    within: dict[str, Callable[[], Estimate]] = {
        "auc_within": lambda: auc_within(tenants),
        "lift_of_lists": lambda: lift_of_lists(tenants),
        "observed_over_expected": lambda: observed_over_expected(tenants.values()),
    }
    for name, figure in within.items():
        try:
            own = round(hits_of_lists(tenants)) if name == "lift_of_lists" else positives
            out.append(Measure("all", name, figure(), own))
        except EvidenceError as error:
            if data:
                findings.append(str(error))
    for count in deciles:
        name = "unranked" if count.decile is None else f"decile_{count.decile}"
        out += _segment(name, count.rows, count.positives, data)
    high = _sum(deciles, HIGH)
    low = _sum(deciles, LOW)
    if high.rows and low.rows:
        out += _segment("high", high.rows, high.positives, data) + _segment("low", low.rows, low.positives, data)
        gap = difference(wilson(high.positives, high.rows), wilson(low.positives, low.rows))
        out.append(Measure("high_against_low", "rate_difference", gap, high.positives + low.positives))
    if chosen and chosen[0]:
        size, hits = chosen
        out += _segment("filter", size, hits, data)
        if data:
            out.append(_top("model_at_filter_size", size, data))
    if data and (off := _levels_off(tenants)):
        findings.append(off)
    return FiguresFound((*out, *(_pooled(data) if data else ())), tuple(findings))


def _levels_off(tenants: Mapping[str, Tenant]) -> str | None:
    """Name the tenants whose own level is proven to be wrong; None where there is none.

    Where many are looked at some would be by chance, so each interval misses in 5 % over their number (Bonferroni).
    """
    known = {name: tenant for name, tenant in tenants.items() if tenant.expected > 0}
    found = {name: observed_over_expected([tenant], 0.05 / len(known)) for name, tenant in known.items()}
    off = {name: one for name, one in found.items() if not one.low <= 1 <= one.high}
    worst = sorted(off, key=lambda name: (-abs(log(max(off[name].value, 1e-9))), name))
    named = ", ".join(f"{name} {off[name].value:.2f} (n {off[name].n:,})" for name in worst[:NAMED])
    more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
    said = f"of {len(known):,} tenants, proven to convert otherwise than their scores say (O/E, 1 is right): "
    return f"{said}{named}{more}" if off else None


def _pooled(data: Scored) -> list[Measure]:
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
    out = [Measure("all", name, figure, data.positives, pooled=True) for name, figure in figures.items()]
    return [*out, _top("top_decile", data.rows / 10, data)]


def _top(segment: str, size: float, data: Scored) -> Measure:
    """The lift of the `size` highest scores of all customers."""
    found = lift(data, size)
    return Measure(segment, "lift", found, round(found.value * data.base_rate * size), pooled=True)


def _segment(name: str, rows: int, positives: int, data: Scored | None) -> list[Measure]:
    """The rate of some customers, and its lift over the rate of all; no lift where all or none of `data` converted."""
    out = [Measure(name, "rate", wilson(positives, rows), positives)]
    if data:
        out.append(Measure(name, "lift", lift_of(positives, rows, data), positives))
    return out


@dataclass(frozen=True, slots=True)
class _Sum:
    rows: int
    positives: int


def _sum(deciles: Sequence[DecileCount], wanted: range) -> _Sum:
    chosen = [count for count in deciles if count.decile in wanted]
    return _Sum(sum(count.rows for count in chosen), sum(count.positives for count in chosen))
