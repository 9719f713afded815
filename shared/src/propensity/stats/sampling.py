"""Some of many rows."""

from __future__ import annotations

from typing import Any

import numpy as np


def spread(count: int, most: int) -> Any:
    """Numbers of at most `most` of `count` rows, evenly from the first to the last: int64, ascending, each once."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def rarer(labels: Any) -> int:
    """How many rows the rarer class has."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives)
