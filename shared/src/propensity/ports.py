"""What the use cases need from the outside world, in our own words.

One suite per port (tests/contract) runs against each of its adapters, those for tests included.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from propensity.domain.lineage import Lineage


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of one object. `last_modified` is in UTC, `size` in bytes."""

    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None = None


class ObjectStore(Protocol):
    """One bucket. Reading a key that is not there raises NotFoundError."""

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo: ...

    def get(self, key: str, version_id: str | None = None) -> bytes: ...

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo: ...

    def put(self, key: str, body: bytes) -> None:
        """Write, replacing what is there."""

    def put_new(self, key: str, body: bytes) -> bool:
        """Write only where nothing is (If-None-Match: *). False where something was."""

    def upload_new(self, key: str, path: Path) -> bool:
        """`put_new` of a local file."""

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        """`put` of a local file. Raises RetryableError where the object is not the one of the etag any more."""

    def remove(self, key: str, version_id: str | None = None) -> None:
        """Remove one version of an object for good, or every one of them. Nothing where there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under a prefix, in lexical order."""

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        """What is known of every object under a prefix, by key; `version_id` is not told."""

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every version that can still be read under a prefix, by key; of objects overwritten or deleted too."""


class ArrowStream(Protocol):
    """Anything that speaks the Arrow C stream interface, and gives its rows each time it is asked for them."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class Sql(Protocol):
    """One DuckDB session with a scratch folder of its own. Sessions are UTC."""

    scratch: Path

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def stream(self, sql: str) -> ArrowStream: ...

    def close(self) -> None:
        """Drop the session and everything in its scratch folder."""


class SqlFactory(Protocol):
    def __call__(self) -> Sql: ...


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table. `path` is relative to the table's root."""

    path: str
    rows: int
    size: int
    partition: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as of one version. `root` is the table's prefix in the lake bucket.

    `buckets` is how many buckets its rows are spread over, None where the table does not say.
    """

    table: str
    root: str
    version: int
    files: tuple[DataFile, ...]
    buckets: int | None = None

    def file_keys(self, **partition: str) -> list[str]:
        """Lake keys of the files whose partition values equal those given."""
        return [
            f"{self.root}/{file.path}"
            for file in self.files
            if all(file.partition.get(name) == value for name, value in partition.items())
        ]

    def rows(self) -> int:
        return sum(file.rows for file in self.files)


class Tables(Protocol):
    """Delta tables in the lake bucket; `table` is the prefix below it, e.g. `silver/sales`."""

    def snapshot(
        self, table: str, *, version: int | None = None, as_of_time: datetime | None = None
    ) -> Snapshot | None:
        """The newest version, that version, or the newest not after a time.

        None where there is no table, or was none at that time. Raises NotFoundError for a version that never was.
        """

    def committed(self, table: str, transactions: Iterable[str]) -> set[str]:
        """Which of these transaction names the table's log already carries."""

    def append(
        self,
        table: str,
        data: ArrowStream,
        *,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
        buckets: int | None = None,
    ) -> int:
        """Append in one commit that carries the transaction names; the version it made.

        New nullable columns are added to the table's schema. `buckets` is what column `bucket` was computed with:
        the table remembers it. Raises RetryableError, having committed nothing, where the log carries one of the
        names already, or the table is spread over another number of buckets.
        """

    def add_files(
        self,
        table: str,
        files: Sequence[DataFile],
        *,
        schema: ArrowStream,
        partition_by: Sequence[str] = (),
        transactions: Sequence[str] = (),
    ) -> int:
        """Make Parquet files that are already in the bucket part of the table, in one commit; else as `append`.

        New columns are added first, in a commit of their own that adds no row.
        """

    def compact(self, table: str) -> int:
        """Join small files, partition by partition, and write a checkpoint; how many files fewer there are.

        No row and no version of one is lost. Nothing for a table that is not there.
        """

    def vacuum(self, table: str, *, keep_versions: Collection[int], retention: timedelta) -> None:
        """Remove files that left the table longer than `retention` ago and belong to none of the versions kept.

        Files that were never committed go too, after that time.
        """

    def buckets(self, table: str) -> int | None:
        """`Snapshot.buckets` of the newest version, without its files. None where there is no table."""

    def replace(self, table: str, files: Sequence[DataFile], *, version: int, buckets: int) -> int:
        """Put these files in the place of all that the table holds, in one commit that also records `buckets`.

        The files lie in the bucket and fit the table's schema. Transaction names stay. Returns the version it made.
        Raises RetryableError, having committed nothing, where anything was committed after `version`.
        """

    def replace_files(self, table: str, removed: Collection[str], added: Sequence[DataFile]) -> int:
        """Take files (paths) out of the table and put others in their place, in one commit; the version it made.

        Earlier versions keep what they had. Raises RetryableError, having committed nothing, where one of the removed
        is not in the newest version any more.
        """


