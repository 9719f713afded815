"""Ports for models: their inputs, their training, and the lineage of the SQL behind their features."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from propensity.kernel.lineage import Lineage


class Model(Protocol):
    """A loaded model: probabilities from a float32 matrix of shape (n, k), NaN for missing."""

    @property
    def width(self) -> int | None:
        """k, the number of features; None where the model does not say it."""

    def predict(self, matrix: Any) -> Any:
        """Probabilities before calibration: float64, shape (n,), in [0, 1]."""


class Frames(Protocol):
    """Parquet files as named columns in memory.

    A column is a numpy array: float32 or float64 with NaN for null, int64, datetime64[D] for dates, or object for text
    and lists.
    """

    def read(self, path: Path, columns: Sequence[str] | None = None) -> Mapping[str, Any]: ...

    def matrix(self, path: Path, columns: Sequence[str]) -> Any:
        """These columns as one float32 matrix of shape (rows, columns), C order, NaN for null."""

    def write(self, path: Path, columns: Mapping[str, Any]) -> None:
        """Write columns of equal length. Equal columns give files of equal bytes."""


class FittedModel(Protocol):
    """What a trainer returns: a model of scikit-learn, or a fake in a test."""

    def predict(self, matrix: Any) -> Any:
        """scikit-learn's own probabilities: float64, shape (n,)."""

    def onnx(self) -> bytes:
        """The estimator as an ONNX file, without calibration."""

    def explanation(self) -> Mapping[str, Any]:
        """`kind` linear with coefficients, imputed, mean and scale per feature; or `kind` opaque, with nothing more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to fit or to validate on: a float32 matrix (n, k) with NaN for missing, and labels 0 and 1 (n,).

    `weights`: float64 (n,), above 0, how many rows each row stands for; None: each stands for itself.
    """

    matrix: Any
    labels: Any
    weights: Any = None


class GrowingModel(Protocol):
    """A boosted model that stopped growing when its loss on validation rows fell no more, and can be grown further."""

    @property
    def best(self) -> int:
        """The number of iterations at which its loss on the validation rows was least, when it stopped."""

    @property
    def iterations(self) -> int:
        """The number of iterations that it has now."""

    def grow(self, iterations: int) -> None:
        """Fit further, to so many iterations in all. The model is then the one that `fit` gives with as many."""

    def staged(self, matrix: Any, first: int = 1) -> Iterator[Any]:
        """Probabilities by the first `first` iterations, then by one more, and so on to all: each float64, (n,)."""


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

        `directions`: one per feature, or none at all. 1: a greater value may only raise the score; -1: it may only
        lower it; 0: either. Trees keep to them; the linear model does not.
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
        """The same fit, one iteration at a time, until the loss on `valid` has not fallen for `patience` iterations.

        For a family whose model is a sum of small models; parameter `max_iter` is the most iterations.
        """

    def packages(self) -> Mapping[str, str]:
        """The versions of the libraries that decide what a fit gives, by name."""


class QueryLineage(Protocol):
    """Where a query's columns come from, as its text shows."""

    def trace(
        self, query: str, tables: Mapping[str, Sequence[str]], keys: Collection[str], *, what: str
    ) -> Mapping[str, Lineage]:
        """The lineage of each column of a query.

        `tables`: the columns of each view that the query may read, by names like `sales` or `outcome.sales`. `keys`:
        columns that are in every query, and are left out. Raises PackError, whose message begins with `what`, for SQL
        that cannot be read and for a table or column that does not exist.
        """

    def formatted(self, query: str) -> str:
        """The query in one fixed layout, without comments. Raises PackError for SQL that cannot be read."""
