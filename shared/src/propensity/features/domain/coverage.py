"""How many customers a feature is known of, and how old the rows are that it was computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any


@dataclass(frozen=True, slots=True)
class Share:
    """`known` of `rows` have a value of their own, not the default."""

    known: int
    rows: int

    @property
    def value(self) -> float:
        """In [0, 1]; 0 of none is 0."""
        return self.known / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, float | int]:
        return {"share": self.value, "known": self.known, "rows": self.rows}


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one feature: over all rows, and over those of the tenant that knows least. None: not told of that run."""

    overall: Share
    least: Share | None

    def to_json(self) -> dict[str, Any]:
        return {"overall": self.overall.to_json(), "least_tenant": self.least.to_json() if self.least else None}


def counted(features: Sequence[str], tenants: Iterable[Sequence[int]], *, whole: bool) -> dict[str, Any]:
    """What a work item says of its rows; no tenant is named.

    `tenants`: per tenant its rows, then how many of them know each feature. `whole`: no tenant's rows are in another
    item; else none of them can be said to be the least covered.
    """
    found = [list(one) for one in tenants]
    shares = {name: [Share(one[place], one[0]) for one in found] for place, name in enumerate(features, start=1)}
    return {
        "rows": sum(one[0] for one in found),
        "known": {name: sum(share.known for share in several) for name, several in shares.items()},
        "least": {name: _json(_least(several)) if whole else None for name, several in shares.items()},
    }


def merged(items: Sequence[Mapping[str, Any]]) -> dict[str, Coverage]:
    """By feature, from what the items of a run say; nothing where one of them was made before they said it."""
    if not items or any("coverage" not in item for item in items):
        return {}
    said = [item["coverage"] for item in items]
    out = {}
    for name in said[0]["known"]:
        least = [one["least"][name] for one in said if one["rows"]]
        whole = bool(least) and None not in least
        out[name] = Coverage(
            Share(sum(one["known"][name] for one in said), sum(one["rows"] for one in said)),
            _least([Share(*one) for one in least]) if whole else None,
        )
    return out


def _least(several: Sequence[Share]) -> Share | None:
    # of equal shares the one of more rows says more
    return min(several, key=lambda share: (share.value, -share.rows), default=None)


def _json(share: Share | None) -> list[int] | None:
    return None if share is None else [share.known, share.rows]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Of one dataset as a run saw it: when its newest event happened (its newest state began), and was known.

    RFC 3339 in UTC.
    """

    newest: str | None
    known_at: str | None

    def to_json(self, as_of: date) -> dict[str, Any]:
        """`days_behind`: whole days from the newest event or state to the beginning of as_of."""
        behind = None
        if self.newest:
            behind = (datetime.combine(as_of, time(), UTC) - datetime.fromisoformat(self.newest)).days
        return {"newest": self.newest, "known_at": self.known_at, "days_behind": behind}


def freshest(items: Iterable[Mapping[str, Any]]) -> dict[str, Freshness]:
    """By dataset, from what the items of a run say: the newest of all of them."""
    found: dict[str, list[tuple[str | None, str | None]]] = {}
    for item in items:
        for dataset, (newest, known_at) in item.get("newest", {}).items():
            found.setdefault(dataset, []).append((newest, known_at))

    def last(values: Iterable[str | None]) -> str | None:
        return max((value for value in values if value), default=None)  # all in UTC and of one length

    return {
        dataset: Freshness(last(one for one, _ in several), last(one for _, one in several))
        for dataset, several in found.items()
    }
