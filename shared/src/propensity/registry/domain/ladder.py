"""The ladder at scoring time: which model scores which tenant.

The ladder has five rungs, here from the lowest to the highest:

- `heuristic`: the tenant's own rate is the score of every customer
- `global`: the model of all tenants scores
- `intercept`: the global model scores, shifted by a tenant's intercept in logits
- `segment`: the model of the tenant's segment scores
- `own`: the tenant's own model scores

ladder/domain/evidence.py and docs/reference/ladder.md say what evidence a rung asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from propensity.kernel.errors import ConflictError

Rung = Literal["heuristic", "global", "intercept", "segment", "own"]
RUNGS: tuple[Rung, ...] = ("heuristic", "global", "intercept", "segment", "own")
HEURISTIC: Rung = "heuristic"
LADDER = "ladder.json"  # the name of the ladder's file in a version's folder


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a tenant on the ladder.

    `model` is the folder of the model below the version's folder, for the rungs `segment` and `own`. `intercept` is in
    logits. `rate` is the score that the rung `heuristic` gives to everyone, in (0, 1).
    """

    rung: Rung
    model: str | None = None
    intercept: float = 0.0
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rung not in RUNGS:
            raise ConflictError(f"{LADDER}: rung {self.rung!r}, expected one of {', '.join(RUNGS)}")
        if (self.model is not None) != (self.rung in ("segment", "own")):
            raise ConflictError(
                f"{LADDER}: rung {self.rung} with model {self.model}; segment and own name one, no other"
            )
        if (self.rate is not None) != (self.rung == "heuristic"):
            raise ConflictError(f"{LADDER}: rung {self.rung} with rate {self.rate}; the heuristic has one, no other")

    def is_near(self, other: Place, most: float) -> bool:
        """Whether two places have the same rung and model, and intercepts and rates that differ by at most `most`."""
        apart = abs(self.intercept - other.intercept), abs((self.rate or 0.0) - (other.rate or 0.0))
        return (self.rung, self.model) == (other.rung, other.model) and max(apart) <= most


GLOBAL = Place("global")


@dataclass(frozen=True, slots=True)
class Ladder:
    """The place of each tenant on the ladder. A tenant that training did not know stands on the global model."""

    places: Mapping[str, Place]

    def place(self, tenant: str) -> Place:
        return self.places.get(tenant, GLOBAL)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Ladder:
        return Ladder({tenant: _place(place) for tenant, place in value["tenants"].items()})


def _place(value: Mapping[str, Any]) -> Place:
    return Place(value["rung"], value["model"], float(value["intercept"]), value["rate"])
