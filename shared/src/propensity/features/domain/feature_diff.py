"""The differences of two feature sets, feature by feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from propensity.kernel.lineage import Lineage
from propensity.pack.domain.feature_spec import Feature


@dataclass(frozen=True, slots=True)
class Described:
    """A feature as one feature set has it. `lineage` is None where the feature's query could not be traced."""

    feature: Feature
    group: str
    owner: str
    lineage: Lineage | None

    def fields(self) -> dict[str, Any]:
        """The fields of the feature's YAML, with the feature's owner and group."""
        fields = self.feature.model_dump(mode="json", exclude={"name"})
        return {**fields, "owner": self.owner, "group": self.group}

    def means(self, other: Described) -> bool:
        """Whether two features give equal values and are used alike, as far as SQL and YAML tell.

        False without lineage.
        """
        if self.lineage is None or other.lineage is None:
            return False
        return self.lineage.meaning == other.lineage.meaning and self.feature.meaning == other.feature.meaning


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A feature set; `version` is its hash. `sql` has each group's query, all laid out alike.

    `features` are in the matrix's order.
    """

    version: str
    sql: Mapping[str, str]
    features: Mapping[str, Described]


def set_difference(before: FeatureSet, after: FeatureSet) -> dict[str, Any]:
    """The difference of two feature sets as JSON.

    The keys are `same_version`, `added`, `removed`, `changed` and `order_changed`, and the difference of each group's
    SQL.
    A changed feature has the fields of its YAML that differ, from and to, and the sources that came and went. `meaning`
    says whether the feature's values or their use can differ. For a change of text alone `meaning` is False.
    """
    both = [name for name in after.features if name in before.features]
    changed = [_changed(name, before.features[name], after.features[name]) for name in both]
    return {
        "from": before.version,
        "to": after.version,
        "same_version": before.version == after.version,
        "added": [name for name in after.features if name not in before.features],
        "removed": [name for name in before.features if name not in after.features],
        "changed": [feature for feature in changed if feature["meaning"] or feature["fields"] or feature["sources"]],
        "order_changed": both != [name for name in before.features if name in after.features],
        "sql": _sql(before.sql, after.sql),
    }


def _changed(name: str, before: Described, after: Described) -> dict[str, Any]:
    old, new = before.fields(), after.fields()
    return {
        "name": name,
        "meaning": not before.means(after),
        "fields": {field: {"from": old[field], "to": new[field]} for field in new if old[field] != new[field]},
        "sources": _sources(before.lineage, after.lineage),
    }


def _sources(before: Lineage | None, after: Lineage | None) -> dict[str, dict[str, list[str]]]:
    """The columns, conditions and datasets that came or went.

    The result is empty where one of the lineages is unknown.
    """
    if before is None or after is None:
        return {}
    old, new = before.to_json(), after.to_json()
    moved = {
        kind: {"added": sorted(set(new[kind]) - set(old[kind])), "removed": sorted(set(old[kind]) - set(new[kind]))}
        for kind in new
    }
    return {kind: names for kind, names in moved.items() if names["added"] or names["removed"]}


def _sql(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """The lines of a unified diff for each group that differs. A group that only one set has gives all of its lines."""
    found = {}
    for group in sorted({*before, *after}):
        old, new = before.get(group, "").splitlines(), after.get(group, "").splitlines()
        lines = list(unified_diff(old, new, fromfile=f"{group}.sql", tofile=f"{group}.sql", lineterm=""))
        if lines:
            found[group] = lines
    return found
