"""The mistakes of a pack's files, each with file, line and remedy, found without running any SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from propensity.kernel.errors import ContractError
from propensity.kernel.spec import Frozen, load_yaml
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.definition import PackInfo
from propensity.pack.domain.feature_spec import FeatureGroup
from propensity.pack.domain.load_checks import contract_faults
from propensity.pack.domain.model_spec import ModelSpec
from propensity.pack.domain.yaml_source import Path, YamlSource, named_path, nearest

# words of messages that are also keys of every contract, and so say nothing about the line
_COMMON = {"customProperties", "property", "value", "name", "required", "event", "state", "column"}
_COMMON |= {"string", "integer", "number", "boolean", "date", "timestamp"}
_MOST = 25  # mistakes that are looked for in one contract, so that the search ends


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake. `line` counts from 1; it is None where the mistake is that a file is missing.

    `said` is what is wrong and what was expected; `remedy` is what to do.
    """

    file: str
    line: int | None
    said: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.said.rstrip('. ')}. {self.remedy}"


@dataclass(slots=True)
class PackFiles:
    """The files of a pack, as far as they can be read. `mistakes` says why a part could not."""

    files: Mapping[str, str]
    folder: str
    mistakes: list[Mistake] = field(default_factory=list)
    sources: dict[str, YamlSource] = field(default_factory=dict)
    info: PackInfo | None = None
    contracts: dict[str, Contract] = field(default_factory=dict)
    groups: dict[str, FeatureGroup] = field(default_factory=dict)
    models: dict[str, ModelSpec] = field(default_factory=dict)

    def add(self, file: str, path: Path, said: str, remedy: str) -> None:
        source = self.sources.get(file)
        self.mistakes.append(Mistake(file, source.line(path) if source else 1, said, remedy))

    def names(self, folder: str, ending: str = ".yaml") -> list[str]:
        prefix = f"{folder}/"
        return sorted(
            file.removeprefix(prefix).removesuffix(ending)
            for file in self.files
            if file.startswith(prefix) and file.endswith(ending)
        )


def read_pack(files: Mapping[str, str], folder: str) -> PackFiles:
    """Read every file of a pack, and note each mistake. One broken file does not keep the others from being read."""
    pack = PackFiles(files, folder)
    if "pack.yaml" not in files:
        pack.mistakes.append(Mistake("pack.yaml", None, "missing; a pack is a folder with this file", "Write it."))
    # pack.yaml comes first, because it says what the contracts need
    for file in sorted(files, key=lambda file: (file != "pack.yaml", file)):
        if file.endswith(".yaml"):
            _read(pack, file)
    _across(pack)
    return pack


def _read(pack: PackFiles, file: str) -> None:
    text = pack.files[file]
    try:
        pack.sources[file] = source = YamlSource(text)
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        if file in pack.sources:
            pack.mistakes += _no_days(file, pack.sources[file], str(error))
            return
        problem = getattr(error, "problem", None) or "cannot be read"
        # of a bracket that is not closed, the bracket's own line is told, not the line on which the text ends
        mark = getattr(error, "context_mark" if "expected ',' or" in problem else "problem_mark", None)
        line = mark.line + 1 if mark else 1
        remedy = "Correct the indentation, quotes or brackets of this line."
        indent = re.match(r"\s*", [*text.splitlines(), ""][min(line - 1, text.count("\n"))])
        if indent and "\t" in indent.group():
            problem, remedy = "the line begins with a tab", "Indent it with blanks."
        pack.mistakes.append(Mistake(file, line, f"not YAML: {problem}", remedy))
        return
    for line, key, first in source.repeated():
        pack.mistakes.append(
            Mistake(file, line, f"{key!r} stands there twice, first in line {first}", "Keep one of the two.")
        )
    if not isinstance(raw, dict):
        pack.add(file, (), f"expected a mapping at the top, got {type(raw).__name__}", "Write `name: value` lines.")
        return
    name = file.rpartition("/")[2].removesuffix(".yaml")
    if file == "pack.yaml":
        pack.info = validated(pack, file, PackInfo, raw)
    elif file.startswith("contracts/"):
        _read_contract(pack, file, name, raw)
    elif file.startswith("features/"):
        if f"features/{name}.sql" not in pack.files:
            said = "missing; every feature group is one SQL file and one YAML"
            pack.mistakes.append(Mistake(f"features/{name}.sql", None, said, f"Write it, or remove {file}."))
        group = validated(pack, file, FeatureGroup, {**raw, "sql": pack.files.get(f"features/{name}.sql", "")})
        if group:
            named_as_file(pack, file, ("group",), group.group, name)
            pack.groups[name] = group.model_copy(update={"group": name})
    elif file.startswith("models/"):
        spec = validated(pack, file, ModelSpec, raw)
        if spec:
            named_as_file(pack, file, ("name",), spec.name, name)
            pack.models[name] = spec


