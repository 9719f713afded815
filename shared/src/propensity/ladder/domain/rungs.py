"""The records of a ladder: fit.json, which lists its models, and ladder.json, which says where each tenant stands."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any, Literal

from propensity.kernel.spec import Record
from propensity.registry.domain.ladder import Rung
from propensity.stats.figures import Estimate

type Figure = dict[str, int | float | None]  # an estimate as JSON; a bound that is not finite is None


def figure_of(estimate: Estimate) -> Figure:
    """Return an estimate as JSON, which has no infinity."""
    return {name: _finite(value) for name, value in asdict(estimate).items()}


def _finite[T: float](value: T) -> T | None:
    return value if isfinite(value) else None


class FittedGroup(Record):
    """A model that was fitted on the rows of one segment or of one tenant.

    `folder` is the model's place below the run, and later below the version. `out` is the same place as a key of the
    lake.
    """

    kind: Literal["segment", "own"]
    name: str
    folder: str
    rows: int
    positives: int
    out: str
    probes: str


class LadderFits(Record):
    """The content of fit.json.

    `offset` and `out` are the global model's: its logit offset, and the folder of its fit.
    """

    models: tuple[FittedGroup, ...]
    offset: float
    out: str


class Gain(Record):
    """The gain of a rung over the rung that stood then, in nats a row. A bound is None where it is infinite."""

    over: Rung
    value: float
    low: float | None
    high: float | None
    n: int

    @staticmethod
    def of(over: Rung, gain: Estimate) -> Gain:
        return Gain(over=over, value=gain.value, low=_finite(gain.low), high=_finite(gain.high), n=gain.n)


class Evidence(Record):
    """The evidence of a tenant: its training rows, its held-out rows, what each rung gained, and AUCs by rung."""

    rows: int
    positives: int
    held_rows: int
    held_positives: int
    gains: dict[Rung, Gain]
    auc: dict[Rung, Figure | None]


NO_EVIDENCE = Evidence(rows=0, positives=0, held_rows=0, held_positives=0, gains={}, auc={})


class TenantRung(Record):
    """The rung of a tenant, and the reason.

    `model`, `intercept` and `rate` have the same meaning as in registry.domain.ladder.Place.
    """

    rung: Rung
    model: str | None
    intercept: float
    rate: float | None
    segment: str | None
    evidence: Evidence
    reason: str


class SegmentModel(Record):
    """The model of a segment: its training rows, and how many tenants of the segment there are.

    `gain` is the gain over the rungs where these tenants stood, on all their held-out rows. It is empty where too few
    rows could tell. `earned` says whether the gain is proven to be above 0.
    """

    model: str
    rows: int
    positives: int
    tenants: int
    gain: Figure
    earned: bool


class LadderRecord(Record):
    """The content of ladder.json.

    `refused` has the folders of models whose export is not sound, and by how much each export is off.
    """

    rungs: dict[Rung, int]
    tenants: dict[str, TenantRung]
    segments: dict[str, SegmentModel]
    variance_between_tenants: float
    held_rows: int
    refused: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return self.model_dump()
