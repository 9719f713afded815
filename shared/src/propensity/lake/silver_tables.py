"""The tables of Silver: their names, their buckets, and their shape as views need it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from propensity.lake.domain.as_of_views import SilverShape
from propensity.pack.current import pack_info
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports

SILVER = "silver"


def silver_table(dataset: str) -> str:
    return f"{SILVER}/{dataset}"


def bucket_count(ports: Ports, dataset: str) -> int:
    """The number of buckets that new rows of a dataset are spread over, which is its table's own number.

    Where the table does not say, the number is that of another table of the lake. Where no table says, the number is
    the pack's.
    """
    info = pack_info(ports)
    for name in (dataset, *info.datasets):
        found = ports.tables.buckets(silver_table(name))
        if found is not None:
            return found
    return info.buckets


def shape_of(contract: Contract, retracted: Sequence[Sequence[str]] = ()) -> SilverShape:
    """The shape of a dataset by its contract. `retracted` lists the files taken back, (content_id, at) each."""
    return SilverShape(
        dataset=contract.dataset,
        kind=contract.kind,
        columns=tuple((column.name, column.duckdb_type) for column in contract.columns if column.name != "tenant_id"),
        version_column=contract.version_column,
        by_arrival=contract.known_at.column is None and contract.known_at.lag_days is None,
        retracted=tuple((content_id, at) for content_id, at in retracted),
    )


def datasets_used(definition: Definition, datasets: Iterable[str], more: Sequence[str] = ()) -> list[str]:
    """The datasets whose name stands as a word in any of the definition's SQL, or in `more` SQL.

    A word that is only a column's or a comment's costs a needless read, and never causes a missing read.
    """
    words = _words(definition, more)
    return [dataset for dataset in datasets if dataset in words]


def columns_named(definition: Definition, shapes: Mapping[str, SilverShape]) -> dict[str, dict[str, str]]:
    """The columns, per dataset, whose names stand in the definition's SQL, with their DuckDB types.

    A version needs these parts of the contracts to run again. A name that means something else in the SQL gives one
    column too many.
    """
    words = _words(definition)
    return {
        dataset: {name: kind for name, kind in shape.columns if name.lower() in words}
        for dataset, shape in sorted(shapes.items())
    }


def _words(definition: Definition, more: Sequence[str] = ()) -> set[str]:
    """Every word of a definition's SQL and of `more`, in lower case."""
    sql = " ".join([*(query.sql for query in definition.queries()), *more])
    return set(re.findall(r"[a-z_][a-z0-9_]*", sql.lower()))
