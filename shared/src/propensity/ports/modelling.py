"""Models, what they are made from and by, and what is said of the SQL behind them."""

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


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to fit or to validate on: a float32 matrix (n, k), NaN for missing, and labels 0 and 1 (n,).

    `weights`: float64 (n,), above 0: how many rows each row stands for; None: each for itself.
    """

    matrix: Any
    labels: Any
    weights: Any = None


class GrowingModel(Protocol):
    """A boosted model that stopped where rows that it was not fitted on gained nothing more, and can be grown on."""

    @property
    def best(self) -> int:
        """After how many iterations its loss on those rows was least, when it stopped."""

    @property
    def iterations(self) -> int:
        """How many it has."""

    def grow(self, iterations: int) -> None:
        """Fit on until there are so many in all: the model is then the one that `fit` gives with as many."""

    def staged(self, matrix: Any, first: int = 1) -> Iterator[Any]:
        """Probabilities, float64, (n,), by the first `first` iterations, by one more, and so on to all."""


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

        `directions`, k of them or none: 1 where a greater value may only raise the score, -1 where it may only lower
        it, else 0. Trees are held to them; the linear model is not.
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
        """The same fit, an iteration at a time, until the loss on `valid` has not fallen for `patience` of them.

        Of a family whose model is a sum of small ones; `max_iter` is the most.
        """

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
