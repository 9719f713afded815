"""Samples: some rows out of many, and the number of rows of the rarer class."""

from __future__ import annotations

from typing import Any

import numpy as np


def spread(count: int, most: int) -> Any:
    """The positions of at most `most` of `count` rows, spread evenly from the first row to the last.

    The positions are int64 and ascend; no position stands twice.
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def rarer(labels: Any) -> int:
    """The number of rows of the rarer class, for labels 0 and 1."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives)
