"""The JSON objects in the lake that the steps of a run hand to each other: plan, work items, and counts of each step.

A key that an object of an earlier release lacks is a field with a default. Days are texts as YYYY-MM-DD, as in the
JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator

from propensity.kernel.spec import Record
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.domain.run_names import Scope
from propensity.lake.domain.time_travel import SilverAt
from propensity.pack.domain.model_spec import Candidate


class ItemSource(Record):
    """The part of a dataset that a work item reads: the shape of the dataset's table, and the keys of the files."""

    shape: SilverShape
    keys: tuple[str, ...]


class Plan(Record):
    """The part of a run's plan, `<run>/plan.json`, that a training and a scoring have in common.

    The plan holds the versions of Silver that the run reads, and the files taken back. `silver_at` is the Silver that
    was asked for, as `SilverAt.said` has it. None means the newest Silver.
    """

    as_of: str
    silver: Mapping[str, int]
    retracted: Mapping[str, Sequence[tuple[str, str]]] = {}
    silver_at: Mapping[str, Any] | None = None
    scores_version: int | None = None

    @property
    def pinned(self) -> SilverAt:
        """The Silver that the run reads, whenever the run reads it again."""
        return SilverAt(versions=self.silver, retracted=self.retracted)


class PlannedChampion(Record):
    """The champion that a training's candidate is compared with."""

    version: int
    calibration: int


class TrainingPlan(Plan):
    """The plan of a training. `outcomes_until` is the day before which outcomes were known.

    None, in an early plan, means `as_of`. `closed` holds the periods of tenants that were closed, [start, end) each.
    `shapes` and `columns` let a replay read the tables as this run does. The plan of a replay names the version and its
    request. The plan of a backtest's origin names the backtest, and the version that was trained on the origin already
    where there is one. `groups` are the buckets of each work item.
    """

    model: str
    groups: Sequence[Sequence[int]]
    outcomes_until: str | None = None
    closed: Mapping[str, Sequence[tuple[str | None, str | None]]] = {}
    silent_days: int | None = None
    horizon_days: int | None = None
    gap_days: int | None = None
    feature_set: str
    columns: Mapping[str, Mapping[str, str]] | None = None
    shapes: Mapping[str, SilverShape] | None = None
    partition_key: str | None = None
    champion: PlannedChampion | None = None
    dates: Sequence[str]
    backtest: str | None = None
    trained_version: int | None = None
    replay_of: int | None = None
    replay_request: str | None = None

    @property
    def last_outcomes(self) -> str:
        """The day before which outcomes were known."""
        return self.outcomes_until or self.as_of


class EarlierBatch(Record):
    """The batch that a scoring run is compared with: run, day, version, its calibration, and the number of buckets.

    `kept` has the numbers of its work items whose features are still there. None means that its version has another
    feature set, so that its features say nothing to the present version.
    """

    run: str
    as_of: str
    version: int
    calibration: int
    bucket_count: int
    kept: Sequence[int] | None


class BacktestOrder(Record):
    """A backtest that was asked for: `request.json` in its folder, beside the definition that it tries.

    `origins` are the as-of dates whose trainings and lists it repeats, oldest first. Silver is that of the instant
    `at`, so every origin reads the same rows. `recipe` is the definition's (pack/domain/definition.py).
    `own_definition` says that the YAML came with the request and is not the pack's. `by` asked.
    """

    backtest: str
    model: str
    as_of: str
    origins: Sequence[str]
    every_months: int | None = None
    own_definition: bool = False
    recipe: str
    by: str
    at: str


class ScoringPlan(Plan):
    """The plan of a scoring run. `batch_as_of` and `batch_run` name the batch that a gap run builds on.

    `ranked_by` is the run whose cut points it takes: the newest gap run since the batch, or the batch. All three are
    None in a batch's own plan. Scores from before `fresh_from` are made again, those of `fresh_tenant` or of everybody.
    `earlier` is the batch before, with which each score is compared; None where there is none.
    """

    model: str
    groups: Sequence[Sequence[int]]
    version: int
    calibration: int = 0
    scope: Scope
    batch_as_of: str | None = None
    batch_run: str | None = None
    ranked_by: str | None = None
    fresh_from: str | None = None
    fresh_tenant: str | None = None
    earlier: EarlierBatch | None = None

    @model_validator(mode="after")
    def _batch_of_a_gap_run(self) -> ScoringPlan:
        if self.scores_version is not None and self.batch_as_of is None:
            raise ValueError("batch_as_of: expected the day of the batch that the gap run fills")
        return self


class Item(Record):
    """One work item of a run's Map. `run` and `index` (from 1) are set when the item is written."""

    run: str = ""
    index: int = 0
    model: str


class EarlierRows(Record):
    """Where a work item finds its customers in the earlier batch, and the file to which they are written in its order.

    `scored` and `features` are keys of the earlier batch's files that can hold these customers. `features` is None
    where the earlier batch had another feature set.
    """

    scored: Sequence[str]
    features: Sequence[str] | None
    out: str


class BuildItem(Item):
    """The buckets of Silver whose features are built, as of one or more days.

    For training, `known_by` is the day by which outcomes are known; it is None for scoring. For a gap run, `scored`
    holds the keys of files that can have scores of these customers by `scored_version`. `scored` is None for other
    runs. Scores from before `scored_since` do not count; nor do those from before `fresh_from`, of `fresh_tenant` or of
    everybody. `earlier` is None for training, and where there was no batch before.
    """

    definition: str
    as_of: Sequence[str]
    known_by: str | None
    outcomes_until: str | None = None
    closed: Mapping[str, Sequence[tuple[str | None, str | None]]] = {}
    sources: Mapping[str, ItemSource]
    buckets: Sequence[int]
    bucket_count: int
    partition_key: str
    scored: Sequence[str] | None
    scored_version: int | None = None
    scored_since: str | None = None
    fresh_from: str | None = None
    fresh_tenant: str | None = None
    earlier: EarlierRows | None = None
    out: str

    @model_validator(mode="after")
    def _whose_scores(self) -> BuildItem:
        if self.scored is not None and self.scored_version is None:
            raise ValueError("scored_version: expected the version whose scores `scored` holds")
        return self


