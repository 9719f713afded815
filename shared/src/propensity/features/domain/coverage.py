"""The coverage of a feature: how many customers it is known of, and how old the rows are that it was computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any


@dataclass(frozen=True, slots=True)
class Share:
    """The share of known values: `known` of `rows` customers have a value of their own.

    The other customers have the default or no value.
    """

    known: int
    rows: int

    @property
    def value(self) -> float:
        """The share in [0, 1]. It is 0 where there are no rows."""
        return self.known / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, float | int]:
        return {"share": self.value, "known": self.known, "rows": self.rows}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one feature in a run.

    `overall` is the share over all rows. `least` is the share over the rows of the tenant that has the lowest share.
    `least` is None where the run cannot tell.
    """

    overall: Share
    least: Share | None

    def to_json(self) -> dict[str, Any]:
        return {"overall": self.overall.to_json(), "least_tenant": self.least.to_json() if self.least else None}


def counted(features: Sequence[str], tenants: Iterable[Sequence[int]], *, whole: bool) -> dict[str, Any]:
    """The counts in a work item's result. The counts name no tenant.

    `tenants` has, per tenant, the number of its rows, and then for each feature the number of rows in which the feature
    is known. `whole` says that no tenant has rows in another item. Where `whole` is not so, the item cannot tell which
    tenant is least covered.
    """
    rows = [list(counts) for counts in tenants]
    shares = {
        name: [Share(counts[place], counts[0]) for counts in rows] for place, name in enumerate(features, start=1)
    }
    return {
        "rows": sum(counts[0] for counts in rows),
        "known": {name: sum(share.known for share in several) for name, several in shares.items()},
        "least": {name: _json(_least(several)) if whole else None for name, several in shares.items()},
    }


def coverage_of(items: Sequence[Mapping[str, Any]]) -> dict[str, Coverage]:
    """The coverage by feature, from the results of a run's items. It is empty where one of the items has no counts."""
    if not items or any("coverage" not in item for item in items):
        return {}
    counts = [item["coverage"] for item in items]
    out = {}
    for name in counts[0]["known"]:
        least = [item["least"][name] for item in counts if item["rows"]]
        whole = bool(least) and None not in least
        out[name] = Coverage(
            Share(sum(item["known"][name] for item in counts), sum(item["rows"] for item in counts)),
            _least([Share(*share) for share in least]) if whole else None,
        )
    return out


def _least(several: Sequence[Share]) -> Share | None:
    # where shares are equal, the share over more rows says more
    return min(several, key=lambda share: (share.value, -share.rows), default=None)


def _json(share: Share | None) -> list[int] | None:
    return None if share is None else [share.known, share.rows]


@dataclass(frozen=True, slots=True)
class Freshness:
    """The freshness of a dataset at the time when a run read it; both instants are RFC 3339 in UTC.

    `newest` is the instant when the dataset's newest event happened, or its newest state began. `known_at` is the
    instant when its newest row became known.
    """

    newest: str | None
    known_at: str | None

    def to_json(self, as_of: date) -> dict[str, Any]:
        """The freshness as JSON.

        `days_behind` counts whole days from the newest event or state to the beginning of as_of.
        """
        behind = None
        if self.newest:
            behind = (datetime.combine(as_of, time(), UTC) - datetime.fromisoformat(self.newest)).days
        return {"newest": self.newest, "known_at": self.known_at, "days_behind": behind}


def freshest(items: Iterable[Mapping[str, Any]]) -> dict[str, Freshness]:
    """The freshness of each dataset, which is the newest one among the results of a run's items."""
    found: dict[str, list[tuple[str | None, str | None]]] = {}
    for item in items:
        for dataset, (newest, known_at) in item.get("newest", {}).items():
            found.setdefault(dataset, []).append((newest, known_at))

    def last(values: Iterable[str | None]) -> str | None:
        # all instants are in UTC and of one length, so they compare as texts
        return max((value for value in values if value), default=None)

    return {
        dataset: Freshness(last(newest for newest, _ in several), last(known_at for _, known_at in several))
        for dataset, several in found.items()
    }
