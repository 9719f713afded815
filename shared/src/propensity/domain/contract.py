"""A data contract: Open Data Contract Standard v3 YAML, read with its published models, as this package uses it.

What the standard has no field for stands in its `customProperties`, listed in docs/contracts.md. A property of
that name that we do not know is an error, so that a misspelling cannot switch a rule off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import BaseModel, ConfigDict, ValidationError

from propensity.domain.errors import ContractError

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
_OPTIONS = {
    "string": {"minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set(),
    "date": {"minimum", "maximum"},
    "timestamp": {"minimum", "maximum"},
}
_COLUMN_CUSTOM = {"sourceNames", "nullValues", "normalise", "formats", "optional"}
_OBJECT_CUSTOM = {"kind", "eventTime", "validFrom", "knownAt", "versionColumn", "partitionKey", "occurrence"}

Normalisation = Literal["trim", "upper", "lower", "integer_text"]


class KnownAt(BaseModel):
    """How a row's known_at is found: a column, so many days after its own time, or (both None) its arrival."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    column: str | None = None
    lag_days: int | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Numbers rows that are equal in `within`, 1…k inside a file, so that genuine repeats get keys of their own."""

    column: str
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset. Bounds are as the contract says them: numbers, or ISO text for dates."""

    name: str
    logical_type: str
    required: bool = False
    unique: bool = False
    optional: bool = False
    classification: str | None = None
    source_names: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ()
    normalise: tuple[Normalisation, ...] = ()
    formats: tuple[str, ...] = ()
    minimum: float | str | None = None
    maximum: float | str | None = None
    exclusive_minimum: float | str | None = None
    exclusive_maximum: float | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()

    @property
    def duckdb_type(self) -> str:
        return DUCKDB_TYPES[self.logical_type]

    @property
    def headers(self) -> tuple[str, ...]:
        """The names under which a file may bring this column."""
        return (self.name, *self.source_names)


@dataclass(frozen=True, slots=True)
class Contract:
    dataset: str
    version: str
    kind: Literal["event", "state"]
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    event_time: str | None
    valid_from: str | None
    known_at: KnownAt
    version_column: str | None
    partition_key: str | None
    occurrence: Occurrence | None

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """The columns a file brings: all but the one we number ourselves."""
        derived = self.occurrence.column if self.occurrence else None
        return tuple(column for column in self.columns if column.name != derived)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def parse_contract(text: str, *, where: str) -> Contract:
    """Raises ContractError naming file and field."""
    try:
        raw = OpenDataContractStandard.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise ContractError(f"{where}: not an ODCS v3 contract: {error}") from error
    if raw.kind != "DataContract" or not (raw.apiVersion or "").startswith("v3."):
        raise ContractError(f"{where}: kind {raw.kind!r}, apiVersion {raw.apiVersion!r}; expected DataContract, v3.x")
    if not raw.version:
        raise ContractError(f"{where}: version is missing, expected text like 1.0.0")
    if not raw.schema_ or len(raw.schema_) != 1:
        raise ContractError(f"{where}: schema: {len(raw.schema_ or [])} objects, expected one dataset per contract")
    return _contract(raw.schema_[0], raw.version, where)


def _contract(table: SchemaObject, version: str, where: str) -> Contract:
    custom = _custom(table.customProperties, _OBJECT_CUSTOM, f"{where}: schema[0].customProperties")
    columns = tuple(_column(one, f"{where}: {one.name}") for one in table.properties or [])
    names = [column.name for column in columns]
    keyed = [(one.primaryKeyPosition or 0, number, one) for number, one in enumerate(table.properties or [])]
    key = tuple(str(one.name) for _, _, one in sorted(keyed, key=lambda k: k[:2]) if one.primaryKey)
    occurrence = custom.get("occurrence")
    contract = Contract(
        dataset=table.name or "",
        version=version,
        kind=custom.get("kind", "event"),
        columns=columns,
        primary_key=key,
        event_time=custom.get("eventTime"),
        valid_from=custom.get("validFrom"),
        known_at=_known_at(custom.get("knownAt", {"arrival": True}), where),
        version_column=custom.get("versionColumn"),
        partition_key=custom.get("partitionKey"),
        occurrence=Occurrence(occurrence["column"], tuple(occurrence["within"])) if occurrence else None,
    )
    if len(set(names)) != len(names):
        raise ContractError(f"{where}: properties: a name stands twice")
    if not key:
        raise ContractError(f"{where}: no property has primaryKey: true; without a key no row can be corrected")
    if contract.kind not in ("event", "state"):
        raise ContractError(f"{where}: custom property kind is {contract.kind!r}, expected event or state")
    moment = "eventTime" if contract.kind == "event" else "validFrom"
    if not custom.get(moment):
        raise ContractError(f"{where}: custom property {moment} is missing; a {contract.kind} dataset needs it")
    _known(contract, custom, moment, names, where)
    return contract


