"""The gain of a list of customers: expected and observed conversions, the gain over another list, and money.

Two lists of one size share customers. They differ only by the customers who are on one list and not on the other. So
the gain's interval is Newcombe's (1998) for the two rates among the customers who differ, times the number of these
customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import Value
from propensity.stats.figures import Estimate, difference, wilson

_SHARE = 0.1  # the share of each tenant's customers on a list, where the model has no filter


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of `size` customers, of whom `hits` converted.

    `expected` is the sum of their scores, which is the expected number of conversions; it is None where nothing was
    scored.
    """

    size: int
    expected: float | None
    hits: int

    def observed(self) -> Estimate:
        """Return the number of conversions, with an interval that comes from the interval of the rate."""
        return wilson(self.hits, self.size).scaled(self.size)


@dataclass(frozen=True, slots=True)
class Only:
    """The customers who are on just one of two lists, and how many of them converted."""

    size: int
    hits: int


def gained(mine: Only, other: Only) -> Estimate:
    """Return by how many conversions a list exceeds another of the same size. Raises ConflictError for other sizes."""
    if mine.size != other.size:
        raise ConflictError(f"lists of one size differ in {mine.size} and {other.size} customers; expected as many")
    if mine.size == 0:
        return Estimate(0.0, 0.0, 0.0, 0)
    return difference(wilson(mine.hits, mine.size), wilson(other.hits, other.size)).scaled(mine.size)


def list_to_json(listed: Listed, value: Value | None, lists: int) -> dict[str, Any]:
    """Return the figures of all lists together.

    Where a conversion has a value, the figures include the profit of all lists and of each list.
    """
    observed = listed.observed()
    fields: dict[str, Any] = {"size": listed.size, "expected": listed.expected, "observed": asdict(observed)}
    if value is not None:
        cost = listed.size * value.cost_per_contact
        if listed.expected is not None:
            fields["expected_profit"] = listed.expected * value.per_conversion - cost
            fields["expected_profit_per_list"] = fields["expected_profit"] / lists
        profit = _less(observed.scaled(value.per_conversion), cost)
        fields["profit"] = asdict(profit)
        fields["profit_per_list"] = asdict(profit.scaled(1 / lists))
    return fields


def _less(figure: Estimate, cost: float) -> Estimate:
    return Estimate(figure.value - cost, figure.low - cost, figure.high - cost, figure.n)


def gain_to_json(gain: Estimate, value: Value | None, lists: int) -> dict[str, Any]:
    """Return a gain in conversions and in money.

    Two lists of one size cost the same, so a gain has no cost of its own.
    """
    fields: dict[str, Any] = {"conversions": asdict(gain), "conversions_per_list": asdict(gain.scaled(1 / lists))}
    if value is not None:
        fields["profit"] = asdict(gain.scaled(value.per_conversion))
        fields["profit_per_list"] = asdict(gain.scaled(value.per_conversion / lists))
    return fields


def list_sizes(lists: Any, filtered: Any | None) -> dict[str, int]:
    """Return how many customers each list has. `lists`, (n,), names the list that each row may stand on.

    `filtered` is the mask of the customers whom the filter chooses; it is None without a filter.
    """
    names, place, counts = np.unique(lists.astype(str), return_inverse=True, return_counts=True)
    if filtered is None:
        found = np.maximum(1, np.round(_SHARE * counts))
    else:
        found = np.bincount(place, weights=filtered, minlength=len(names))
    return {str(name): int(size) for name, size in zip(names, found, strict=True)}


def top_of_lists(scores: Any, lists: Any, sizes: Mapping[str, int]) -> Any:
    """Return a mask of the highest scores of each list, as many as its size.

    Equal scores are taken in the order of the rows.
    """
    mask = np.zeros(len(scores), dtype=bool)
    for name, size in sizes.items():
        there = np.flatnonzero(lists == name)
        mask[there[np.argsort(-scores[there], kind="stable")[:size]]] = True
    return mask


def listed(mask: Any, labels: Any, scores: Any) -> Listed:
    return Listed(int(mask.sum()), float(scores[mask].sum()), int(labels[mask].sum()))


def gain_over(mine: Any, other: Any, labels: Any) -> Estimate:
    """Return by how many conversions the lists of one mask exceed those of another, of the same sizes."""
    only = [Only(int(mask.sum()), int(labels[mask].sum())) for mask in (mine & ~other, other & ~mine)]
    return gained(*only)
