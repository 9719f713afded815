"""Two curves that show a reader how good scores were: reliability by bins, and gains by tenths of a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from propensity.stats.figures import Estimate, Scored, equal_bins, wilson
from propensity.stats.within_tenant import Tenant, lifts_by_tenth


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of scores: `score` is their mean, `rate` the share of rows that converted, with Wilson's interval and n."""

    score: float
    rate: Estimate


@dataclass(frozen=True, slots=True)
class Tenth:
    """A tenth of each tenant's list; `number` 1 is the likeliest. `lift` is its rate over that of the same tenants.

    `captured` is the share of all positives that this tenth and the tenths before it hold, in [0, 1].
    """

    number: int
    lift: Estimate
    captured: float


def reliability(data: Scored, bins: int = 10) -> list[Bin]:
    """Bins of about equal size, ascending by score. Rows with one score stay together, so there may be fewer bins."""
    return [Bin(total / rows, wilson(positives, rows)) for total, rows, positives in equal_bins(data, bins)]


def gains(tenants: Mapping[str, Tenant]) -> list[Tenth]:
    """The tenths of the tenants' lists, the likeliest tenth first, as `within_tenant.lifts_by_tenth` counts them.

    Raises EvidenceError without conversions.
    """
    found, positives = lifts_by_tenth(tenants), sum(tenant.positives for tenant in tenants.values())
    captured = accumulate(hits for _, hits in found)
    return [
        Tenth(number, lift, min(1.0, so_far / positives))
        for number, ((lift, _), so_far) in enumerate(zip(found, captured, strict=True), start=1)
    ]
