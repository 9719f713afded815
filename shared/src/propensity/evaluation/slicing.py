"""The slices of the newest validation fold: the slices of the model's YAML, and the slices that every model has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from propensity.evaluation.calibrate import NewestFold, group
from propensity.evaluation.domain.slices import UNKNOWN, SlicePart
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.pack.domain.definition import Definition
from propensity.stats.figures import Estimate, auc
from propensity.training.data import TrainingData

MOST_VALUES = 20  # the most values of a slice; where a slice has more values, the rarest values are judged together
_OTHERS = "others"
_THIRDS = ("smallest third", "middle third", "largest third")


def judged_columns(definition: Definition) -> list[str]:
    """Return the training set's columns, besides features, that gates need.

    These columns are tenant, customer, and the columns of the slices.
    """
    return [TENANT, CUSTOMER, *(cut.column for cut in definition.model.slices)]


def parts_of(
    fold: NewestFold, rows: Any, data: TrainingData, definition: Definition
) -> tuple[list[SlicePart], SlicePart]:
    """Return every value of every slice as a part, and everyone as one more part.

    `rows` says where the fold's rows stand in the training set.
    """
    order = np.sort(fold.scores)
    cut = order[len(order) - max(1, round(len(order) / 10))]
    whole = _part("everyone", "", False, fold, np.ones(len(rows), dtype=bool), cut)
    parts = []
    for name, protected, values in _slicings(rows, data, definition):
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) > MOST_VALUES:
            kept = distinct[np.argsort(-counts, kind="stable")[: MOST_VALUES - 1]]
            values = np.where(np.isin(values, kept), values, _OTHERS)
            distinct = np.unique(values)
        parts += [_part(name, str(value), protected, fold, values == value, cut) for value in distinct]
    return parts, whole


def _slicings(rows: Any, data: TrainingData, definition: Definition) -> Iterator[tuple[str, bool, Any]]:
    """Yield (name, protected, value of each row as text) of each slice.

    A fold with only one tenant has no slice by tenant size.
    """
    tenants, place, counts = np.unique(data.columns[TENANT].astype(str), return_inverse=True, return_counts=True)
    if len(tenants) > 1:
        size = np.empty(len(tenants), dtype=np.int64)
        size[np.argsort(counts, kind="stable")] = np.arange(len(tenants)) * 3 // len(tenants)
        yield "tenant size", False, np.array(_THIRDS)[size[place[rows]]]
    missing = np.isnan(data.matrix[rows]).mean(axis=1)
    words = np.where(missing > 0.5, "more than half", np.where(missing > 0, "up to half", "none"))
    yield "missing features", False, words
    for cut in definition.model.slices:
        values = data.columns[cut.column][rows]
        yield cut.name, cut.protected, np.array([UNKNOWN if value is None else str(value) for value in values])


def _part(name: str, value: str, protected: bool, fold: NewestFold, mask: Any, cut: float) -> SlicePart:
    """Count one part. `mask` has the part's rows, (n,); `cut` is the lowest score of everyone's top tenth."""
    scores, labels = fold.scores[mask], fold.labels[mask]
    rows, positives, listed = len(labels), int(labels.sum()), scores >= cut
    return SlicePart(
        slice=name,
        value=value,
        protected=protected,
        rows=rows,
        positives=positives,
        expected=float(scores.sum()),
        listed=int(listed.sum()),
        hits=int(labels[listed].sum()),
        auc=_auc(scores, labels),
        others_auc=_auc(fold.scores[~mask], fold.labels[~mask]),
    )


def _auc(scores: Any, labels: Any) -> Estimate | None:
    return auc(group(scores, labels)) if 0 < int(labels.sum()) < len(labels) else None
