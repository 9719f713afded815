"""The file pack.yaml and a model's definition, parsed from text.

Files come as a mapping of relative path to text. So the same code reads files from the package, from a registered
version in S3, and from a test. No function in this module opens a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from propensity.kernel.errors import NotFoundError, PackError
from propensity.kernel.spec import Frozen, Name, load_yaml
from propensity.pack.domain.feature_spec import Feature, FeatureGroup
from propensity.pack.domain.model_spec import ModelSpec
from propensity.pack.domain.yaml_source import named_path, repeated_keys

MOST_BUCKETS = 4096
# the parts of a model's YAML, and the queries, that decide what is learnt from
_RECIPE = {
    *("population", "target", "horizon_days", "gap_days", "settle_days", "features", "training", "validation"),
    *("candidates", "imbalance", "selection", "calibration", "ladder"),
}
_LEARNT_FROM = ("population", "target", "treatment", "censored", "segment")
_SPACES = re.compile(r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?:--[^\n]*|/\*.*?\*/|\s)+""", re.DOTALL)


class QuarantineLimits(Frozen):
    """The limits beyond which a tenant's day of a dataset is a breach, compared with the tenant's own earlier days.

    ingest/domain/breaches.py judges days by these limits.
    """

    window_days: int = Field(28, ge=7, le=365)  # days back with which a day's rates and numbers are compared
    min_days: int = Field(7, ge=3)  # with fewer days with files among them, nothing is judged
    min_rows: int = Field(200, ge=1)  # with fewer rows, a day's rate is not judged
    min_files: int = Field(20, ge=1)  # with fewer files in the window, a refused file is not judged
    jump: float = Field(0.05, gt=0, lt=1)  # the least by which a rate must pass those of nine days in ten
    fall: float = Field(0.5, gt=0, lt=1)  # a day falls below this share of what nine days in ten bring
    rhythm_days: int = Field(60, ge=14, le=365)  # days back from which the rhythm of files is learnt
    min_gaps: int = Field(5, ge=2)  # with fewer gaps between days with files, no file is expected


class PackInfo(Frozen):
    """The contents of pack.yaml.

    `buckets` is the number of buckets that the tables of an empty lake get. An existing table knows its own number
    (docs/reference/lake.md).
    """

    name: Name
    description: str
    entity: Name
    partition_key: Literal["tenant", "entity"]
    buckets: int = Field(ge=1, le=MOST_BUCKETS)
    datasets: tuple[Name, ...]
    models: tuple[Name, ...]
    quarantine: QuarantineLimits = QuarantineLimits()


@dataclass(frozen=True, slots=True)
class DefinitionQuery:
    """One SELECT of a definition, and the tables that it may read.

    `purpose` is what the SQL is for, for example `target`. `name` is what messages call the query: `model buy, target`.
    Each query may read the datasets as of the date. A query `with_population` may also read the table `population`. A
    query `with_outcomes` may also read the events of the label window.
    """

    purpose: Literal["population", "target", "treatment", "censored", "group", "filter", "segment", "slice", "rule"]
    name: str
    sql: str
    with_population: bool = True
    with_outcomes: bool = False


class Definition(Frozen):
    """Everything that one model's features are computed from. Each version keeps its own definition, and runs it."""

    model: ModelSpec
    groups: tuple[FeatureGroup, ...]
    entity: Name

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features as the columns of the matrix, in order."""
        return tuple(column for group in self.groups for column in group.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def directions(self) -> tuple[int, ...]:
        """The direction (`Feature.direction`) of each column of the matrix: 1, -1 or 0."""
        return tuple(feature.direction for feature in self.features)

    @property
    def has_segments(self) -> bool:
        """Whether the model's ladder puts tenants into segments."""
        return self.model.ladder is not None and self.model.ladder.segment is not None

    def queries(self) -> tuple[DefinitionQuery, ...]:
        """Every query of the definition, in the order in which the queries are checked."""
        model = self.model
        of_model = f"model {model.name}, "
        found = [
            DefinitionQuery("population", f"{of_model}population", model.population.sql, with_population=False),
            DefinitionQuery("target", f"{of_model}target", model.target.sql, with_population=False, with_outcomes=True),
        ]
        if model.treatment:
            found.append(DefinitionQuery("treatment", f"{of_model}treatment", model.treatment.sql, with_outcomes=True))
        if model.censored.sql:
            found.append(DefinitionQuery("censored", f"{of_model}censored", model.censored.sql, with_outcomes=True))
        found += [DefinitionQuery("group", f"feature group {group.group}", group.sql) for group in self.groups]
        if model.filter:
            found.append(DefinitionQuery("filter", f"{of_model}filter", model.filter.sql))
        if model.ladder and model.ladder.segment:
            found.append(DefinitionQuery("segment", f"{of_model}segment", model.ladder.segment.sql))
        found += [DefinitionQuery("slice", f"{of_model}slice {part.name}", part.sql) for part in model.slices]
        return tuple(found)

    @property
    def feature_set(self) -> str:
        """The version of the feature set: a hash of its normalised SQL and YAML, 12 hex digits."""
        digest = hashlib.sha256()
        for group in self.groups:
            meaning = {"group": group.group, "features": [feature.meaning for feature in group.features]}
            digest.update(yaml.safe_dump(meaning, sort_keys=True).encode())
            digest.update(normalise_sql(group.sql).encode())
        return digest.hexdigest()[:12]

    @property
    def recipe(self) -> str:
        """A hash of what decides which scores a training on given rows gives, 16 hex digits.

        Two definitions of one recipe are the same model, whatever else of their YAML differs: words, gates, cadence,
        slices. A setting that is not given counts as its default, so that a new setting changes no recipe.
        """
        spec = self.model.model_dump(mode="json", include=_RECIPE, exclude_defaults=True)
        for part in (spec, spec.get("ladder") or {}):
            for name in ("population", "target", "segment"):
                part.pop(name, None)  # their words change nothing
        queries = {query.name: normalise_sql(query.sql) for query in self.queries() if query.purpose in _LEARNT_FROM}
        meaning = {"model": self.model.name, "feature_set": self.feature_set, "spec": spec, "queries": queries}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def meanings(self) -> dict[str, str]:
        """A hash of the group of each feature. Features of equal name and equal hash have equal values."""
        alone = ((group, self.model_copy(update={"groups": (group,)}).feature_set) for group in self.groups)
        return {feature.name: version for group, version in alone for feature in group.features}

    def files(self) -> dict[str, str]:
        """The files in which a version's folder keeps the definition. `parse_definition` reads these files back."""
        out = {"model.yaml": _dump(self.model.model_dump(mode="json")), "entity.txt": self.entity + "\n"}
        for group in self.groups:
            out[f"features/{group.group}.sql"] = group.sql
            out[f"features/{group.group}.yaml"] = _dump(group.model_dump(mode="json", exclude={"sql"}))
        return out


