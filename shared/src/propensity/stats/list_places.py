"""How a tenant's customers are ranked: the cut points of its list, or why the list has no places.

A place is a mid-rank: with r the average rank of equal scores among n, (r - 0.5) / n of the list lies below. Where a
place would say nothing, there is none: the customer is unranked, and a reason says why. This module works without
numpy, which the functions of SQL lack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nextafter
from typing import Any, Literal, get_args

PERCENT = 100
FEW = 20  # customers from which a tenant's list has places: each of its tenths then holds two

Unranked = Literal["few_customers", "heuristic", "ties"]
UNRANKED: tuple[Unranked, ...] = get_args(Unranked)


@dataclass(frozen=True, slots=True)
class Ranks:
    """How the customers of one tenant are ranked, out of the scores of `customers` of them.

    `cuts` are 99 ascending scores: the percentile of a score is one more than the number of cuts that it reaches. They
    are empty where `unranked` says why nobody of the tenant has a place. `few` keeps the scores of a tenant with too
    few customers: together with later ones they may be enough.
    """

    customers: int
    cuts: tuple[float, ...] = ()
    unranked: Unranked | None = None
    few: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        cuts = [None if cut == inf else cut for cut in self.cuts]
        return {"customers": self.customers, "unranked": self.unranked, "cuts": cuts, "few": list(self.few)}

    @staticmethod
    def from_json(value: Mapping[str, Any] | Sequence[float]) -> Ranks:
        """Read what a run wrote. Runs before mid-ranks wrote 99 quantiles, and a score had to be above them."""
        if isinstance(value, Mapping):
            cuts = tuple(inf if cut is None else float(cut) for cut in value["cuts"])
            return Ranks(int(value["customers"]), cuts, value["unranked"], tuple(value["few"]))
        if not value:
            return Ranks(0, unranked="few_customers")
        if 2 * max(Counter(value).values()) > PERCENT:
            return Ranks(0, unranked="ties")
        return Ranks(0, tuple(nextafter(cut, inf) for cut in value))


def ranks_of(
    customers: int, most: int, first: Iterable[tuple[int, float]], *, heuristic: bool, few: Sequence[float]
) -> Ranks:
    """Return how a tenant is ranked.

    `most` is the size of the largest group of equal scores. `first` has each percentile that occurs, with the least
    score that has it. With `heuristic` one rate is the score of all. `few` are the scores of a tenant with fewer than
    `FEW` customers.
    """
    if heuristic:
        return Ranks(customers, unranked="heuristic")
    if customers < FEW:
        return Ranks(customers, unranked="few_customers", few=tuple(few))
    if 2 * most > customers:
        return Ranks(customers, unranked="ties")
    return Ranks(customers, cuts_of(first))


def cuts_of(first: Iterable[tuple[int, float]]) -> tuple[float, ...]:
    """Return the 99 cuts, ascending: the least score of at least percentile 2, 3, … 100; infinite where none is."""
    cuts: list[float] = []
    for place, least in sorted(first):
        cuts += [least] * (place - 1 - len(cuts))
    return (*cuts, *[inf] * (PERCENT - 1 - len(cuts)))
