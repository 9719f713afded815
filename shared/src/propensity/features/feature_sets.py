"""The feature sets of the pack and of the registry, and the models that use these feature sets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from propensity.features.domain.feature_diff import Described, FeatureSet
from propensity.features.query_lineage import DefinitionLineage, Lineages
from propensity.kernel.errors import BadInputError, NotFoundError, PackError
from propensity.pack.current import pack_definition, pack_info
from propensity.pack.domain.definition import Definition, normalise_sql
from propensity.ports import Ports
from propensity.registry.domain.ledger import REGISTRY
from propensity.registry.versions import champion_number, load_version, version_numbers

_SET = re.compile(r"[0-9a-f]{12}")
_VERSION = re.compile(r"(?P<model>[a-z][a-z0-9_]*)(@(?P<number>[0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Use:
    """A model's definition: the definition of a version, or the pack's definition, which the next training takes.

    `number` is the version's number; it is None for the pack's definition. `as_of` is the day that the version was
    trained as of. The pack's definition has None there, because it comes after all versions.
    """

    model: str
    number: int | None
    feature_set: str
    as_of: str | None

    @property
    def name(self) -> str:
        return self.model if self.number is None else f"{self.model}@{self.number}"


@dataclass(slots=True)
class FeatureSets:
    """The feature sets by name. The registry is listed once, and each definition that is asked for is read once."""

    ports: Ports
    problems: list[str] = field(default_factory=list)
    _uses: list[Use] = field(default_factory=list)
    _lineages: Lineages | None = None
    _definitions: dict[Use, Definition] = field(default_factory=dict)
    _lineage_of: dict[Use, DefinitionLineage] = field(default_factory=dict)
    _described: dict[Use, dict[str, Described]] = field(default_factory=dict)

    def uses(self) -> list[Use]:
        """The versions in the order of the days they were trained as of, then the pack's definitions."""
        if not self._uses:
            registered = sorted(self._registered(), key=lambda use: (use.as_of or "", use.model, use.number or 0))
            self._uses = [*registered, *self._pack()]
        return self._uses

    def firsts(self) -> list[Use]:
        """The first version that was trained with each registered feature set, in the order of `uses`."""
        found: dict[str, Use] = {}
        for use in self.uses():
            if use.number is not None:
                found.setdefault(use.feature_set, use)
        return list(found.values())

    def definition(self, use: Use) -> Definition:
        if use not in self._definitions:
            ports = self.ports
            self._definitions[use] = (
                pack_definition(ports, use.model)
                if use.number is None
                else load_version(ports.lake, use.model, use.number).definition(ports.lake)
            )
        return self._definitions[use]

    def champions(self) -> dict[str, int]:
        """The champion of each model that has one."""
        found = {model: champion_number(self.ports.lake, model) for model in self._models()}
        return {model: number for model, number in found.items() if number is not None}

    def find(self, name: str, field_name: str) -> Use:
        """Find a definition by `<model>` (the pack's), by `<model>@<version>`, or by a feature set's hash.

        A hash finds the newest use of the feature set. Raises BadInputError for a name of another form, and
        NotFoundError where there is no such feature set.
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
        known = ", ".join(dict.fromkeys(use.feature_set for use in self.uses()))
        raise NotFoundError(f"{field_name}: no feature set {name!r} in the pack or the registry; there are {known}")

    def lineage(self, use: Use) -> DefinitionLineage:
        """The lineage of a definition. A query that cannot be traced is left out, with the reason in `problems`."""
        if use not in self._lineage_of:
            self._lineages = self._lineages or Lineages(self.ports)
            self._lineage_of[use] = self._lineages.of(self.definition(use))
            self.problems += [f"{use.name}: {problem}" for problem in self._lineage_of[use].problems]
        return self._lineage_of[use]

    def described(self, use: Use) -> dict[str, Described]:
        """The features by name, in the matrix's order. A missingness indicator is described with its feature."""
        if use not in self._described:
            lineage = self.lineage(use).features
            self._described[use] = {
                feature.name: Described(feature, group.group, group.owner_of(feature), lineage.get(feature.name))
                for group in self.definition(use).groups
                for feature in group.features
            }
        return self._described[use]

    def whole(self, use: Use) -> FeatureSet:
        """The whole feature set. A query that cannot be laid out is one line of SQL, with the reason in `problems`."""
        sql = {}
        for group in self.definition(use).groups:
            try:
                sql[group.group] = self.ports.query_lineage.formatted(group.sql)
            except PackError as error:
                sql[group.group] = normalise_sql(group.sql)
                self.problems.append(f"{use.name}: feature group {group.group}: {error}")
        return FeatureSet(use.feature_set, sql, self.described(use))

    def _models(self) -> list[str]:
        """The models of the pack, and the models that only the registry has."""
        registered = {key.split("/")[1] for key in self.ports.lake.keys(f"{REGISTRY}/")}
        return sorted(registered | set(pack_info(self.ports).models))

    def _registered(self) -> Iterator[Use]:
        for model in self._models():
            for number in version_numbers(self.ports.lake, model):
                lineage = load_version(self.ports.lake, model, number).lineage
                # this is the hash that the training wrote down, and that the rows of its features carry
                yield Use(model, number, str(lineage["feature_set"]), str(lineage["as_of"]))

    def _pack(self) -> Iterator[Use]:
        for model in pack_info(self.ports).models:
            yield Use(model, None, pack_definition(self.ports, model).feature_set, None)
