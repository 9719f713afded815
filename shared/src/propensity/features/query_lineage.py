"""The source columns that a definition's features come from, traced through the definition's queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from propensity.kernel.errors import PackError
from propensity.kernel.lineage import POPULATION, Lineage, joined
from propensity.lake.silver_tables import shape_of
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.definition import Definition, DefinitionQuery
from propensity.ports import Ports


@dataclass(frozen=True, slots=True)
class DefinitionLineage:
    """The lineage of a definition. `features` is by name, without missingness indicators.

    `queries` is by the purposes of `model_queries`. `problems` says why a query could not be traced. The features of
    such a query are missing from `features`, and the query itself from `queries`.
    """

    features: Mapping[str, Lineage]
    queries: Mapping[str, Lineage]
    problems: tuple[str, ...]


@dataclass(slots=True)
class Lineages:
    """The lineages of definitions. A query that several definitions have is traced once."""

    ports: Ports
    _views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _traced: dict[tuple[str, tuple[str, ...]], Mapping[str, Lineage]] = field(default_factory=dict)

    def of(self, definition: Definition) -> DefinitionLineage:
        """The lineage of a definition.

        A query that cannot be traced, because it names a column that the pack's contracts lack, is among the problems.
        """
        self._views = self._views or _views(self.ports)
        inside = {name: columns for name, columns in self._views.items() if not name.startswith("outcome.")}
        population = {POPULATION: tuple(dict.fromkeys(("tenant_id", "customer_id", definition.entity)))}
        features: dict[str, Lineage] = {}
        queries: dict[str, Lineage] = {}
        problems: list[str] = []

        def traced(sql: str, tables: Mapping[str, tuple[str, ...]], what: str) -> Mapping[str, Lineage]:
            try:
                return self._trace(sql, tables, definition.entity, what)
            except PackError as error:
                problems.append(str(error))
                return {}

        for group in definition.groups:
            found = traced(group.sql, inside | population, f"feature group {group.group}")
            # a feature that the query does not give fails where the query is run
            features |= {feature.name: found[feature.name] for feature in group.features if feature.name in found}
        for query in model_queries(definition):
            tables = dict(self._views) if query.with_outcomes else inside
            if query.purpose != POPULATION:
                # check_definition refuses a target that reads this table; here the query is only traced
                tables = tables | population
            if found := traced(query.sql, tables, query.name):
                queries[query.purpose] = joined(found.values())
        return DefinitionLineage(features, queries, tuple(problems))

    def _trace(self, sql: str, tables: Mapping[str, tuple[str, ...]], entity: str, what: str) -> Mapping[str, Lineage]:
        key = sql, (entity, *sorted(tables))
        if key not in self._traced:
            self._traced[key] = self.ports.query_lineage.trace(sql, tables, {"tenant_id", entity}, what=what)
        return self._traced[key]


def model_queries(definition: Definition) -> list[DefinitionQuery]:
    """The queries of a model that are traced as a whole.

    Queries of its feature groups are traced by feature, and queries of slices are not traced at all.
    """
    return [query for query in definition.queries() if query.purpose not in ("group", "slice") and query.sql]


def _views(ports: Ports) -> dict[str, tuple[str, ...]]:
    """The columns of each view of the pack's datasets, by the names that `SilverSession` gives the views."""
    views: dict[str, tuple[str, ...]] = {}
    for dataset in pack_info(ports).datasets:
        shape = shape_of(contract_of(ports, dataset))
        columns = ("tenant_id", *(name for name, _ in shape.columns))
        views[dataset] = columns
        if shape.kind == "event":
            views[f"outcome.{dataset}"] = columns
        else:
            views[f"history.{dataset}"] = (*columns, "_valid_from", "_valid_to")
    return views
