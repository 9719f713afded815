"""Which rung of the ladder a tenant stands on, from losses on rows of later dates.

Everyone begins on the global model, which all tenants' evidence stands behind. From there, in the order intercept,
heuristic, segment, own: a rung takes the place of the one that stands only where its gain's 95 % interval lies above 0.
The heuristic, which ranks nobody, has to gain on the intercept too, earned or not: a model whose level is wrong for a
tenant may still order its customers well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from propensity.ladder.domain.evidence import MIN_HELD, gain
from propensity.registry.domain.ladder import Rung
from propensity.stats.figures import Estimate
from propensity.stats.sampling import rarer


@dataclass(frozen=True, slots=True)
class Held:
    """Held-out rows, (n,) each: `labels`, `weights`, `customers` (ints), and the loss of each row by each rung that can
    score it, NaN where it cannot."""

    labels: Any
    weights: Any
    customers: Any
    losses: Mapping[Rung, Any]

    def part(self, rows: Any) -> Held:
        losses: dict[Rung, Any] = {rung: values[rows] for rung, values in self.losses.items()}
        return Held(self.labels[rows], self.weights[rows], self.customers[rows], losses)


@dataclass(slots=True)
class Climb:
    """One tenant on its way: where it stands, and each gain that was measured with the rung that stood then."""

    standing: Rung = "global"
    gains: dict[Rung, tuple[Rung, Estimate]] = field(default_factory=dict)

    def try_rung(self, rung: Rung, held: Held, least: int = MIN_HELD) -> None:
        """Nothing where too few rows of either class were held out to tell."""
        found = measured(held, held.losses[self.standing], held.losses[rung], least)
        if found is not None:
            self.gains[rung] = (self.standing, found)
            if found.low > 0:
                self.standing = rung


def measured(held: Held, standing: Any, wanting: Any, least: int) -> Estimate | None:
    """The gain on the rows that both can score; None below `least` rows of the rarer class."""
    rows = np.isfinite(standing) & np.isfinite(wanting)
    if not rows.any() or rarer(held.labels[rows]) < least:
        return None
    return gain(standing[rows], wanting[rows], held.weights[rows], held.customers[rows])


def climb_segment(climbs: Sequence[tuple[Climb, Any]], rows: Any, held: Held) -> Estimate | None:
    """Let the tenants of a segment, (climb, its rows as a mask), up to the segment's model together; its gain.

    Pooled over all of their held-out rows of the segment (`rows`, a mask) against where each stands: one tenant of a
    few positives could not tell. A tenant stays whose own rows say that the segment's model is worse, and one that has
    left the global model by its own evidence, unless its own rows say that the segment's is better.
    """
    standing = np.full(len(held.labels), np.nan)
    for climb, mine in climbs:
        standing[mine] = held.losses[climb.standing][mine]
    pooled = measured(held.part(rows), standing[rows], held.losses["segment"][rows], MIN_HELD)
    if pooled is None:
        return None
    for climb, mine in climbs:
        own = measured(held.part(mine), standing[mine], held.losses["segment"][mine], MIN_HELD)
        climb.gains["segment"] = (climb.standing, pooled if own is None else own)
        agrees = (own is None or own.high >= 0) if climb.standing == "global" else (own is not None and own.low > 0)
        if pooled.low > 0 and agrees:
            climb.standing = "segment"
    return pooled


def climb_alone(climb: Climb, held: Held, allowed: Collection[Rung], rungs: Sequence[Rung]) -> None:
    """Try these rungs in turn on a tenant's own held-out rows."""
    for rung in rungs:
        if rung in allowed and not (rung == "heuristic" and _orders(held)):
            # an intercept is one number, and drawn to 0: how many rows it takes, the model's YAML says
            climb.try_rung(rung, held, 0 if rung == "intercept" else MIN_HELD)


def _orders(held: Held) -> bool:
    """Whether the global model, its level set right, may be better than one rate for everyone."""
    found = measured(held, held.losses["intercept"], held.losses["heuristic"], MIN_HELD)
    return found is None or found.low <= 0
