"""Reads a contract from YAML of the Open Data Contract Standard v3, by the standard's published models.

`customProperties` hold what the standard has no field for; docs/reference/contracts.md lists the properties. An unknown
field or custom property is an error, so that a misspelling cannot switch a rule off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args

import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import ValidationError

from propensity.kernel.errors import ContractError
from propensity.kernel.spec import load_yaml
from propensity.kernel.tenant import TENANT
from propensity.pack.domain.contract import (
    DUCKDB_TYPES,
    RULES,
    Column,
    Contract,
    KnownAt,
    Normalisation,
    Occurrence,
    TextForm,
)
from propensity.pack.domain.formats import read_text_form, strptime_format
from propensity.pack.domain.permissions import check_permissions, read_consent, read_suppression
from propensity.pack.domain.quality import freshness, null_expectation, object_quality, references, severities

_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_OPTIONS = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": _BOUNDS,
    "number": _BOUNDS,
    "boolean": set(),
    "date": _BOUNDS | {"format"},
    "timestamp": _BOUNDS | {"format"},
}
_COLUMN_CUSTOM = {
    "sourceNames",
    "nullValues",
    "normalise",
    "formats",
    "optional",
    "severity",
    "callingCode",
    "protected",
    "twoDigitYearsFrom",
    "consent",
}
_OBJECT_CUSTOM = {
    "kind",
    "eventTime",
    "validFrom",
    "knownAt",
    "versionColumn",
    "partitionKey",
    "occurrence",
    "text",
    "suppression",
}
# Silver's partition column, and a column that the engine adds to every Parquet file that it numbers; in any case of
# letters, because neither the engine nor Silver tells `Bucket` from `bucket`
_RESERVED = {"bucket", "file_row_number"}


@lru_cache(maxsize=64)  # the parsed contract is kept, because parsing takes 20 ms, as long as a small file takes in all
def parse_contract(text: str, *, where: str) -> Contract:
    """Parse a contract. Raises ContractError, which names `where` (the file) and the field."""
    try:
        raw = OpenDataContractStandard.model_validate(load_yaml(text), extra="forbid")
    except yaml.YAMLError as error:
        raise ContractError(f"{where}: not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors())
        raise ContractError(f"{where}: {problems}; expected fields of ODCS v3") from error
    if raw.kind != "DataContract" or not (raw.apiVersion or "").startswith("v3."):
        raise ContractError(f"{where}: kind {raw.kind!r}, apiVersion {raw.apiVersion!r}; expected DataContract, v3.x")
    if not re.fullmatch(r"\d+\.\d+\.\d+", raw.version or ""):
        raise ContractError(f"{where}: version is {raw.version!r}, expected major.minor.patch as in 1.0.0")
    if not raw.schema_ or len(raw.schema_) != 1:
        raise ContractError(f"{where}: schema: {len(raw.schema_ or [])} objects, expected one dataset per contract")
    return _contract(raw, raw.schema_[0], where)


def _path(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "top"


def _contract(raw: OpenDataContractStandard, table: SchemaObject, where: str) -> Contract:
    custom = _custom(table.customProperties, _OBJECT_CUSTOM, f"{where}: schema[0].customProperties")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", table.name or ""):
        raise ContractError(f"{where}: schema[0].name is {table.name!r}, expected the dataset's name, like sales_2")
    kind = custom.get("kind", "event")
    if kind not in ("event", "state"):
        raise ContractError(f"{where}: custom property kind is {kind!r}, expected event or state")
    moment = "eventTime" if kind == "event" else "validFrom"
    if not custom.get(moment):
        raise ContractError(f"{where}: custom property {moment} is missing; a {kind} dataset needs it")
    properties = table.properties or []
    rules, expected = object_quality(table.quality or [], f"{where}: schema[0].quality")
    for column in properties:
        expected += [
            null_expectation(rule, str(column.name), f"{where}: {column.name}: quality")
            for rule in column.quality or []
            if rule.metric == "nullValues"
        ]
    expected += freshness(raw.slaProperties or [], str(table.name), f"{where}: slaProperties")
    keyed = [(column.primaryKeyPosition or 0, number, column) for number, column in enumerate(properties)]
    contract = Contract(
        dataset=str(table.name),
        version=str(raw.version),
        kind=kind,
        columns=tuple(_column(column, f"{where}: {column.name}") for column in properties),
        primary_key=tuple(str(column.name) for _, _, column in sorted(keyed, key=lambda k: k[:2]) if column.primaryKey),
        event_time=custom.get("eventTime"),
        valid_from=custom.get("validFrom"),
        known_at=_known_at(custom.get("knownAt", {"arrival": True}), where),
        version_column=custom.get("versionColumn"),
        partition_key=custom.get("partitionKey"),
        occurrence=_occurrence(custom.get("occurrence"), where),
        text=_text_form(custom.get("text", {}), where),
        suppression=read_suppression(custom.get("suppression"), where),
        row_rules=tuple(rules),
        expectations=tuple(expected),
        references=tuple(
            found
            for column in properties
            for found in references(
                column.relationships or [], str(column.name), f"{where}: {column.name}: relationships"
            )
        ),
    )
    check_permissions(contract, where)
    _check_names(contract, where)
    _check_references(contract, moment, where)
    return contract


def _check_names(contract: Contract, where: str) -> None:
    """Raises ContractError where there is no key, or where a name or a header stands for two columns."""
    if not contract.primary_key:
        raise ContractError(f"{where}: no property has primaryKey: true; without a key no row can be corrected")
    owners: dict[str, str] = {}
    for column in contract.columns:
        for header in {name.strip().casefold() for name in column.headers}:
            if header in owners:
                raise ContractError(f"{where}: {column.name}: {header!r} already stands for {owners[header]}")
            owners[header] = column.name


def _check_references(contract: Contract, moment: str, where: str) -> None:
    """Raises ContractError where a custom property names no column of the contract, or a column of a wrong type.

    A time must be a required date or timestamp, and an occurrence must be an integer.
    """
    names = {column.name for column in contract.columns}
    times = {moment: contract.event_time if contract.kind == "event" else contract.valid_from}
    times["knownAt"] = contract.known_at.column
    named = {**times, "versionColumn": contract.version_column, "partitionKey": contract.partition_key}
    for field, name in named.items():
        if name is not None and name not in names:
            raise ContractError(f"{where}: custom property {field} names {name!r}, which is not a property")
    for field, name in times.items():
        if name is None:
            continue
        column = contract.column(name)
        if column.logical_type not in ("date", "timestamp") or not column.required:
            raise ContractError(f"{where}: {name}: {field} needs a required date or timestamp")
    _check_severities(contract, where)
    for expected in contract.expectations:
        if expected.measure == "age_days":
            found = [column for column in contract.columns if column.name == expected.column]
            if not found or found[0].logical_type not in ("date", "timestamp"):
                raise ContractError(f"{where}: slaProperties: {expected.column!r} is no date or timestamp here")
    if contract.occurrence:
        for name in (contract.occurrence.column, *contract.occurrence.within):
            if name not in names:
                raise ContractError(f"{where}: custom property occurrence names {name!r}, which is not a property")
        if contract.column(contract.occurrence.column).logical_type != "integer":
            raise ContractError(f"{where}: {contract.occurrence.column}: an occurrence needs logicalType integer")


def _check_severities(contract: Contract, where: str) -> None:
    """Raises ContractError where a column that Silver needs could be empty because its rule would only warn."""
    needed = {contract.event_time, contract.valid_from, contract.known_at.column, *contract.primary_key}
    for column in contract.columns:
        for rule in ("required", "type"):
            if column.name in needed and column.severity(rule) == "warn":
                raise ContractError(f"{where}: {column.name}: {rule} cannot warn only: Silver needs the value")


def _column(raw: SchemaProperty, where: str) -> Column:
    kind = raw.logicalType or ""
    if kind not in DUCKDB_TYPES:
        raise ContractError(f"{where}: logicalType is {kind!r}, expected one of {', '.join(DUCKDB_TYPES)}")
    name = raw.name or ""
    # Silver's own column of the tenant is spelled tenant_id
    other_tenant = name.casefold() == TENANT and name != TENANT
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name.casefold() in _RESERVED or other_tenant:
        raise ContractError(
            f"{where}: expected a name of letters, digits and _, beginning with a letter, and in no case of letters "
            f"{' or '.join(sorted(_RESERVED))}, which the lake adds itself; the tenant's column is {TENANT}"
        )
    options = raw.logicalTypeOptions or {}
    unknown = sorted(set(options) - _OPTIONS[kind])
    if unknown:
        raise ContractError(f"{where}: logicalTypeOptions {', '.join(unknown)} do not apply to {kind}")
    custom = _custom(raw.customProperties, _COLUMN_CUSTOM, f"{where}: customProperties")
    named = options.get("format") if kind == "string" else None
    if named not in (None, "vin", "email"):
        raise ContractError(f"{where}: format of a string is {named!r}, expected vin or email")
    formats = [str(options["format"])] if "format" in options and kind != "string" else []
    formats += _texts(custom, "formats", where)
    if formats and kind not in ("date", "timestamp"):
        raise ContractError(f"{where}: formats: only a date or a timestamp has them")
    normalise = _texts(custom, "normalise", where)
    if set(normalise) - set(get_args(Normalisation)) or (normalise and kind != "string"):
        listed = ", ".join(get_args(Normalisation))
        raise ContractError(f"{where}: normalise is {normalise} on {kind}, expected some of {listed} on string")
    if ("phone" in normalise) != ("callingCode" in custom):
        raise ContractError(f"{where}: normalise phone and callingCode (like '44') go together")
    protected = custom.get("protected", False)
    if not isinstance(protected, bool) or (protected and kind not in ("string", "boolean")):
        raise ContractError(
            f"{where}: protected is {protected!r} on {kind}, expected true or false on string or boolean; for bands of "
            "numbers or dates give the model a slice"
        )
    return Column(
        name=str(raw.name),
        protected=protected,
        logical_type=kind,
        required=bool(raw.required or raw.primaryKey) and not custom.get("optional", False),
        unique=bool(raw.unique),
        optional=bool(custom.get("optional", False)),
        classification=raw.classification,
        source_names=_texts(custom, "sourceNames", where),
        null_values=_texts(custom, "nullValues", where),
        normalise=tuple(step for step in get_args(Normalisation) if step in normalise),
        formats=tuple(strptime_format(form, where=f"{where}: formats") for form in formats),
        minimum=_bound(options, "minimum", kind, where),
        maximum=_bound(options, "maximum", kind, where),
        exclusive_minimum=_bound(options, "exclusiveMinimum", kind, where),
        exclusive_maximum=_bound(options, "exclusiveMaximum", kind, where),
        min_length=_length(options, "minLength", where),
        max_length=_length(options, "maxLength", where),
        pattern=_pattern(options.get("pattern"), where),
        allowed=_allowed(raw, where),
        vin=named == "vin",
        email=named == "email",
        calling_code=str(custom["callingCode"]) if "callingCode" in custom else None,
        years_from=_years_from(custom.get("twoDigitYearsFrom"), formats, where),
        logic=raw.transformLogic,
        severities=tuple(sorted(severities(custom.get("severity", {}), RULES, where).items())),
        consent=read_consent(custom.get("consent"), where),
    )


def _years_from(year: Any, formats: Sequence[str], where: str) -> int | None:
    """The first of the hundred years that a year of two digits stands for; None where the contract does not say."""
    if year is None:
        return None
    if isinstance(year, bool) or not isinstance(year, int) or not 1000 <= year <= 9900:
        raise ContractError(f"{where}: twoDigitYearsFrom is {year!r}, expected a year of four digits like 1930")
    if not any("%y" in strptime_format(form, where=where) for form in formats):
        raise ContractError(f"{where}: twoDigitYearsFrom: no format of the column has a year of two digits (yy)")
    return year


def _bound(options: dict[str, Any], field: str, kind: str, where: str) -> float | str | None:
    value = options.get(field)
    if value is None:
        return None
    if kind in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ContractError(f"{where}: {field} is {value!r}, expected a number")
        return value
    # YAML reads an unquoted date as a date, whose text is the same
    if not re.match(r"[1-9]\d{3}-\d{2}-\d{2}([ T]|$)", str(value)):
        raise ContractError(f"{where}: {field} is {value!r}, expected an ISO date like '2000-01-01'")
    return str(value)


def _length(options: dict[str, Any], field: str, where: str) -> int | None:
    value = options.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ContractError(f"{where}: {field} is {value!r}, expected a whole number from 0")
    return value


def _pattern(value: Any, where: str) -> str | None:
    if value is None:
        return None
    try:
        # the engine's syntax (RE2) is a part of Python's; the contract's tests find what RE2 lacks
        re.compile(value)
    except (re.error, TypeError) as error:
        raise ContractError(f"{where}: pattern: {error}") from error
    return str(value)


def _allowed(raw: SchemaProperty, where: str) -> tuple[str, ...]:
    """The allowed values of a column, from `enum` or from a library rule `invalidValues` that must be 0."""
    values = [str(allowed.value) for allowed in raw.enum or []]
    rules = [rule for rule in raw.quality or [] if rule.metric != "nullValues"]
    for rule in rules:
        if rule.type != "library" or rule.metric != "invalidValues" or rule.mustBe != 0:
            raise ContractError(
                f"{where}: quality: only library metrics invalidValues (mustBe 0) and nullValues are read here; "
                f"got {rule.type!r}, {rule.metric!r}"
            )
        values += [str(value) for value in (rule.arguments or {}).get("validValues", [])]
    if rules and not values:
        raise ContractError(f"{where}: quality: arguments.validValues is empty, expected the allowed values")
    return tuple(values)


def _known_at(raw: Any, where: str) -> KnownAt:
    if isinstance(raw, dict) and len(raw) == 1:
        if isinstance(raw.get("column"), str):
            return KnownAt(column=raw["column"])
        if isinstance(raw.get("lagDays"), int):
            return KnownAt(lag_days=raw["lagDays"])
        if raw.get("arrival") is True:
            return KnownAt()
    raise ContractError(
        f"{where}: custom property knownAt is {raw!r}, expected {{column: …}}, {{lagDays: n}} or {{arrival: true}}"
    )


def _occurrence(raw: Any, where: str) -> Occurrence | None:
    if raw is None:
        return None
    if isinstance(raw, dict) and set(raw) == {"column", "within"} and isinstance(raw["within"], list) and raw["within"]:
        return Occurrence(str(raw["column"]), tuple(str(name) for name in raw["within"]))
    raise ContractError(f"{where}: custom property occurrence is {raw!r}, expected {{column: c, within: [c, …]}}")


def _text_form(raw: Any, where: str) -> TextForm:
    return read_text_form(raw, TextForm(), f"{where}: custom property text")


def _texts(custom: dict[str, Any], field: str, where: str) -> tuple[str, ...]:
    raw = custom.get(field, [])
    if not isinstance(raw, list) or not all(isinstance(value, str | int | float) for value in raw):
        raise ContractError(f"{where}: {field} is {raw!r}, expected a list of texts")
    return tuple(str(value) for value in raw)


def _custom(raw: Sequence[CustomProperty] | None, known: set[str], where: str) -> dict[str, Any]:
    custom = {given.property or "": given.value for given in raw or []}
    unknown = sorted(set(custom) - known)
    if unknown:
        raise ContractError(f"{where}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    return custom
