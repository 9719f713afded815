"""Two curves that show a reader how good scores were: reliability by bins, and gains by tenths of a list."""

from __future__ import annotations

from dataclasses import dataclass

from propensity.stats.figures import Estimate, Scored, equal_bins, lift_of, wilson


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of scores: `score` is their mean, `rate` the share of rows that converted, with Wilson's interval and n."""

    score: float
    rate: Estimate


@dataclass(frozen=True, slots=True)
class Tenth:
    """A tenth of a list; `number` 1 is the likeliest tenth. `lift` is the tenth's rate over the rate of all.

    `captured` is the share of all positives that this tenth and the tenths before it hold, in [0, 1].
    """

    number: int
    lift: Estimate
    captured: float


def reliability(data: Scored, bins: int = 10) -> list[Bin]:
    """Bins of about equal size, ascending by score. Rows with one score stay together, so there may be fewer bins."""
    return [Bin(total / rows, wilson(positives, rows)) for total, rows, positives in equal_bins(data, bins)]


def gains(data: Scored) -> list[Tenth]:
    """The tenths of a list, the likeliest tenth first.

    Equal scores on both sides of an edge count in proportion. The interval of the lift is that of
    `figures.lift_of`.
    """
    taken = hits = 0.0
    edges = [data.rows * number / 10 for number in range(1, 11)]
    caught = []
    groups = iter(reversed(data.groups))
    group, left = next(groups), 1.0
    for edge in edges:
        while taken + left * group.rows < edge - 1e-9:
            taken, hits = taken + left * group.rows, hits + left * group.positives
            group, left = next(groups), 1.0
        share = (edge - taken) / group.rows
        taken, hits, left = edge, hits + share * group.positives, left - share
        caught.append(hits)
    size = data.rows / 10
    return [
        Tenth(
            number,
            lift_of(min(size, max(0.0, now - before)), size, data),
            min(1.0, now / data.positives),
        )
        for number, (before, now) in enumerate(zip([0.0, *caught], caught, strict=False), start=1)
    ]
