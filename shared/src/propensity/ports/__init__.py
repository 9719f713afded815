"""What the use cases need from the outside world, in our own words.

One suite per port (tests/contract) runs against each of its adapters, those for tests included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from propensity.ports.modelling import FittedModel, Frames, GrowingModel, Model, QueryLineage, Sample, Trainer
from propensity.ports.storage import ArrowStream, DataFile, ObjectInfo, ObjectStore, Snapshot, Sql, SqlFactory, Tables

__all__ = [
    "ArrowStream",
    "DataFile",
    "FittedModel",
    "Frames",
    "GrowingModel",
    "Metrics",
    "Model",
    "ObjectInfo",
    "ObjectStore",
    "OnlineScore",
    "OnlineTable",
    "Ports",
    "QueryLineage",
    "Queue",
    "Sample",
    "Snapshot",
    "Sql",
    "SqlFactory",
    "Tables",
    "Trainer",
    "UploadAccess",
    "UploadLink",
    "Workflows",
]


class Queue(Protocol):
    def send(self, message: Mapping[str, object]) -> None: ...


class Workflows(Protocol):
    """Step Functions executions."""

    def start(self, machine: str, name: str, payload: Mapping[str, object]) -> bool:
        """Whether an execution of this name and payload runs now: started by this call, or before and not ended yet.

        False where the name is taken: by an execution that has ended, for 90 days, or by one of another payload.
        """


@dataclass(frozen=True, slots=True)
class OnlineScore:
    """The latest score of one customer by one model version, with what it was computed from.

    `vector` is the feature vector, float32, in the order of the version's feature list.
    """

    tenant_id: str
    customer_id: str
    model: str
    version: int
    score: float
    percentile: int
    decile: int
    as_of: str
    run: str
    feature_set: str
    vector: bytes
    reasons: tuple[str, ...]


class OnlineTable(Protocol):
    def put_many(self, scores: Sequence[OnlineScore]) -> None:
        """Write the scores; an older as_of never replaces a newer one."""

    def get_many(self, tenant_id: str, customer_ids: Sequence[str], model: str, version: int) -> list[OnlineScore]: ...

    def remove(self, tenant_id: str, customer_ids: Sequence[str] | None) -> int:
        """Remove every score, of all models and versions, of these customers, or (None) of all of the tenant's.

        How many scores were removed.
        """


class Metrics(Protocol):
    def count(self, name: str, value: float = 1, **dimensions: str) -> None: ...


@dataclass(frozen=True, slots=True)
class UploadLink:
    """An address that takes one object by HTTP PUT, without credentials, for so many seconds."""

    url: str
    seconds: int


class UploadAccess(Protocol):
    """How others may put files into the landing bucket."""

    def link(self, key: str) -> UploadLink:
        """A link for exactly this key."""

    def resource(self, prefix: str) -> str:
        """How an IAM policy names every object under a prefix."""


class Ports(Protocol):
    """All of them; each is built when it is first used, so a function needs only the layers of those it uses."""

    @property
    def pack(self) -> str:
        """The pack's name."""

    @property
    def pack_files(self) -> Mapping[str, str]:
        """The pack's files, relative path to text."""

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
        """How many Silver rows a planner gives one worker, about."""

    @property
    def frames(self) -> Frames:
        """Over pyarrow where the arrow layer is, over arro3 in the function that trains."""

    @property
    def trainer(self) -> Trainer: ...

    def scorer(self, onnx: bytes) -> Model:
        """Load a model."""

    @property
    def upload_access(self) -> UploadAccess: ...

    def stopwatch(self) -> float:
        """Seconds of a clock that is good for durations only."""

    @property
    def query_lineage(self) -> QueryLineage: ...
