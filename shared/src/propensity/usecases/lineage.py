"""Where a definition's features come from: its queries against the views that they may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from propensity.domain.lineage import POPULATION, Lineage, joined
from propensity.domain.pack import Definition
from propensity.ports import Ports
from propensity.usecases.planning import contract_of, pack_info, shape_of


@dataclass(frozen=True, slots=True)
class DefinitionLineage:
    """`features`: by name, indicators not among them. `queries`: population, target and, if there is one, filter."""

    features: Mapping[str, Lineage]
    queries: Mapping[str, Lineage]


def lineage_of(ports: Ports, definition: Definition) -> DefinitionLineage:
    """Raises PackError naming query and column for one that is not in the pack's contracts."""
    views = _views(ports)
    keys = {"tenant_id", definition.entity}
    inside = {name: columns for name, columns in views.items() if not name.startswith("outcome.")}
    with_population = inside | {POPULATION: ("tenant_id", "customer_id")}
    trace = ports.query_lineage.trace
    features: dict[str, Lineage] = {}
    for group in definition.groups:
        traced = trace(group.sql, with_population, keys, what=f"feature group {group.group}")
        # a feature that the query does not give is found by whoever runs it
        features |= {feature.name: traced[feature.name] for feature in group.features if feature.name in traced}
    model = definition.model
    asked = {"population": (model.population, inside), "target": (model.target, views)}
    if model.filter:
        asked["filter"] = (model.filter, with_population)
    queries = {
        name: joined(trace(query.sql, tables, keys, what=f"model {model.name}, {name}").values())
        for name, (query, tables) in asked.items()
    }
    return DefinitionLineage(features, queries)


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
