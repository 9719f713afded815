"""What drift checks and matchbacks leave beside their scoring run: drift.json, and matchback-<day>.json."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from propensity.kernel.spec import Frozen
from propensity.ports import ObjectStore
from propensity.stats.drift import Drift


class DriftReport(Frozen):
    """drift.json of a scoring run. `features`: how many; `over_threshold`: how many columns are over the limit.

    `reference_as_of`: the day of the training's reference; `limit`: of the PSI; `columns`: each feature, and the score.
    """

    run: str
    model: str
    version: int
    as_of: str
    reference_as_of: str
    limit: float
    features: int
    over_threshold: int
    columns: tuple[Drift, ...]


class MatchbackFigure(Frozen):
    """A figure with its 95 % interval and n, and the conversions among these n customers."""

    value: float
    low: float
    high: float
    n: int
    positives: int


class MatchbackReport(Frozen):
    """matchback-<day>.json of a scoring run. `known_by` is that day; `silver`: the versions of Silver that it saw.

    `segments`: by segment and measure, the figure. `left_out`: customers whose outcome could not be seen, by reason;
    the oldest matchbacks lack it.
    """

    run: str
    model: str
    version: int
    as_of: str
    known_by: str
    silver: dict[str, int]
    segments: dict[str, dict[str, MatchbackFigure]]
    left_out: dict[str, int] = Field(default_factory=dict)


def drift_key(run: str) -> str:
    return f"{run}/drift.json"


def matchback_key(run: str, day: str) -> str:
    return f"{run}/matchback-{day}.json"


def matchback_keys(store: ObjectStore, run: str) -> Iterator[str]:
    """The keys of a run's matchbacks, oldest first."""
    return store.keys(f"{run}/matchback-")
