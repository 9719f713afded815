"""What the steps of a run hand to each other: its plan, its work items and what each step counted, as JSON in the lake.

A key that an object of an earlier release lacks is a field with a default. Days are texts as YYYY-MM-DD, as they stand
in the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from propensity.kernel.spec import Record
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.domain.run_names import Scope
from propensity.lake.domain.time_travel import SilverAt
from propensity.pack.domain.model_spec import Candidate


class ItemSource(Record):
    """What a work item reads of a dataset: its table's shape, and the keys of the files."""

    shape: SilverShape
    keys: tuple[str, ...]


class Plan(Record):
    """`<run>/plan.json`: the versions of Silver that the run reads, the files taken back, and its groups of buckets.

    `silver_at`: the Silver that was asked for, as `SilverAt.said` has it; None for the newest.
    """

    model: str = ""
    as_of: str
    silver: Mapping[str, int]
    retracted: Mapping[str, Sequence[tuple[str, str]]] = {}
    silver_at: Mapping[str, Any] | None = None
    groups: Sequence[Sequence[int]] = ()
    scores_version: int | None = None

    @property
    def pinned(self) -> SilverAt:
        """The Silver that the run reads, whenever it is read again."""
        return SilverAt(versions=self.silver, retracted=self.retracted)


class PlannedChampion(Record):
    """The champion that a training's candidate is compared with."""

    version: int
    calibration: int


class TrainingPlan(Plan):
    """`outcomes_until`: the day before which outcomes were known; None in an early plan: `as_of`.

    `closed`: periods of tenants that were closed, [start, end) each. `shapes` and `columns` let a replay read the
    tables as this run does. A replay names the version and its request.
    """

    outcomes_until: str | None = None
    closed: Mapping[str, Sequence[tuple[str | None, str | None]]] = {}
    silent_days: int | None = None
    horizon_days: int | None = None
    gap_days: int | None = None
    feature_set: str = ""
    columns: Mapping[str, Mapping[str, str]] | None = None
    shapes: Mapping[str, SilverShape] | None = None
    partition_key: str | None = None
    champion: PlannedChampion | None = None
    dates: Sequence[str] = ()
    replay_of: int | None = None
    replay_request: str | None = None

    @property
    def last_outcomes(self) -> str:
        """The day before which outcomes were known."""
        return self.outcomes_until or self.as_of


class ScoringPlan(Plan):
    """`batch_as_of` and `batch_run`: the batch whose cut points a gap run takes; None in a batch's own plan."""

    version: int
    calibration: int = 0
    scope: Scope
    batch_as_of: str | None = None
    batch_run: str | None = None


class Item(Record):
    """One work item of a run's Map. `run` and `index` (from 1) are set when it is written."""

    run: str = ""
    index: int = 0
    model: str


class BuildItem(Item):
    """Buckets of Silver whose features are built, as of one or more days.

    `known_by`: for training, the day by which outcomes are known; None for scoring. `scored`: for a gap run, the keys
    of files that can hold scores of these customers by `scored_version`; None for other runs.
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
    out: str


class ScoreItem(BuildItem):
    """A build item that is scored, labelled and published besides.

    `calibration`: its number; 0 is the version's own, also in an item of an early release, which has no number.
    """

    version: int
    calibration: int = 0
    scope: Scope
    registry: str
    scored_out: str
    stem: str


class FitItem(Item, Candidate):
    """A candidate of the model: its settings are tried, and the best is fitted, on the files of `training_keys`."""

    definition: str
    training_keys: Sequence[str]
    out: str

    @property
    def candidate(self) -> Candidate:
        return Candidate.model_validate({name: getattr(self, name) for name in Candidate.model_fields})


class StepResult(Record):
    """What a step says of one item: `<run>/results/<step>/0001.json`."""

    step: ClassVar[str]


class BuildResult(StepResult):
    """Counts of a build item. `population` = `rows` + `had`; `features` is the file's key.

    Of training only: `positives`, rows by date and why rows were left out (training/domain/training_set.py).
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
    population_by_date: Mapping[str, int] = {}
    strata: Sequence[tuple[str, str, int, int, int]] | None = None
    left_out: Sequence[tuple[str, str, int]] = ()
    newest_by_tenant: Mapping[str, str] = {}
    packages: Mapping[str, str] = {}
    segments: Mapping[str, str] = {}
    features: str


class ScoreResult(StepResult):
    """The rows of a score item, and the key of their file."""

    step: ClassVar[str] = "score_shard"
    rows: int
    scored: str


class LabelledFile(Record):
    """A file below gold/scores; `path` is within the table, `size` in bytes."""

    path: str
    bucket_count: int
    bucket: int
    rows: int
    size: int


class LabelResult(StepResult):
    """The final files of a score item."""

    step: ClassVar[str] = "label_shard"
    files: Sequence[LabelledFile]
    rows: int


class PublishResult(StepResult):
    """How many rows of a score item are online."""

    step: ClassVar[str] = "publish_scores"
    rows: int


class Receipt(Record):
    """`<run>/receipt.json` of a scoring run: population = had (scored before) + new (scored now) + failed.

    `coverage` in [0, 1]: the share that has a score.
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