def _no_days(file: str, source: YamlSource, said: str) -> Iterator[Mistake]:
    """The values of a text that look like dates, of which no calendar has the day; the text as a whole without one."""
    found = False
    for line, value in source.dates():
        try:
            load_yaml(value)
        except yaml.YAMLError:
            found = True
            remedy = "Write a day as YYYY-MM-DD, or put the value in quotes where it is none."
            yield Mistake(file, line, f"{value} is no date", remedy)
    if not found:
        yield Mistake(file, 1, said, "Correct the value.")


def named_as_file(pack: PackFiles, file: str, path: Path, found: str, name: str) -> None:
    if found != name:
        pack.add(file, path, f"{path[-1]} is {found!r}, expected {name!r} as the file says", "Rename one of the two.")


def validated[T: Frozen](pack: PackFiles, file: str, kind: type[T], raw: dict[str, Any]) -> T | None:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        for problem in error.errors():
            location = [part for part in problem["loc"] if part != "function-after"]
            # a check of several fields says first which of them is wrong
            at = [str(problem["ctx"]["error"]).partition(":")[0]] if problem["type"] == "value_error" else []
            said, remedy = _problem(problem, location, kind)
            pack.add(file, [*location, *at], f"{named_path(raw, location)}: {said}", remedy)
    return None


def _problem(problem: Any, location: Sequence[str | int], kind: type[BaseModel]) -> tuple[str, str]:
    match problem["type"]:
        case "extra_forbidden":
            said = f"unknown field; {nearest(str(location[-1]), sorted(_fields(kind, location[:-1])))}"
            return said, "Correct the field's name, or remove it."
        case "missing":
            return "the field is missing, and has no default", f"Add {location[-1]}."
        case "value_error":
            return str(problem["ctx"]["error"]), "Correct the value."
        case "literal_error":
            return f"is {problem['input']!r}, expected {problem['ctx']['expected']}", "Write one of these."
        case "string_pattern_mismatch":
            return (
                f"is {problem['input']!r}, expected small letters, digits and _, beginning with a letter",
                "Rename it.",
            )
    return f"is {_short(problem['input'])}: {problem['msg']}", "Correct the value."


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields(kind: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    """The fields of the class that stands at a place of a file."""
    if not location:
        return set(kind.model_fields) - {"sql"} if kind is FeatureGroup else set(kind.model_fields)
    first, rest = location[0], location[1:]
    if first not in kind.model_fields:
        return set(kind.model_fields)
    inner = _class_of(kind.model_fields[str(first)].annotation)
    while rest and isinstance(rest[0], int):
        rest = rest[1:]
    return _fields(inner, rest) if inner else set(kind.model_fields)


def _class_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _class_of(part))), None)


