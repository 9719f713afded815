"""A hash of rows in which their order does not matter, nor how they were cut into files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_MODULUS = 1 << 256


class ContentHash:
    """The sum of the rows' SHA-256 modulo 2^256 (Bellare and Micciancio 1997, AdHash).

    It tells what changed, by chance or by hand, from what did not; it is no defence against somebody who may choose
    very many rows. 1,000,000 rows of 40 columns take 1 s.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._rows = self._sum = 0

    def add(self, names: Iterable[str], *values: Any) -> None:
        """Rows: what names each, and arrays (n,) or (n, k) of fixed width whose bytes are its values."""
        if not len(values[0]):
            return
        parts = [np.ascontiguousarray(_plain(one)).view(np.uint8).reshape(len(one), -1) for one in values]
        body = np.hstack(parts)
        width, flat = body.shape[1], body.tobytes()
        sha = hashlib.sha256
        digests = [
            sha(flat[number * width : (number + 1) * width] + name.encode()).digest()
            for number, name in enumerate(names)
        ]
        # added up in eight lanes of 32 bits, which is five times as fast as whole numbers of 256
        lanes = np.frombuffer(b"".join(digests), dtype=">u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
        self._rows += len(digests)
        self._sum += sum(int(lane) << (32 * place) for place, lane in enumerate(reversed(lanes)))

    def hexdigest(self) -> str:
        """64 hex digits, of the names of the columns, the number of rows and their sum."""
        said = json.dumps([self._columns, self._rows, f"{self._sum % _MODULUS:064x}"])
        return hashlib.sha256(said.encode()).hexdigest()


def _plain(values: Any) -> Any:
    """One spelling of what is equal: -0 is 0, and there is one NaN."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
