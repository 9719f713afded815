"""Of how many customers each feature is known, counted where it is computed: a default hides it later."""

from __future__ import annotations

from typing import Any

from propensity.features.domain.columns import known_column
from propensity.features.domain.coverage import counted
from propensity.kernel.sql_text import quote
from propensity.pack.domain.definition import Definition
from propensity.ports import Sql

_TABLE = "features_counted"


class FeatureCounts:
    """Counts over several as-of dates of one session, by tenant; the indicators are not among the features."""

    def __init__(self, sql: Sql, definition: Definition) -> None:
        self._sql = sql
        self._features = [feature for group in definition.groups for feature in group.features]
        columns = "".join(f", n{place} bigint" for place, _ in enumerate(self._features))
        sql.execute(f"create or replace temp table {_TABLE} (tenant_id varchar, customers bigint{columns})")

    def add(self, table: str, condition: str) -> None:
        """The rows of a table that `SilverSession.features` made."""
        known = "".join(
            f", count(*) filter ({quote(known_column(feature))})"
            if feature.default is not None
            else f", count({quote(feature.name)})"
            for feature in self._features
        )
        self._sql.execute(
            f"insert into {_TABLE} select tenant_id, count(*){known} from {table} where {condition} group by tenant_id"
        )

    def said(self, *, whole: bool) -> dict[str, Any]:
        """`coverage` as `features/domain/coverage.counted` has it."""
        sums = "".join(f", sum(n{place})::bigint" for place, _ in enumerate(self._features))
        rows = self._sql.rows(
            f"select sum(customers)::bigint{sums} from {_TABLE} group by tenant_id order by tenant_id"
        )
        return {"coverage": counted([feature.name for feature in self._features], rows, whole=whole)}
