"""Rows of a table of numbers, and files of such rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.ports import DataFile


def rows(*numbers: int, bucket: str = "0") -> pa.Table:
    return pa.table({"n": pa.array(numbers, pa.int64()), "bucket": [bucket] * len(numbers)})


def written(folder: Path, name: str, table: pa.Table) -> DataFile:
    """A file of bucket 0 in a table's folder."""
    path = f"bucket=0/{name}.parquet"
    (folder / "t/bucket=0").mkdir(parents=True, exist_ok=True)
    pq.write_table(table.drop(["bucket"]), folder / "t" / path)
    return DataFile(path, table.num_rows, (folder / "t" / path).stat().st_size, {"bucket": "0"})
