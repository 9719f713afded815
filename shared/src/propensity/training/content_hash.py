"""A hash of rows that does not depend on the order of the rows or on how they are cut into files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_MODULUS = 1 << 256


class ContentHash:
    """A hash of rows: the sum of the rows' SHA-256 modulo 2^256 (Bellare and Micciancio 1997, AdHash).

    The hash shows whether rows were changed, by chance or by hand. It does not protect against somebody who may choose
    very many rows. Hashing 1,000,000 rows of 40 columns takes 1 s.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._rows = self._sum = 0

    def add(self, names: Iterable[str], *values: Any) -> None:
        """Add rows to the hash.

        `names` has each row's key. `values` has arrays (n,) or (n, k) of fixed width, whose bytes are hashed.
        """
        if not len(values[0]):
            return
        parts = [np.ascontiguousarray(_plain(array)).view(np.uint8).reshape(len(array), -1) for array in values]
        body = np.hstack(parts)
        width, flat = body.shape[1], body.tobytes()
        sha = hashlib.sha256
        digests = [
            sha(flat[number * width : (number + 1) * width] + name.encode()).digest()
            for number, name in enumerate(names)
        ]
        # the hashes are added up in eight lanes of 32 bits, which is five times as fast as adding integers of 256 bits
        lanes = np.frombuffer(b"".join(digests), dtype=">u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
        self._rows += len(digests)
        self._sum += sum(int(lane) << (32 * place) for place, lane in enumerate(reversed(lanes)))

    def hexdigest(self) -> str:
        """Return 64 hex digits: the hash of the column names, the number of rows, and the sum."""
        summary = json.dumps([self._columns, self._rows, f"{self._sum % _MODULUS:064x}"])
        return hashlib.sha256(summary.encode()).hexdigest()


def _plain(values: Any) -> Any:
    """Give equal values equal bytes: -0 becomes 0, and every NaN becomes the same NaN."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
