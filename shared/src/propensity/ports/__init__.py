"""The ports: what the use cases need from the outside world, in this package's own terms.

Each port has one suite in tests/contract. The suite runs against every adapter of the port, also against adapters that
are for tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from propensity.ports.modelling import (
    Coded,
    FittedModel,
    Frame,
    Frames,
    FrameStreams,
    FrameWriter,
    GrowingModel,
    ListColumn,
    Model,
    PartedWriter,
    QueryLineage,
    ReasonGraph,
    ReasonModel,
    Sample,
    Trainer,
)
from propensity.ports.sheets import Cell, OddCell, Sheet, Workbooks
from propensity.ports.storage import (
    ArrowStream,
    DataFile,
    ObjectInfo,
    ObjectReader,
    ObjectStore,
    Snapshot,
    Sql,
    SqlFactory,
    Tables,
)

__all__ = [
    "ArrowStream",
    "Cell",
    "Coded",
    "DataFile",
    "DownloadAccess",
    "DownloadLink",
    "Execution",
    "FittedModel",
    "Frame",
    "FrameStreams",
    "FrameWriter",
    "Frames",
    "GrowingModel",
    "ListColumn",
    "Metrics",
    "Model",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStore",
    "OddCell",
    "OnlineScore",
    "OnlineTable",
    "PartedWriter",
    "Ports",
    "QueryLineage",
    "Queue",
    "ReasonGraph",
    "ReasonModel",
    "Sample",
    "ScoringPorts",
    "Sheet",
    "Snapshot",
    "Sql",
    "SqlFactory",
    "Tables",
    "Trainer",
    "UploadAccess",
    "UploadLink",
    "Workbooks",
    "Workflows",
]


class Queue(Protocol):
    def send(self, message: Mapping[str, object]) -> None: ...


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a workflow. `reason` says why it failed; it is None for any other state.

    `began` and `ended` are RFC 3339 instants. `ended` is None while the execution runs.
    """

    name: str
    payload: Mapping[str, Any]
    state: Literal["running", "succeeded", "failed"]
    began: str
    ended: str | None = None
    reason: str | None = None


class Workflows(Protocol):
    """Step Functions executions."""

    def start(self, machine: str, name: str, payload: Mapping[str, object]) -> bool:
        """Start an execution.

        True where an execution of this name and payload now runs, by this call or an earlier call. False where the name
        is taken: by an execution that has ended (for 90 days), or by an execution with another payload.
        """

    def find(self, machine: str, name: str) -> Execution | None:
        """The execution of this name; None where none is known, or where it ended more than 90 days ago."""

    def recent(self, machine: str, part: str, most: int) -> list[Execution]:
        """The newest executions whose name contains `part`, at most `most` of them, newest first."""


@dataclass(frozen=True, slots=True)
class OnlineScore:
    """The latest score of one customer by one model version, and the features that the score was computed from.

    `vector` holds the features as float32, in the order of the version's feature list. `percentile` and `decile` are
    None for an unranked customer, and `unranked_reason` says why. `calibration` is the number of the calibration that
    the score was made with; scores of early releases have none.
    """

    tenant_id: str
    customer_id: str
    model: str
    version: int
    score: float
    percentile: int | None
    decile: int | None
    as_of: str
    run: str
    feature_set: str
    vector: bytes
    reasons: tuple[str, ...]
    unranked_reason: str | None = None
    calibration: int | None = None


class OnlineTable(Protocol):
    def put_many(self, scores: Sequence[OnlineScore]) -> None:
        """Write the scores. A score never replaces a score with a newer as_of.

        A score whose customer's id is longer than a key of the table can be is left out, and takes no other score down.
        No other method finds such an id.
        """

    def get_many(self, tenant_id: str, customer_ids: Sequence[str], model: str, version: int) -> list[OnlineScore]:
        """The scores of these customers by one version.

        An item that is no score, because an attribute is missing or wrong, comes back with an empty vector. Nothing but
        its key may then be used.
        """

    def newest(self, tenant_id: str, customer_ids: Sequence[str], model: str) -> list[OnlineScore]:
        """The scores of these customers by the highest version that scored them, for each customer by itself."""

    def remove(self, tenant_id: str, customer_ids: Sequence[str] | None) -> int:
        """Remove the scores of these customers, or of all customers of the tenant where `customers` is None.

        Scores by all models and versions are removed. Returns how many scores were removed.
        """