def _read_contract(pack: PackFiles, file: str, name: str, raw: dict[str, Any]) -> None:
    """Parse a contract. After a mistake in a column, the column is taken without its rules, to find further ones."""
    seen: set[str] = set()
    for _ in range(_MOST):
        try:
            contract = parse_contract(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True), where="")
            break
        except ContractError as error:
            said = str(error).removeprefix(": ")
            if said in seen:
                return
            seen.add(said)
            for part in _parts(said):
                pack.mistakes.append(
                    Mistake(
                        file, _contract_line(pack.sources[file], raw, part), part, "Correct it (reference/contracts)."
                    )
                )
            column = _column_named(raw, said)
            if column is None:
                return
            plain = {"name": column.get("name"), "logicalType": column.get("logicalType"), "required": True}
            if plain["logicalType"] not in ("string", "integer", "number", "boolean", "date", "timestamp"):
                plain["logicalType"] = "string"
            keys = {key: column[key] for key in ("primaryKey", "primaryKeyPosition") if key in column}
            column.clear()
            column.update(plain | keys)
    else:
        return
    if seen:
        pack.contracts[name] = contract
        return
    for owner, words, said, remedy in contract_faults(contract, pack.info):
        line = pack.sources[file].below(_column_path(raw, owner), words)
        pack.mistakes.append(Mistake(file, line, said, f"{remedy[:1].upper()}{remedy[1:]}."))
    custom = {given.get("property") for given in raw["schema"][0].get("customProperties") or []}
    if "knownAt" not in custom:
        said = (
            "knownAt is missing, so a row counts from its arrival only, and history that is loaded now trains nothing"
        )
        remedy = "Add knownAt with {column: …} or {lagDays: n}; write {arrival: true} where this is meant."
        pack.add(file, ("schema", 0, "customProperties"), said, remedy)
    named_as_file(pack, file, ("schema", 0, "name"), contract.dataset, name)
    pack.contracts[name] = contract


def _parts(said: str) -> list[str]:
    """The problems of one message. pydantic's problems stand in a row, each with its path."""
    if not said.endswith("expected fields of ODCS v3"):
        return [said]
    problems = said.removesuffix("; expected fields of ODCS v3").split("; ")
    return [f"{problem}; expected a field of ODCS v3" for problem in problems]


def _properties(raw: dict[str, Any]) -> list[Any]:
    tables = raw.get("schema")
    table = tables[0] if isinstance(tables, list) and tables else {}
    return (table.get("properties") or []) if isinstance(table, dict) else []


def _column_path(raw: dict[str, Any], column: str | None) -> Path:
    for number, found in enumerate(_properties(raw)):
        if column is not None and isinstance(found, dict) and found.get("name") == column:
            return ("schema", 0, "properties", number)
    return ("schema", 0)


def _column_named(raw: dict[str, Any], said: str) -> dict[str, Any] | None:
    """The column that a message begins with."""
    name = said.partition(":")[0]
    return next((found for found in _properties(raw) if isinstance(found, dict) and found.get("name") == name), None)


def _contract_line(source: YamlSource, raw: dict[str, Any], said: str) -> int:
    """The line that a message of the contract's parser is about: a path of the standard, or a column and a field."""
    head = said.partition(": ")[0]
    if re.fullmatch(r"[A-Za-z_]+(\[\d+\]|\.[A-Za-z_]+)*", head) and ("[" in head or head in raw):
        path = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", head)]
        return source.line(path)
    first = said.partition(" ")[0].rstrip(":")
    if first in raw:
        return source.line((first,))
    found = re.match(r"custom property (\w+)", said)
    if found and not said.partition("; ")[0].endswith("is missing"):
        return source.below(("schema", 0), [found[1]])
    if said.startswith("custom property") and said.partition("; ")[0].endswith("is missing"):
        return source.line(("schema", 0, "customProperties"))
    words = [word for word in re.findall(r"[A-Za-z_][\w-]*", said.partition(": ")[2] or said) if word not in _COMMON]
    last = ["customProperties"] if "customProperties" in said else []
    return source.below(_column_path(raw, head), [*words, *last])


