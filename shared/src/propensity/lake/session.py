"""A DuckDB session over files of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.domain.run_records import ItemSource
from propensity.ports import ObjectStore, Sql


def silver_views(
    sql: Sql, lake: ObjectStore, sources: Mapping[str, ItemSource], tenant: str | None = None
) -> dict[str, SilverShape]:
    """Download the files of each dataset and make a view `silver.<dataset>` of the files. Returns the datasets' shapes.

    With `tenant`, the views show that tenant's rows only.
    """
    shapes = {dataset: source.shape for dataset, source in sources.items()}
    sql.execute("create schema if not exists silver; create schema if not exists typed")
    for dataset, shape in shapes.items():
        paths = download(sql, lake, sources[dataset].keys, dataset)
        # the view then has every column of the contract, also a column that is newer than all of the files
        sql.execute(f"create table typed.{quote(dataset)} ({_columns(shape)})")
        rows = f"from typed.{quote(dataset)}"
        if paths:
            rows += f" union all by name from {read_files(paths)}"
        of_tenant = f" where tenant_id = {text(tenant)}" if tenant else ""
        sql.execute(f"create view silver.{quote(dataset)} as select * from ({rows}){of_tenant}")
    return shapes


def download(sql: Sql, lake: ObjectStore, keys: Sequence[str], folder: str) -> list[str]:
    """Download lake objects into a folder of the session's scratch space. Returns their local paths, in order."""
    paths = []
    for number, key in enumerate(keys):
        path = sql.scratch / folder / f"{number:05d}.parquet"
        lake.download(key, path)
        paths.append(str(path))
    return paths


def _columns(shape: SilverShape) -> str:
    times = f"_known_at timestamptz, {shape.time_column} timestamptz"
    origin = "_content_id varchar, _ingested_at timestamptz, _healed_at timestamptz"
    system = f"tenant_id varchar, _key varchar, _row_hash varchar, {times}, {origin}"
    return ", ".join([system, *(f"{quote(name)} {kind}" for name, kind in shape.columns)])