def _known(contract: Contract, custom: dict[str, Any], moment: str, names: Sequence[str], where: str) -> None:
    """Every column that a custom property names is one of the contract's, and times are times."""
    named = {
        moment: custom[moment],
        "knownAt": contract.known_at.column,
        "versionColumn": contract.version_column,
        "partitionKey": contract.partition_key,
    }
    for field, name in named.items():
        if name is not None and name not in names:
            raise ContractError(f"{where}: custom property {field} names {name!r}, which is not a property")
    for field in (moment, "knownAt"):
        name = named[field]
        if name is None:
            continue
        column = contract.column(name)
        if column.logical_type not in ("date", "timestamp") or not column.required:
            raise ContractError(f"{where}: {name}: {field} needs a required date or timestamp")
    if contract.occurrence:
        for name in (contract.occurrence.column, *contract.occurrence.within):
            if name not in names:
                raise ContractError(f"{where}: custom property occurrence names {name!r}, which is not a property")


def _column(raw: SchemaProperty, where: str) -> Column:
    kind = raw.logicalType or ""
    if kind not in DUCKDB_TYPES:
        raise ContractError(f"{where}: logicalType is {kind!r}, expected one of {', '.join(DUCKDB_TYPES)}")
    if not raw.name or raw.name.startswith("_"):
        raise ContractError(f"{where}: a property's name is missing or begins with _, which is ours")
    options = raw.logicalTypeOptions or {}
    unknown = sorted(set(options) - _OPTIONS[kind])
    if unknown:
        raise ContractError(f"{where}: logicalTypeOptions {', '.join(unknown)} do not apply to {kind}")
    custom = _custom(raw.customProperties, _COLUMN_CUSTOM, f"{where}: customProperties")
    return Column(
        name=raw.name,
        logical_type=kind,
        required=bool(raw.required or raw.primaryKey) and not custom.get("optional", False),
        unique=bool(raw.unique),
        optional=bool(custom.get("optional", False)),
        classification=raw.classification,
        source_names=tuple(custom.get("sourceNames", ())),
        null_values=tuple(str(value) for value in custom.get("nullValues", ())),
        normalise=tuple(custom.get("normalise", ())),
        formats=tuple(custom.get("formats", ())),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        exclusive_minimum=options.get("exclusiveMinimum"),
        exclusive_maximum=options.get("exclusiveMaximum"),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        pattern=options.get("pattern"),
        allowed=_allowed(raw, where),
    )


def _allowed(raw: SchemaProperty, where: str) -> tuple[str, ...]:
    """Allowed values, from `enum` or from a library rule `invalidValues` that must be 0."""
    values = [str(one.value) for one in raw.enum or []]
    for rule in raw.quality or []:
        if rule.type != "library" or rule.metric != "invalidValues" or rule.mustBe != 0:
            raise ContractError(
                f"{where}: quality: only type library, metric invalidValues, mustBe 0 is read here; "
                f"got {rule.type!r}, {rule.metric!r}"
            )
        values += [str(value) for value in (rule.arguments or {}).get("validValues", [])]
    return tuple(values)


def _known_at(raw: Any, where: str) -> KnownAt:
    if isinstance(raw, dict) and len(raw) == 1:
        if isinstance(raw.get("column"), str):
            return KnownAt(column=raw["column"])
        if isinstance(raw.get("lagDays"), int):
            return KnownAt(lag_days=raw["lagDays"])
        if raw.get("arrival") is True:
            return KnownAt()
    raise ContractError(f"{where}: custom property knownAt is {raw!r}, expected {{column: …}}, {{lagDays: n}} or {{arrival: true}}")


def _custom(raw: Sequence[CustomProperty] | None, known: set[str], where: str) -> dict[str, Any]:
    custom = {one.property or "": one.value for one in raw or []}
    unknown = sorted(set(custom) - known)
    if unknown:
        raise ContractError(f"{where}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    return custom
