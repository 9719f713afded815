"""What a list of customers brings: conversions expected and observed, gains of one list over another, and money.

Two lists of one size share customers; what tells them apart is who is on one of them only, so that the interval of a
gain is Newcombe's (1998) for the two rates among those, times their number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import Value
from propensity.stats.figures import Estimate, difference, wilson


@dataclass(frozen=True, slots=True)
class Listed:
    """A list: its size, the conversions that its scores add up to (None where nothing was scored), and those seen."""

    size: int
    expected: float | None
    hits: int

    def observed(self) -> Estimate:
        """Conversions with the interval of their rate."""
        return wilson(self.hits, self.size).scaled(self.size)


@dataclass(frozen=True, slots=True)
class Only:
    """Customers that are on one of two lists only, and how many of them converted."""

    size: int
    hits: int


def gained(mine: Only, other: Only) -> Estimate:
    """Conversions that a list has more than another of the same size. Raises ConflictError for other sizes."""
    if mine.size != other.size:
        raise ConflictError(f"lists of one size differ in {mine.size} and {other.size} customers; expected as many")
    if mine.size == 0:
        return Estimate(0.0, 0.0, 0.0, 0)
    return difference(wilson(mine.hits, mine.size), wilson(other.hits, other.size)).scaled(mine.size)


def list_to_json(listed: Listed, value: Value | None, lists: int) -> dict[str, Any]:
    """Figures of all the lists together, and as profit of all and of each."""
    observed = listed.observed()
    said: dict[str, Any] = {"size": listed.size, "expected": listed.expected, "observed": asdict(observed)}
    if value is not None:
        cost = listed.size * value.cost_per_contact
        if listed.expected is not None:
            said["expected_profit"] = listed.expected * value.per_conversion - cost
            said["expected_profit_per_list"] = said["expected_profit"] / lists
        profit = _less(observed.scaled(value.per_conversion), cost)
        said["profit"] = asdict(profit)
        said["profit_per_list"] = asdict(profit.scaled(1 / lists))
    return said


def _less(figure: Estimate, cost: float) -> Estimate:
    return Estimate(figure.value - cost, figure.low - cost, figure.high - cost, figure.n)


def gain_to_json(gain: Estimate, value: Value | None, lists: int) -> dict[str, Any]:
    """A gain in conversions, and in money: lists of one size cost the same to work off."""
    said: dict[str, Any] = {"conversions": asdict(gain), "conversions_per_list": asdict(gain.scaled(1 / lists))}
    if value is not None:
        said["profit"] = asdict(gain.scaled(value.per_conversion))
        said["profit_per_list"] = asdict(gain.scaled(value.per_conversion / lists))
    return said
