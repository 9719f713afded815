"""Ports for models: their inputs, their training, and the lineage of the SQL behind their features."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from propensity.kernel.lineage import Lineage


class Model(Protocol):
    """A loaded model. It gives probabilities from a float32 matrix of shape (n, k), NaN for missing."""

    @property
    def width(self) -> int | None:
        """The number of features k. None where the model does not say its number."""

    def predict(self, matrix: Any) -> Any:
        """The probabilities before calibration: float64, shape (n,), in [0, 1]."""


class ReasonModel(Protocol):
    """The loaded graph of a tree model's reasons: contributions from a float32 matrix of shape (n, k)."""

    def contributions(self, matrix: Any) -> Any:
        """How far each feature moved the raw score: float64, shape (n, k), in the unit that the graph was made in."""


@dataclass(frozen=True, slots=True)
class ReasonGraph:
    """The graph that gives the reasons of a tree model's scores, as an ONNX file.

    `method` is `shapley` or `path` (registry/domain/tree_reasons.py). `unit` says in what the contributions add up:
    `logit` for boosted trees, `probability` for a forest.
    """

    method: str
    unit: str
    onnx: bytes


@dataclass(frozen=True, slots=True)
class Coded:
    """A text column as int codes (n,) into a list of texts; a code below 0 is null."""

    codes: Any
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column of lists of structs. Row i holds the entries offsets[i] to offsets[i + 1], of an int32 array (n + 1,).

    Each field has one value per entry: a float64 array, or `Coded` text.
    """

    offsets: Any
    fields: Mapping[str, Any]


class FrameWriter(Protocol):
    """A Parquet file in the making. It is whole once the `with` has ended without an error."""

    def write(self, columns: Mapping[str, Any]) -> None: ...

    def __enter__(self) -> FrameWriter: ...

    def __exit__(self, *error: object) -> None: ...


class PartedWriter(Protocol):
    """Parquet files in the making, one per key. They are whole once the `with` has ended without an error."""

    @property
    def files(self) -> Mapping[int, tuple[Path, int]]:
        """For each key its file, and how many rows the file has."""

    def write(self, keys: Any, columns: Mapping[str, Any]) -> None:
        """Write each row into the file of its key. `keys` is int (n,). Rows of one key keep their order."""

    def __enter__(self) -> PartedWriter: ...

    def __exit__(self, *error: object) -> None: ...


class Frames(Protocol):
    """The port that reads and writes Parquet files as named columns in memory.

    A column is a numpy array: float32 or float64 with NaN for null, int64, datetime64[D] for dates, or object for text.
    A column of lists is written from `ListColumn`.
    """

    def read(self, path: Path, columns: Sequence[str] | None = None) -> Mapping[str, Any]: ...

    def matrix(self, path: Path, columns: Sequence[str]) -> Any:
        """Read these columns as one float32 matrix of shape (rows, columns), in C order, with NaN for null."""

    def write(self, path: Path, columns: Mapping[str, Any]) -> None:
        """Write columns of equal length. Equal columns give files of equal bytes."""


class Frame(Protocol):
    """Some rows of a Parquet file, in memory."""

    def __len__(self) -> int: ...

    def values(self, name: str) -> Any:
        """A column as `Frames.read` gives it."""

    def coded(self, name: str) -> Coded:
        """A column of text without nulls, each text once."""

    def as_read(self, name: str) -> Any:
        """A column that can be written again, and nothing else: it is not turned into Python's objects on the way."""

    def matrix(self, names: Sequence[str]) -> Any:
        """These columns as one float32 matrix of shape (rows, columns), in C order, with NaN for null."""


class FrameStreams(Protocol):
    """The port that reads and writes Parquet files of any length in little memory, some rows at a time."""

    def batches(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Frame]:
        """Read these columns in order, `rows` rows at a time; the last time may have fewer.

        A file without rows gives one frame without rows.
        """

    def writer(self, path: Path) -> FrameWriter:
        """Begin a file. It takes the columns of `Frames.write` and `Frame.as_read`, `Coded` and `ListColumn`."""

    def parted_writer(self, folder: Path) -> PartedWriter:
        """Begin files in a folder, one per key, of the columns that `writer` takes."""


class FittedModel(Protocol):
    """The model that a trainer returns: a model of scikit-learn, or a fake in a test."""

    def predict(self, matrix: Any) -> Any:
        """The probabilities that scikit-learn itself gives: float64, shape (n,)."""

    def onnx(self) -> bytes:
        """The estimator as an ONNX file, without calibration."""

    def explanation(self) -> Mapping[str, Any]:
        """The explanation of the model, by its `kind`.

        Kind `linear` comes with coefficients, imputed, mean and scale per feature. Kind `opaque` comes with nothing
        more.
        """

    def reasons(self, typical: Sequence[float | None]) -> ReasonGraph | None:
        """The graph of the reasons relative to a typical customer, one value per feature, None for a missing one.

        None for a model that is no ensemble of trees.
        """


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to fit or to validate on: a float32 matrix (n, k) with NaN for missing, and labels 0 and 1 (n,).

    `weights` say how many rows each row stands for: float64 (n,), above 0. Without `weights` each row stands for
    itself.
    """

    matrix: Any
    labels: Any
    weights: Any = None


class GrowingModel(Protocol):
    """A boosted model that can be grown further. Its growth stopped when its loss on validation rows fell no more."""

    @property
    def best(self) -> int:
        """The number of iterations at which the model's loss on validation rows was least, when growth stopped."""

    @property
    def iterations(self) -> int:
        """The number of iterations that the model has now."""

    def grow(self, iterations: int) -> None:
        """Fit the model further, to so many iterations in all.

        The model is then equal to what `fit` gives with as many.
        """

    def staged(self, matrix: Any, first: int = 1) -> Iterator[Any]:
        """The probabilities by the first `first` iterations, then by one more, and so on to all: each float64, (n,)."""


class Trainer(Protocol):
    def fit(
        self,
        family: str,
        parameters: Mapping[str, Any],
        train: Sample,
        *,
        seed: int,
        directions: Sequence[int] = (),
    ) -> FittedModel:
        """Fit one model on rows of both classes.

        `directions` has one number per feature, or is left out. With 1 a greater value may only raise the score; with
        -1 a greater value may only lower the score; with 0 both are allowed. Trees keep to the directions; the linear
        model does not.
        """

    def grow(
        self,
        family: str,
        parameters: Mapping[str, Any],
        train: Sample,
        valid: Sample,
        *,
        patience: int,
        seed: int,
        directions: Sequence[int] = (),
    ) -> GrowingModel:
        """Fit one iteration at a time, until the loss on `valid` has not fallen for `patience` iterations.

        Each iteration fits as `fit` does. `grow` is for a family whose model is a sum of small models. The parameter
        `max_iter` is the greatest number of iterations.
        """

    def packages(self) -> Mapping[str, str]:
        """The versions, by name, of the libraries that decide the result of a fit."""


class QueryLineage(Protocol):
    """The port that traces where a query's columns come from, as the query's text shows."""

    def trace(
        self, query: str, tables: Mapping[str, Sequence[str]], keys: Collection[str], *, what: str
    ) -> Mapping[str, Lineage]:
        """Trace the lineage of each column of a query.

        `tables` gives the columns of each view that the query may read, by names like `sales` or `outcome.sales`.
        `keys` are columns that every query has, and that are left out. Raises PackError for SQL that cannot be read,
        and for a table or column that does not exist. The message begins with `what`.
        """

    def formatted(self, query: str) -> str:
        """Lay out the query in one fixed way, without comments. Raises PackError for SQL that cannot be read."""