class Queue(Protocol):
    def send(self, message: Mapping[str, object]) -> None: ...


class Workflows(Protocol):
    """Step Functions executions."""

    def start(self, machine: str, name: str, payload: Mapping[str, object]) -> None:
        """Start an execution, unless one of that name was started before."""


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


class Model(Protocol):
    """A loaded model: probabilities from a float32 matrix of shape (n, k), NaN for missing."""

    @property
    def width(self) -> int | None:
        """k, where the model says it."""

    def predict(self, matrix: Any) -> Any:
        """float64, shape (n,), in [0, 1]: before calibration."""


class Frames(Protocol):
    """Parquet files as named columns in memory.

    A column is a numpy array of its values: float32 or float64 with NaN for null, int64, datetime64[D] for
    dates, or object for text and lists.
    """

    def read(self, path: Path, columns: Sequence[str] | None = None) -> Mapping[str, Any]: ...

    def matrix(self, path: Path, columns: Sequence[str]) -> Any:
        """These columns as one float32 matrix of shape (rows, columns), C order, NaN for null."""

    def write(self, path: Path, columns: Mapping[str, Any]) -> None:
        """Write columns of equal length; equal columns give equal bytes."""


class FittedModel(Protocol):
    """What a trainer returns; scikit-learn's, or a fake in a test."""

    def predict(self, matrix: Any) -> Any:
        """scikit-learn's own probabilities, float64, shape (n,)."""

    def onnx(self) -> bytes:
        """The bare estimator as ONNX."""

    def explanation(self) -> Mapping[str, Any]:
        """`kind` linear with coefficients, imputed, mean and scale per feature; or `kind` opaque."""


class GrowingModel(Protocol):
    """A boosted model while it is fitted."""

    def grow(self, iterations: int) -> None:
        """Fit on until there are so many in all: the model is then the one that `fit` gives with as many."""

    def staged(self, matrix: Any, first: int = 1) -> Iterator[Any]:
        """Probabilities, float64, (n,), by the first `first` iterations, by one more, and so on to all."""


class Trainer(Protocol):
    def fit(
        self,
        family: str,
        parameters: Mapping[str, Any],
        matrix: Any,
        labels: Any,
        *,
        seed: int,
        weights: Any = None,
        directions: Sequence[int] = (),
    ) -> FittedModel:
        """Fit one model on a float32 matrix (n, k), NaN for missing, and labels 0 and 1 of shape (n,).

        `weights` float64 (n,), above 0: how many rows each row stands for; None: each for itself.

        `directions`, k of them or none: 1 where a greater value may only raise the score, -1 where it may only lower
        it, else 0. Trees are held to them; the linear model is not.
        """

    def grow(
        self,
        family: str,
        parameters: Mapping[str, Any],
        matrix: Any,
        labels: Any,
        *,
        seed: int,
        weights: Any = None,
        directions: Sequence[int] = (),
    ) -> GrowingModel:
        """The same fit, to be grown by and by; of a family whose model is a sum of small ones (`max_iter`)."""

    def packages(self) -> Mapping[str, str]:
        """Versions of the libraries that a fit rests on."""


class QueryLineage(Protocol):
    """What a query's columns come from, told from its text."""

    def trace(
        self, query: str, tables: Mapping[str, Sequence[str]], keys: Collection[str], *, what: str
    ) -> Mapping[str, Lineage]:
        """Per column of a query where it comes from.

        `tables`: the columns of each view that it may read, named `sales` or `outcome.sales`. `keys`: columns that are
        in every query, and are left out. Raises PackError beginning with `what` for SQL that cannot be read and for a
        table or column that is not there.
        """

    def formatted(self, query: str) -> str:
        """The query laid out in one way, without comments. Raises PackError for SQL that cannot be read."""


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

    @property
    def query_lineage(self) -> QueryLineage: ...