def normalise_sql(sql: str) -> str:
    """The SQL without what does not change its meaning: no comments, and one blank for each run of white space.

    Text in quotes stays as it is.
    """
    return _SPACES.sub(lambda found: found["quoted"] or " ", sql).strip().rstrip("; ")


def parse_pack(files: Mapping[str, str], pack: str) -> PackInfo:
    """The contents of pack.yaml. Raises PackError where the name is not that of the pack's folder."""
    info = parse_file(PackInfo, files, "pack.yaml", pack)
    if info.name != pack:
        raise PackError(f"{pack}/pack.yaml: name is {info.name!r}, expected {pack!r} as the folder says; rename one")
    return info


def parse_definition(files: Mapping[str, str], model: str, *, where: str, entity: str | None = None) -> Definition:
    """Parse the definition of one model with its feature groups.

    `files` are a pack's files or a version folder's files. A pack has the model in `models/<model>.yaml`, and needs
    `entity`. A version folder has the model in `model.yaml`. Raises NotFoundError for an unknown model. Raises
    PackError, which names file and field, where a file is wrong.
    """
    path = f"models/{model}.yaml" if f"models/{model}.yaml" in files else "model.yaml"
    if path not in files:
        known = sorted(
            name.removeprefix("models/").removesuffix(".yaml") for name in files if name.startswith("models/")
        )
        raise NotFoundError(f"{where}: no model {model!r}; this pack has {', '.join(known) or 'none'}")
    spec = parse_file(ModelSpec, files, path, where)
    if spec.name != model:
        raise PackError(f"{where}/{path}: name is {spec.name!r}, expected {model!r} as the file says")
    groups = []
    for name in spec.features:
        raw = _load(files, f"features/{name}.yaml", where)
        if f"features/{name}.sql" not in files:
            raise PackError(f"{where}/features/{name}.sql: missing; every feature group is one SQL file and one YAML")
        raw["sql"] = files[f"features/{name}.sql"]
        groups.append(_validate(FeatureGroup, raw, f"{where}/features/{name}.yaml"))
    names = [column.name for group in groups for column in group.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PackError(
            f"{where}/{path}: features {', '.join(twice)} are defined more than once, indicators among them"
        )
    coded = [feature.name for group in groups for feature in group.features if feature.dtype == "category"]
    if coded and any(candidate.family == "logistic_regression" for candidate in spec.candidates):
        raise PackError(
            f"{where}/{path}: candidate logistic_regression would read the codes of {', '.join(coded)} as amounts; "
            "give it one boolean feature per category"
        )
    return Definition(model=spec, groups=tuple(groups), entity=entity or files["entity.txt"].strip())


def _dump(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _load(files: Mapping[str, str], path: str, where: str) -> dict[str, Any]:
    if path not in files:
        raise PackError(f"{where}/{path}: missing")
    try:
        raw, twice = load_yaml(files[path]), repeated_keys(files[path])
    except yaml.YAMLError as error:
        raise PackError(f"{where}/{path}: not YAML: {error}") from error
    if twice:
        raise PackError(f"{where}/{path}: {'; '.join(twice)}")
    if not isinstance(raw, dict):
        raise PackError(f"{where}/{path}: expected a mapping at the top, got {type(raw).__name__}")
    return raw


def parse_file[T: Frozen](kind: type[T], files: Mapping[str, str], path: str, where: str) -> T:
    """Parse one YAML file of a pack. Raises PackError, which names file and field."""
    return _validate(kind, _load(files, path, where), f"{where}/{path}")


def _validate[T: Frozen](kind: type[T], raw: dict[str, Any], where: str) -> T:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(f"{named_path(raw, problem['loc'])}: {problem['msg']}" for problem in error.errors())
        raise PackError(f"{where}: {problems}") from error
