"""The feature sets there are, in the pack and in the registry, and which models use them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from propensity.domain.errors import BadInputError, NotFoundError, PackError
from propensity.domain.feature_diff import Described, FeatureSet
from propensity.domain.pack import Definition, normalise_sql
from propensity.domain.registry import ROOT
from propensity.ports import Ports
from propensity.usecases.lineage import DefinitionLineage, lineage_of, model_queries
from propensity.usecases.planning import pack_definition, pack_info
from propensity.usecases.registry import champion_number, load_version, version_numbers

_SET = re.compile(r"[0-9a-f]{12}")
_VERSION = re.compile(r"(?P<model>[a-z][a-z0-9_]*)(@(?P<number>[0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Use:
    """A definition of a model. `number` is None for the pack's, which the next training takes."""

    model: str
    number: int | None
    feature_set: str
    definition: Definition
    lineage: Mapping[str, Any]

    @property
    def as_of(self) -> str:
        """The day that a version was trained as of; the pack's comes after all of them."""
        return str(self.lineage["as_of"]) if self.number is not None else "9999"


@dataclass(slots=True)
class FeatureSets:
    """Reads the registry once; the lineage of equal queries is told once."""

    ports: Ports
    problems: list[str] = field(default_factory=list)
    _uses: list[Use] | None = None
    _lineages: dict[str, DefinitionLineage] = field(default_factory=dict)

    def uses(self) -> list[Use]:
        """Versions in the order of the days they were trained as of, then the pack's definitions."""
        if self._uses is None:
            found = [*self._registered(), *self._pack()]
            self._uses = sorted(found, key=lambda use: (use.as_of, use.model, use.number or 0))
        return self._uses

    def champions(self) -> dict[str, int]:
        """The champion of each model that has one."""
        found = {model: champion_number(self.ports.lake, model) for model in self._models()}
        return {model: number for model, number in found.items() if number is not None}

    def find(self, name: str, field_name: str) -> Use:
        """By `<model>` (the pack's), `<model>@<version>`, or a feature set's version, of which the newest use counts.

        Raises BadInputError for what is none of these, NotFoundError for what is not there.
        """
        match = _VERSION.fullmatch(name)
        asked = int(match["number"]) if match and match["number"] else None
        for use in reversed(self.uses()):
            if use.feature_set == name or (match and use.model == match["model"] and use.number == asked):
                return use
        if not match and not _SET.fullmatch(name):
            raise BadInputError(
                f"{field_name} is {name!r}, expected <model>, <model>@<version>, or a feature set's hash"
            )
        told = ", ".join(dict.fromkeys(use.feature_set for use in self.uses()))
        raise NotFoundError(f"{field_name}: no feature set {name!r} in the pack or the registry; there are {told}")

    def lineage(self, use: Use) -> DefinitionLineage:
        """Without the queries that cannot be traced; the reasons are among the problems."""
        groups, asked = use.definition.groups, model_queries(use.definition)
        names = [[feature.name for feature in group.features] for group in groups]
        key = repr(
            [names, [*asked], [normalise_sql(one) for one in (*(group.sql for group in groups), *asked.values())]]
        )
        if key not in self._lineages:
            found = self._lineages[key] = lineage_of(self.ports, use.definition)
            for problem in found.problems:
                self._problem(use, problem)
        return self._lineages[key]

    def described(self, use: Use) -> dict[str, Described]:
        """By name, in the matrix's order, the indicators with their features."""
        lineage = self.lineage(use)
        return {
            feature.name: Described(feature, group.group, group.owner_of(feature), lineage.features.get(feature.name))
            for group in use.definition.groups
            for feature in group.features
        }

    def whole(self, use: Use) -> FeatureSet:
        """Queries that cannot be laid out stand there on one line, with the reason among the problems."""
        sql = {}
        for group in use.definition.groups:
            try:
                sql[group.group] = self.ports.query_lineage.formatted(group.sql)
            except PackError as error:
                sql[group.group] = normalise_sql(group.sql)
                self._problem(use, f"feature group {group.group}: {error}")
        return FeatureSet(use.feature_set, sql, self.described(use))

    def _problem(self, use: Use, why: str) -> None:
        self.problems.append(f"{use.model if use.number is None else f'{use.model}@{use.number}'}: {why}")

    def _models(self) -> list[str]:
        """The pack's, and those that it had once."""
        there = {key.split("/")[1] for key in self.ports.lake.keys(f"{ROOT}/")}
        return sorted(there | set(pack_info(self.ports).models))

    def _registered(self) -> Iterator[Use]:
        for model in self._models():
            for number in version_numbers(self.ports.lake, model):
                version = load_version(self.ports.lake, model, number)
                # what it was called when it was trained is what its rows are called
                name = str(version.lineage["feature_set"])
                yield Use(model, number, name, version.definition(self.ports.lake), version.lineage)

    def _pack(self) -> Iterator[Use]:
        for model in pack_info(self.ports).models:
            definition = pack_definition(self.ports, model)
            yield Use(model, None, definition.feature_set, definition, {})
