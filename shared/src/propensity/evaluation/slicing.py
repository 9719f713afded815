"""The slices of the newest validation fold: the slices of the model's YAML, and the slices that every model has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from propensity.evaluation.calibrate import NewestFold, lists_of
from propensity.evaluation.domain.slices import UNKNOWN, SlicePart
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.pack.domain.definition import Definition
from propensity.stats.figures import Estimate
from propensity.stats.within_tenant import auc_within
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
    everyone = _Fold(fold, data.columns[TENANT][rows].astype(str))
    whole = everyone.part("everyone", "", False, np.ones(len(rows), dtype=bool))
    parts = []
    for name, protected, values in _slicings(rows, data, definition):
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) > MOST_VALUES:
            kept = distinct[np.argsort(-counts, kind="stable")[: MOST_VALUES - 1]]
            values = np.where(np.isin(values, kept), values, _OTHERS)
            distinct = np.unique(values)
        parts += [everyone.part(name, str(value), protected, values == value) for value in distinct]
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


class _Fold:
    """The rows of the fold with their tenants, (n,), and the share of each row that is on its tenant's list, (n,).

    A list is the top tenth of a tenant's scores. Rows with the score at the list's edge share the places that are left.
    """

    def __init__(self, fold: NewestFold, tenants: Any) -> None:
        self._fold, self._tenants = fold, tenants
        self._listed = np.zeros(len(fold.labels))
        for tenant in np.unique(tenants):
            mine = np.flatnonzero(tenants == tenant)
            self._listed[mine] = _listed(fold.scores[mine])

    def part(self, name: str, value: str, protected: bool, mask: Any) -> SlicePart:
        """Count one part. `mask` has the part's rows, (n,)."""
        scores, labels, listed = self._fold.scores[mask], self._fold.labels[mask], self._listed[mask]
        return SlicePart(
            slice=name,
            value=value,
            protected=protected,
            rows=len(labels),
            positives=int(labels.sum()),
            expected=float(scores.sum()),
            listed=float(listed.sum()),
            hits=float(listed[labels == 1].sum()),
            auc=self._auc(mask),
            others_auc=self._auc(~mask),
        )

    def _auc(self, mask: Any) -> Estimate | None:
        lists = lists_of(NewestFold(self._fold.labels[mask], self._fold.scores[mask]), self._tenants[mask])
        return auc_within(lists) if any(one.positives and one.negatives for one in lists.values()) else None


def _listed(scores: Any) -> Any:
    """Return the share of each row that is in the top tenth of `scores`, (n,), in [0, 1]; the sum is n / 10."""
    places = len(scores) / 10
    edge = np.sort(scores)[len(scores) - math.ceil(places)]
    above, at = scores > edge, scores == edge
    return above + at * (places - above.sum()) / at.sum()
