"""Made-up rows of the kinds that a faulty converter of models gets wrong first.

The rows have missing and extreme values, codes of unseen categories, and values on both sides of a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from propensity.stats.sampling import spread

MIDPOINTS = 8  # values per feature; a tree splits midway between two neighbouring values
SAMPLE = 20_000  # the values are taken from at most this many rows


def probes(names: Sequence[str], matrix: Any, codes: Sequence[int]) -> tuple[list[str], Any]:
    """Return (what each row probes, float32 (m, k)): about 33 rows per feature.

    A row has the median of every feature but one. The one feature is set to the value that is probed. `matrix` is
    float32 (n, k), NaN for missing. `codes` gives the number of categories of a coded feature, 0 for other features.
    Equal inputs give equal rows.
    """
    width = len(names)
    some = matrix[spread(len(matrix), SAMPLE)]
    columns = [np.unique(some[np.isfinite(some[:, number]), number]) for number in range(width)]
    usual = np.array([column[len(column) // 2] if len(column) else np.nan for column in columns], dtype=np.float32)
    probed = ["every value missing", "every value 0", "usual values"]
    rows = [np.full(width, np.nan, np.float32), np.zeros(width, np.float32), usual]
    for number, (name, column) in enumerate(zip(names, columns, strict=True)):
        for what, value in _values(column, codes[number]):
            if np.isinf(np.float32(value)):
                continue  # no row has an infinity, because build_features makes it a missing value
            row = usual.copy()
            row[number] = value
            probed.append(f"{name} {what}")
            rows.append(row)
    return probed, np.stack(rows).astype(np.float32)


def _values(column: Any, codes: int) -> Iterator[tuple[str, Any]]:
    """Return (name, value) of each probe of a feature. `column` has its distinct values, ascending, float32."""
    yield "missing", np.nan
    yield "0", 0.0
    if codes:
        yield "of an unseen category", float(codes)
        yield "of a negative code", -1.0
    if not len(column):
        return
    least, most = column[0], column[-1]
    low, high = float(least), float(most)
    yield "at its least", least
    yield "at its most", most
    yield "just below its least", np.nextafter(least, np.float32(-np.inf))
    yield "just above its most", np.nextafter(most, np.float32(np.inf))
    yield "far below its least", low - 10 * (abs(low) + 1)
    yield "far above its most", high + 10 * (abs(high) + 1)
    for place in spread(len(column) - 1, MIDPOINTS):
        middle = np.float32((np.float64(column[place]) + np.float64(column[place + 1])) / 2)
        yield "at a split", middle
        yield "just below a split", np.nextafter(middle, np.float32(-np.inf))
        yield "just above a split", np.nextafter(middle, np.float32(np.inf))