class Metrics(Protocol):
    def count(self, name: str, value: float = 1, **dimensions: str) -> None: ...


@dataclass(frozen=True, slots=True)
class UploadLink:
    """A URL that takes one object by HTTP PUT, without credentials, and that is valid for a number of seconds.

    `headers` are signed: the bucket refuses a PUT that lacks one of them, or that has another value.
    """

    url: str
    seconds: int
    headers: Mapping[str, str] = field(default_factory=dict)


class UploadAccess(Protocol):
    """The access that other parties get to put files into the landing bucket."""

    def link(self, key: str, *, content_type: str, size: int | None = None) -> UploadLink:
        """Make a link for exactly this key, which takes one object once: a key that is there is not written again.

        The object has this content type and, where `size` is given, exactly so many bytes.
        """

    def resource(self, prefix: str) -> str:
        """The name that an IAM policy has for all objects under a prefix."""


@dataclass(frozen=True, slots=True)
class DownloadLink:
    """A URL that hands out one object by HTTP GET, without credentials, and that is valid for a number of seconds."""

    url: str
    seconds: int


class DownloadAccess(Protocol):
    """The access that other parties get to objects of the lake bucket."""

    def link(self, key: str) -> DownloadLink:
        """Make a link to exactly this object. A browser saves it under the last part of its key."""


class ScoringPorts(Protocol):
    """The ports that score with a version: its files, and what loads its graphs."""

    @property
    def lake(self) -> ObjectReader: ...

    def scorer(self, onnx: bytes) -> Model:
        """A model, loaded from its ONNX file."""

    def reason_model(self, onnx: bytes) -> ReasonModel:
        """The graph of a tree model's reasons, loaded from its ONNX file."""


class Ports(ScoringPorts, Protocol):
    """All ports. Each port is built at its first use, so that a function needs only the layers of the ports it uses."""

    @property
    def pack(self) -> str:
        """The pack's name."""

    @property
    def pack_files(self) -> Mapping[str, str]:
        """The pack's files, as a mapping of relative path to text."""

    @property
    def landing(self) -> ObjectStore: ...

    @property
    def lake(self) -> ObjectStore: ...

    @property
    def tables(self) -> Tables: ...

    @property
    def sql(self) -> SqlFactory: ...

    @property
    def promote_queue(self) -> Queue: ...

    @property
    def inference_queue(self) -> Queue: ...

    @property
    def workflows(self) -> Workflows: ...

    @property
    def online(self) -> OnlineTable: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def rows_per_item(self) -> int:
        """About how many Silver rows a planner gives one worker."""

    @property
    def frames(self) -> Frames:
        """The Frames port: pyarrow in functions with the arrow layer, arro3 in functions that train."""

    @property
    def frame_streams(self) -> FrameStreams:
        """The FrameStreams port: pyarrow only."""

    @property
    def trainer(self) -> Trainer: ...

    @property
    def upload_access(self) -> UploadAccess: ...

    @property
    def download_access(self) -> DownloadAccess: ...

    def stopwatch(self) -> float:
        """The seconds on a clock without a date. Only the difference of two readings means anything."""

    def tell_fault(self, step: str, error: Exception, **fields: str | int) -> None:
        """Log a fault that a use case goes on after: the step that failed, and the kind of the error.

        Neither the step nor a field may hold a value of a row.
        """

    @property
    def query_lineage(self) -> QueryLineage: ...

    @property
    def workbooks(self) -> Workbooks: ...
