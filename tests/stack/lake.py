"""Read a running stack's lake as any reader of Delta and Parquet would, without our functions."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction

from tests.stack.layers import whole
from tests.stack.stack import USER, Stack

# while this transaction of a table has a version other than 0, the product takes it as being compacted
_COMPACTING = "propensity.compaction"


class Lake:
    """One reader's view of the lake. Files that it has read are kept in a folder."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._bucket = stack.outputs["LakeBucket"]
        self._folder = folder
        self._options = {**USER, "AWS_ENDPOINT_URL": stack.endpoint, "AWS_ALLOW_HTTP": "true"}

    def keys(self, prefix: str) -> list[str]:
        return list(self.times(prefix))

    def times(self, prefix: str) -> dict[str, datetime]:
        """When each object was written, by its key."""
        pages = self._stack.s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", ())}

    def json(self, key: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self._stack.s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        return value

    def file(self, key: str) -> Path:
        path = self._folder / key
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # not download_file, which asks for the size first and starts threads: these are hundreds of small files
            body = self._stack.s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            with whole(path) as half:
                shutil.copyfileobj(body, half)
        return path

    def files(self, keys: Iterable[str]) -> list[Path]:
        """`file` for many keys, several at a time."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.file, keys))

    def table_files(self, table: str) -> list[Path]:
        """The Parquet files that a Delta table's log names, as delta-rs reads it."""
        opened = DeltaTable(f"s3://{self._bucket}/{table}", storage_options=self._options)
        return self.files(f"{table}/{action['path']}" for action in _actions(opened))

    def end_compactions(self) -> None:
        """After a compaction died: record for each table that nobody compacts it, so that the next need not wait."""
        for table in sorted({key.split("/_delta_log/")[0] for key in self.keys("") if "/_delta_log/" in key}):
            opened = DeltaTable(f"s3://{self._bucket}/{table}", storage_options=self._options)
            if opened.transaction_version(_COMPACTING):
                over = CommitProperties(max_commit_retries=100, app_transactions=[Transaction(_COMPACTING, 0)])
                opened.create_write_transaction([], "append", opened.schema(), commit_properties=over)

    def query(self, sql: str, **relations: Iterable[Path]) -> list[tuple[Any, ...]]:
        """Rows of a query in DuckDB's SQL. `s=[path, …]` lets it read those Parquet files by the name `s`."""
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            for name, paths in relations.items():
                listed = ", ".join(f"'{path}'" for path in paths)
                connection.execute(
                    f"create view {name} as select * from read_parquet([{listed}], union_by_name = true, "
                    "hive_partitioning = false, filename = true)"
                )
            return connection.execute(sql).fetchall()

    def counts(self, dataset: str) -> dict[str, int]:
        """Rows of a dataset's Bronze, quarantine, and Silver's current view."""
        out = {}
        for zone in ("bronze", "quarantine"):
            out[zone] = sum(pq.read_metadata(path).num_rows for path in self.files(self.keys(f"{zone}/{dataset}/")))
        [(out["silver"],)] = self.query(
            "select count(distinct (tenant_id, _key)) from silver", silver=self.table_files(f"silver/{dataset}")
        )
        return out


def _actions(table: DeltaTable) -> list[dict[str, Any]]:
    return list(table.get_add_actions(flatten=True).to_struct_array().to_pylist())


def rows_in_file(path: Path) -> int:
    """Data rows of a dropped file, counted by the csv module or Parquet's footer."""
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return sum(1 for row in csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")) if row) - 1
