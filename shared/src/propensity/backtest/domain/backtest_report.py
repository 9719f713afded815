"""The content of a backtest's report.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.kernel.spec import Record
from propensity.registry.domain.release_proof import ReleaseProof
from propensity.stats.figures import Estimate


class OriginFigure(Record):
    """A figure with its 95 % interval and n, and the conversions among its n customers; a row of a matchback.

    `pooled` says that the figure compares customers of all tenants with each other.
    """

    segment: str
    measure: str
    estimate: Estimate
    positives: int
    pooled: bool


class ListGains(Record):
    """What lists of one size hold: by the model's scores, and by the manual filter where the model has one.

    `month` is the as-of date of one origin's lists, or None for several origins together, of which there are `months`.
    `size`, `expected` (the sum of the scores), `by_model` and `by_filter` (conversions) are of one month, the mean of
    `months`. `gain` is `by_model` less `by_filter`, in conversions a month. `profit` and `gain_money` are in `currency`
    a month; None where the model's YAML has no `value`.
    """

    month: str | None
    months: int
    lists: int
    size: float
    expected: float
    by_model: Estimate
    by_filter: Estimate | None = None
    gain: Estimate | None = None
    profit: Estimate | None = None
    gain_money: Estimate | None = None
    currency: str | None = None


class OriginReport(Record):
    """One origin: what it was trained on, whom it scored, and what came of it.

    `judged` is the origin's judged.json. `counted` says whether the origin is in the figures over all origins: its
    label window shares no day with that of another counted one.
    """

    judged: Mapping[str, Any]
    counted: bool
    figures: tuple[OriginFigure, ...]
    findings: tuple[str, ...]
    gains: ListGains | None


class BacktestReport(Record):
    """A backtest: each origin, all counted origins together, and the proof for the release of lists.

    `together` has `auc_within`, `lift_of_lists` and `observed_over_expected` over the counted origins. `proof` is what
    the release gate reads; `short_of` says what it lacks by the limits of the tried definition, None where it passes.
    `kept` says whether the proof counts for versions of the same recipe. `notes` are what a reader must know.
    """

    backtest: str
    model: str
    recipe: str
    feature_set: str
    own_definition: bool
    as_of: str
    by: str
    at: str
    horizon_days: int
    settle_days: int
    origins: tuple[OriginReport, ...]
    together: tuple[OriginFigure, ...]
    gains: ListGains | None
    proof: ReleaseProof
    limits: Mapping[str, Any]
    short_of: str | None
    notes: tuple[str, ...]
