"""The Frames port over pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class ArrowFrames:
    def read(self, path: Path, columns: Sequence[str] | None = None) -> Mapping[str, Any]:
        table = pq.read_table(path, columns=list(columns) if columns is not None else None, partitioning=None)
        return {name: _values(table.column(name)) for name in table.column_names}

    def matrix(self, path: Path, columns: Sequence[str]) -> Any:
        table = pq.read_table(path, columns=list(columns), partitioning=None)
        out = np.empty((table.num_rows, len(columns)), dtype=np.float32)
        for number, name in enumerate(columns):
            # to_numpy writes NaN where Arrow has null
            out[:, number] = table.column(name).to_numpy()
        return out

    def write(self, path: Path, columns: Mapping[str, Any]) -> None:
        # pyarrow writes a masked value as null
        arrays = {name: pa.array(values, type=_kind(values)) for name, values in columns.items()}
        pq.write_table(pa.table(arrays), path, compression="zstd")


# a column of lists holds reasons. Its type is stated, because empty lists alone would not tell it
_REASONS = pa.list_(pa.struct([("feature", pa.string()), ("contribution", pa.float64()), ("text", pa.string())]))


def _kind(values: Any) -> pa.DataType | None:
    if values.dtype != object:
        return None
    return _REASONS if len(values) and isinstance(values[0], list) else pa.string()


def _values(column: Any) -> Any:
    if pa.types.is_date(column.type):
        return column.to_numpy().astype("datetime64[D]")
    return column.to_numpy()
