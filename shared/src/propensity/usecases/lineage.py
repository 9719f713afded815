"""Where a definition's features come from: its queries against the views that they may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from propensity.domain.errors import PackError
from propensity.domain.lineage import POPULATION, Lineage, joined
from propensity.domain.pack import Definition
from propensity.ports import Ports
from propensity.usecases.planning import contract_of, pack_info, shape_of


@dataclass(frozen=True, slots=True)
class DefinitionLineage:
    """`features`: by name, indicators not among them. `queries`: population, target and, if there is one, filter.

    `problems`: of each query that could not be traced why; what it gives is missing from the others.
    """

    features: Mapping[str, Lineage]
    queries: Mapping[str, Lineage]
    problems: tuple[str, ...]


def lineage_of(ports: Ports, definition: Definition) -> DefinitionLineage:
    """A query that cannot be traced, as one that names a column outside of the pack's contracts, is a problem."""
    views = _views(ports)
    keys = {"tenant_id", definition.entity}
    inside = {name: columns for name, columns in views.items() if not name.startswith("outcome.")}
    with_population = inside | {POPULATION: ("tenant_id", "customer_id")}
    features: dict[str, Lineage] = {}
    queries: dict[str, Lineage] = {}
    problems: list[str] = []

    def traced(sql: str, tables: Mapping[str, tuple[str, ...]], what: str) -> Mapping[str, Lineage]:
        try:
            return ports.query_lineage.trace(sql, tables, keys, what=what)
        except PackError as error:
            problems.append(str(error))
            return {}

    for group in definition.groups:
        found = traced(group.sql, with_population, f"feature group {group.group}")
        # a feature that the query does not give is found by whoever runs it
        features |= {feature.name: found[feature.name] for feature in group.features if feature.name in found}
    model = definition.model
    asked = {"population": (model.population, inside), "target": (model.target, views)}
    if model.filter:
        asked["filter"] = (model.filter, with_population)
    for name, (query, tables) in asked.items():
        found = traced(query.sql, tables, f"model {model.name}, {name}")
        if found:
            queries[name] = joined(found.values())
    return DefinitionLineage(features, queries, tuple(problems))


def _views(ports: Ports) -> dict[str, tuple[str, ...]]:
    """The columns of each view of the pack's datasets, as silver_session makes them."""
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
