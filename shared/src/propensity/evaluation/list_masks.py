"""Who stands on each tenant's list, by a model's scores or by the manual filter, as masks over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from propensity.evaluation.domain.gains import Listed, Only, gained
from propensity.stats.figures import Estimate

_SHARE = 0.1  # the share of each tenant's customers on a list, where the model has no filter


def list_sizes(lists: Any, filtered: Any | None) -> dict[str, int]:
    """Return how many customers each list has. `lists`, (n,), names the list that each row may stand on.

    `filtered` is the mask of the customers whom the filter chooses; it is None without a filter.
    """
    names, place, counts = np.unique(lists.astype(str), return_inverse=True, return_counts=True)
    if filtered is None:
        found = np.maximum(1, np.round(_SHARE * counts))
    else:
        found = np.bincount(place, weights=filtered, minlength=len(names))
    return {str(name): int(size) for name, size in zip(names, found, strict=True)}


def top_of_lists(scores: Any, lists: Any, sizes: Mapping[str, int]) -> Any:
    """Return a mask of the highest scores of each list, as many as its size.

    Equal scores are taken in the order of the rows.
    """
    mask = np.zeros(len(scores), dtype=bool)
    for name, size in sizes.items():
        there = np.flatnonzero(lists == name)
        mask[there[np.argsort(-scores[there], kind="stable")[:size]]] = True
    return mask


def listed(mask: Any, labels: Any, scores: Any) -> Listed:
    return Listed(int(mask.sum()), float(scores[mask].sum()), int(labels[mask].sum()))


def gain_over(mine: Any, other: Any, labels: Any) -> Estimate:
    """Return by how many conversions the lists of one mask exceed those of another, of the same sizes."""
    only = [Only(int(mask.sum()), int(labels[mask].sum())) for mask in (mine & ~other, other & ~mine)]
    return gained(*only)
