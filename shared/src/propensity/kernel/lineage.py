"""The lineage of a feature: the source columns that it comes from, and the parts of a query that decide its values.

A source is named `dataset.column`, as in `sales.sold_on`. Where the query reads another view of the dataset, the view's
schema stands in front: `outcome.sales.sold_on`, `history.leases.ends_on`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

POPULATION = "population"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The lineage of one column of a query. Each field is sorted and holds no entry twice.

    `columns` lists the source columns whose values go into the column. `conditions` lists the source columns that
    choose, join, group or order its rows on the way. Neither list holds the keys (tenant and customer), because every
    query has them.
    `datasets` lists the datasets whose rows the column is made of, also where rows are only counted. `pieces` are the
    parts of the query that decide the column's values, as normalised SQL.
    """

    columns: tuple[str, ...]
    conditions: tuple[str, ...]
    datasets: tuple[str, ...]
    pieces: tuple[str, ...]

    @property
    def meaning(self) -> str:
        """A hash of `pieces`, with 12 hex digits.

        Equal SQL for the values gives an equal hash, whatever else the query does.
        """
        return hashlib.sha256("\n".join(self.pieces).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, list[str]]:
        return {"columns": list(self.columns), "conditions": list(self.conditions), "datasets": list(self.datasets)}


def joined(lineages: Iterable[Lineage]) -> Lineage:
    """The lineage of a whole query, from the lineages of its columns."""
    found = list(lineages)

    def union(field: str) -> tuple[str, ...]:
        return tuple(sorted({name for lineage in found for name in getattr(lineage, field)}))

    return Lineage(union("columns"), union("conditions"), union("datasets"), union("pieces"))
