"""Some rows out of many, and how many the rarer class has."""

from __future__ import annotations

from typing import Any

import numpy as np


def spread(count: int, most: int) -> Any:
    """Positions of at most `most` of `count` rows, evenly from the first row to the last.

    int64, ascending, no position twice.
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def rarer(labels: Any) -> int:
    """The number of rows of the rarer class, for labels 0 and 1."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives)
