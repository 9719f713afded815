"""The reports that drift checks and matchbacks leave beside their scoring run: drift.json, and matchback-<day>.json."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from propensity.kernel.spec import Record
from propensity.ports import ObjectStore
from propensity.stats.drift import Drift


class DriftReport(Record):
    """The content of a scoring run's drift.json.

    `features` says how many features there are, `over_threshold` how many columns are over the limit, and
    `nulls_over` of how many columns more values are missing than at training.
    `reference_as_of` is the day of the training's reference. `limit` is the limit of the PSI. `columns` has each
    feature, and the score.
    """

    run: str
    model: str
    version: int
    as_of: str
    reference_as_of: str
    limit: float
    features: int
    over_threshold: int
    nulls_over: int = 0
    columns: tuple[Drift, ...]


class MatchbackFigure(Record):
    """A figure with its 95 % interval and n, and the number of conversions among its n customers.

    `pooled` says that the figure compares customers of all tenants with each other. The oldest matchbacks do not say
    it, and all their figures of the ranking are pooled.
    """

    value: float
    low: float
    high: float
    n: int
    positives: int
    pooled: bool = True


class MatchbackReport(Record):
    """The content of a scoring run's matchback-<day>.json.

    `known_by` is the day in the file's name, and `silver` has the versions of Silver that the matchback saw. `segments`
    has the figures by segment and measure, those within tenants before the pooled ones. `left_out` counts customers
    whose outcome could not be seen, by reason. `unranked` counts matched customers without a place on their tenant's
    list, by reason; they are in no decile, and neither in `high` nor in `low`. `findings` says which figures there
    cannot be, and why. The oldest matchbacks lack these three.
    """

    run: str
    model: str
    version: int
    as_of: str
    known_by: str
    silver: dict[str, int]
    segments: dict[str, dict[str, MatchbackFigure]]
    left_out: dict[str, int] = Field(default_factory=dict)
    unranked: dict[str, int] = Field(default_factory=dict)
    findings: tuple[str, ...] = ()


def drift_key(run: str) -> str:
    return f"{run}/drift.json"


def matchback_key(run: str, day: str) -> str:
    return f"{run}/matchback-{day}.json"


def matchback_keys(store: ObjectStore, run: str) -> Iterator[str]:
    """Return the keys of a run's matchbacks, oldest first."""
    return store.keys(f"{run}/matchback-")