class ScoreItem(BuildItem):
    """A build item that is also scored, labelled and published.

    `calibration` is the number of the calibration; 0 is the version's own. An item of an early release has no number,
    which also means the version's own.
    """

    version: int
    calibration: int = 0
    scope: Scope
    registry: str
    scored_out: str
    stem: str


class FitItem(Item, Candidate):
    """A candidate of the model.

    Its settings are tried on the files of `training_keys`, and the best setting is fitted.
    """

    model_config = ConfigDict(extra="ignore")  # a candidate of a pack forbids what it does not know; a record does not

    definition: str
    training_keys: Sequence[str]
    out: str

    @property
    def candidate(self) -> Candidate:
        return Candidate.model_validate({name: getattr(self, name) for name in Candidate.model_fields})


class StepResult(Record):
    """The result of a step for one item, `<run>/results/<step>/0001.json`."""

    step: ClassVar[str]


class BuildResult(StepResult):
    """The counts of a build item. `population` = `rows` + `had`; `features` is the file's key.

    Only a training has `positives`, the rows by date, and why rows were left out (training/domain/training_set.py).
    `arrived` has per dataset the rows that the newest date sees, and how many of them had arrived by then.
    """

    step: ClassVar[str] = "build_features"
    population: int = 0
    had: int = 0
    rows: int = 0
    positives: int | None = None
    by_date: Mapping[str, int] = {}
    by_bucket: Mapping[str, int] = {}
    bytes: int = 0
    columns: Sequence[str] = ()
    chosen: bool = False
    coverage: Mapping[str, Any] | None = None
    newest: Mapping[str, tuple[str | None, str | None]] | None = None
    arrived: Mapping[str, tuple[int, int]] = {}
    population_by_date: Mapping[str, int] = {}
    strata: Sequence[tuple[str, str, int, int, int]] | None = None
    left_out: Sequence[tuple[str, str, int]] = ()
    newest_by_tenant: Mapping[str, str] = {}
    packages: Mapping[str, str] = {}
    segments: Mapping[str, str] = {}
    features: str


class ScoreResult(StepResult):
    """The number of rows of a score item, and the key of their file."""

    step: ClassVar[str] = "score_shard"
    rows: int
    scored: str


class LabelledFile(Record):
    """A file below gold/scores. `path` is the path within the table, and `size` is in bytes."""

    path: str
    bucket_count: int
    bucket: int
    rows: int
    size: int


class TenantTally(Record):
    """The counts of a tenant's customers that say whether a batch is sound (scoring/domain/sanity.py).

    Of `rows` customers, `unset` feature values are unknown. Of `ranked` customers, `tied` have the tenant's commonest
    score. `both` customers were in the earlier batch too; their scores sum up to `score_now` and `score_then`. Of the
    `kept` customers whose earlier features are there, `unset_now` and `unset_then` values are unknown. The `placed`
    customers, who have a decile in both batches, moved by `steps` deciles together, up or down.
    """

    rows: int = 0
    unset: int = 0
    ranked: int = 0
    tied: int = 0
    both: int = 0
    score_now: float = 0.0
    score_then: float = 0.0
    kept: int = 0
    unset_now: int = 0
    unset_then: int = 0
    placed: int = 0
    steps: int = 0


class LabelResult(StepResult):
    """The final files of a score item, the counts of its tenants, and the number of features."""

    step: ClassVar[str] = "label_shard"
    files: Sequence[LabelledFile]
    rows: int
    features: int = 0
    tenants: Mapping[str, TenantTally] = {}


class CommitResult(LabelResult):
    """The files of a score item that commit_run added, where another run had scored some of its customers meanwhile."""

    step: ClassVar[str] = "commit_run"


class PublishResult(StepResult):
    """The number of rows of a score item that are online."""

    step: ClassVar[str] = "publish_scores"
    rows: int


class Receipt(Record):
    """The receipt of a scoring run, `<run>/receipt.json`: population = had (scored before) + new (scored now) + failed.

    `coverage` in [0, 1] is the share of the population that has a score. `features_version` is a version of the table
    of features that has the run's own files; maintenance keeps it while a later run may be compared with this one.
    `forced` says who made the run visible in spite of its figures, and why.
    """

    run: str
    model: str
    version: int
    as_of: str
    scope: Scope
    population: int
    had: int
    new: int
    failed: int
    coverage: float
    items: str
    features_version: int | None = None
    forced: Mapping[str, str | None] | None = None


class ServedFeature(Record):
    """A feature of a batch: of `rows` customers, `differing` would have another value if it were computed again."""

    rows: int
    differing: int


class ServedReport(Record):
    """The audit of what a batch was scored on, `<run>/as_served.json`.

    `features` compares the values that the batch was scored on with those that a training on its day reads now, over
    all tenants. `gone` customers would no longer be scored, and `added` ones would be scored as well. `silver` has the
    versions of Silver that were read.
    """

    run: str
    model: str
    version: int
    as_of: str
    audited: str
    silver: Mapping[str, int]
    rows: int
    gone: int
    added: int
    features: Mapping[str, ServedFeature]


def served_report_key(run: str) -> str:
    return f"{run}/as_served.json"
