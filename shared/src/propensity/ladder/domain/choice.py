"""The choice of the rung on which a tenant stands, by the losses of each rung on rows of later dates.

Every tenant begins on the global model, which rests on the evidence of all tenants. Then the other rungs are tried in
the order intercept, heuristic, segment, own. A rung takes the place of the one on which the tenant stands only where
the 95 % interval of its gain lies above 0.

The rung `heuristic` ranks nobody. So it must also gain on the intercept, whether the tenant earned the intercept or
not: a model whose level is wrong for a tenant may still order the tenant's customers well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from propensity.ladder.domain.evidence import MIN_HELD, clustered_gain
from propensity.registry.domain.ladder import Rung
from propensity.stats.figures import Estimate
from propensity.stats.sampling import rarer


@dataclass(frozen=True, slots=True)
class RungLosses:
    """The held-out rows, (n,) each: `labels`, `weights`, `customers` (ints), and `losses` of each row by each rung.

    A loss is NaN where the rung cannot score the row.
    """

    labels: Any
    weights: Any
    customers: Any
    losses: Mapping[Rung, Any]

    def part(self, rows: Any) -> RungLosses:
        """Return some of the rows, given as a mask or as indices."""
        losses: dict[Rung, Any] = {rung: values[rows] for rung, values in self.losses.items()}
        return RungLosses(self.labels[rows], self.weights[rows], self.customers[rows], losses)


@dataclass(slots=True)
class Climb:
    """The climb of one tenant on the ladder.

    `standing` is the rung on which the tenant stands. `gains` has, by the rung that was tried, the rung on which the
    tenant stood then, and the gain over that rung.
    """

    standing: Rung = "global"
    gains: dict[Rung, tuple[Rung, Estimate]] = field(default_factory=dict)

    def try_rung(self, rung: Rung, held: RungLosses, least: int = MIN_HELD) -> None:
        """Step up to the rung if its gain is proven.

        The tenant stays where too few rows of either class were held out.
        """
        found = measured(held, held.losses[self.standing], held.losses[rung], least)
        if found is not None:
            self.gains[rung] = (self.standing, found)
            if found.low > 0:
                self.standing = rung


def measured(held: RungLosses, standing: Any, wanting: Any, least: int) -> Estimate | None:
    """Return the gain of `wanting` over `standing`, losses (n,) each, on the rows that both can score.

    The gain is None where there are fewer than `least` such rows of the rarer class.
    """
    rows = np.isfinite(standing) & np.isfinite(wanting)
    if not rows.any() or rarer(held.labels[rows]) < least:
        return None
    return clustered_gain(standing[rows], wanting[rows], held.weights[rows], held.customers[rows])


def climb_segment(climbs: Sequence[tuple[Climb, Any]], rows: Any, held: RungLosses) -> Estimate | None:
    """Move the tenants of a segment up to the segment's model together where the model has a gain. Return that gain.

    `climbs` has each tenant's climb and rows. `rows` is the mask of the segment's rows. The gain is over the rungs on
    which the tenants stand, on all held-out rows of the segment, because a tenant with few positives could not tell
    alone.

    A tenant stays on the global model if its own rows say that the segment's model is worse. A tenant that has left the
    global model by its own evidence moves only if its own rows say that the segment's model is better.
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


def climb_alone(climb: Climb, held: RungLosses, allowed: Collection[Rung], rungs: Sequence[Rung]) -> None:
    """Try `rungs` in turn on a tenant's own held-out rows; a rung that is not `allowed` is left out."""
    for rung in rungs:
        if rung in allowed and not (rung == "heuristic" and _orders(held)):
            # an intercept is one number, drawn to 0; the model's YAML says how many rows an intercept takes
            climb.try_rung(rung, held, 0 if rung == "intercept" else MIN_HELD)


def _orders(held: RungLosses) -> bool:
    """Whether the global model, with its level corrected, may be better than one rate for everyone."""
    found = measured(held, held.losses["intercept"], held.losses["heuristic"], MIN_HELD)
    return found is None or found.low <= 0
