"""Which source columns a feature comes from, and what of a query decides its values.

A source is named `dataset.column`, with the view in front where it is not the dataset's own: `outcome.sales.sold_on`,
`history.leases.ends_on`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

POPULATION = "population"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Of one column of a query; each a sorted list of names without repeats.

    `columns`: those whose values go into it. `conditions`: those that choose, join, group or order the rows on the way.
    Neither names the keys, tenant and customer, which are in every query. `datasets`: those whose rows it is made of,
    also where they are only counted. `pieces`: the parts of the query that decide its values, as normalised SQL.
    """

    columns: tuple[str, ...]
    conditions: tuple[str, ...]
    datasets: tuple[str, ...]
    pieces: tuple[str, ...]

    @property
    def meaning(self) -> str:
        """Equal where equal SQL decides the values, whatever the rest of the query does: 12 hex digits."""
        return hashlib.sha256("\n".join(self.pieces).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, list[str]]:
        return {"columns": list(self.columns), "conditions": list(self.conditions), "datasets": list(self.datasets)}


def joined(several: Iterable[Lineage]) -> Lineage:
    """The lineage of a query: that of all of its columns."""
    found = list(several)

    def every(name: str) -> tuple[str, ...]:
        return tuple(sorted({one for lineage in found for one in getattr(lineage, name)}))

    return Lineage(every("columns"), every("conditions"), every("datasets"), every("pieces"))
