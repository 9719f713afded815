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


class Frames(Protocol):
    """The port that reads and writes Parquet files as named columns in memory.

    A column is a numpy array: float32 or float64 with NaN for null, int64, datetime64[D] for dates, or object for text
    and lists.
    """

    def read(self, path: Path, columns: Sequence[str] | None = None) -> Mapping[str, Any]: ...

    def matrix(self, path: Path, columns: Sequence[str]) -> Any:
        """Read these columns as one float32 matrix of shape (rows, columns), in C order, with NaN for null."""

    def write(self, path: Path, columns: Mapping[str, Any]) -> None:
        """Write columns of equal length. Equal columns give files of equal bytes."""


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