def _across(pack: PackFiles) -> None:
    """The mistakes that show only where files are held against each other."""
    if pack.info:
        if pack.info.name != pack.folder:
            said = f"name is {pack.info.name!r}, but the folder is {pack.folder!r}"
            pack.add("pack.yaml", ("name",), said, "Rename one of the two.")
        for kind, folder, listed in (
            ("datasets", "contracts", pack.info.datasets),
            ("models", "models", pack.info.models),
        ):
            there = pack.names(folder)
            for number, name in enumerate(listed):
                if name not in there:
                    said = f"{kind}: no file {folder}/{name}.yaml; {nearest(name, there)}"
                    pack.add("pack.yaml", (kind, number), said, "Correct the name, or write the file.")
                if name in listed[:number]:
                    pack.add("pack.yaml", (kind, number), f"{kind}: {name} is listed twice", "Remove one of the two.")
            for name in there:
                if name not in listed:
                    said = f"pack.yaml does not list it among its {kind}"
                    pack.add(
                        f"{folder}/{name}.yaml", (), said, f"Add {name} to {kind} of pack.yaml, or remove the file."
                    )
    for name in pack.names("features", ".sql"):
        if f"features/{name}.yaml" not in pack.files:
            said = "missing; every feature group is one SQL file and one YAML"
            pack.mistakes.append(Mistake(f"features/{name}.yaml", None, said, f"Write it, or remove {name}.sql."))
    for name, spec in pack.models.items():
        pack.mistakes += _of_model(pack, f"models/{name}.yaml", spec)
    known = pack.names("contracts")
    for name, contract in pack.contracts.items():
        for reference in contract.references:
            path, file = (reference.column, "to"), f"contracts/{name}.yaml"
            target = pack.contracts.get(reference.to_dataset)
            if reference.to_dataset not in known:
                said = f"{path[0]}: relationships: no dataset {reference.to_dataset!r}; "
                said += nearest(reference.to_dataset, known)
            elif target and reference.to_column not in {column.name for column in target.columns}:
                said = f"{path[0]}: relationships: {reference.to_dataset} has no column {reference.to_column!r}; "
                said += nearest(reference.to_column, [column.name for column in target.columns])
            else:
                continue
            line = pack.sources[file].below(
                _column_path(_raw(pack, file), reference.column), [f"{reference.to_dataset}.{reference.to_column}"]
            )
            pack.mistakes.append(Mistake(file, line, said, "Correct `to`."))


def _raw(pack: PackFiles, file: str) -> dict[str, Any]:
    raw = load_yaml(pack.files[file])
    return raw if isinstance(raw, dict) else {}


def _of_model(pack: PackFiles, file: str, spec: ModelSpec) -> Iterator[Mistake]:
    source, known = pack.sources[file], pack.names("features")
    for number, name in enumerate(spec.features):
        if name not in known:
            said = f"features: no group {name!r}; {nearest(name, known)}"
            yield Mistake(
                file, source.line(("features", number)), said, "Correct the name, or write the group's files."
            )
        if name in spec.features[:number]:
            yield Mistake(file, source.line(("features", number)), f"features: {name} twice", "Remove one of the two.")
    if not spec.features:
        yield Mistake(file, source.line(("features",)), "features: no group; a model needs one at least", "Name one.")
    if not spec.candidates:
        said = "candidates: none; a training has nothing to fit"
        yield Mistake(file, source.line(("candidates",)), said, "Name a family, for example logistic_regression.")
    columns = [
        (group, column) for group in spec.features if group in pack.groups for column in pack.groups[group].columns
    ]
    names = [column.name for _, column in columns]
    for name in sorted({name for name in names if names.count(name) > 1}):
        owners = sorted({group for group, column in columns if column.name == name})
        said = f"features: {name} is defined more than once, in {', '.join(owners)}"
        yield Mistake(file, source.line(("features",)), said, "Rename one of the features.")
    coded = sorted({column.name for _, column in columns if column.dtype == "category"})
    for number, candidate in enumerate(spec.candidates):
        if coded and candidate.family == "logistic_regression":
            said = f"candidate logistic_regression would read the codes of {', '.join(coded)} as amounts"
            remedy = "Give it one boolean feature per category, or take the family out."
            yield Mistake(file, source.line(("candidates", number)), said, remedy)
    for number in spec.training.newest:
        if number > spec.training.as_of_count:
            said = f"training: newest {number} is above as_of_count {spec.training.as_of_count}"
            yield Mistake(file, source.line(("training",)), said, "Lower newest, or raise as_of_count.")
    if spec.ladder and spec.ladder.segment and pack.info and pack.info.partition_key != "tenant":
        said = "ladder.segment needs partition_key tenant in pack.yaml; with entity a worker sees a part of each tenant"
        yield Mistake(file, source.line(("ladder", "segment")), said, "Remove the segment, or spread rows by tenant.")
