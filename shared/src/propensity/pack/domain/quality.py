"""Quality beyond the form of a single value, as a contract demands it.

This quality has four parts: severities, rules over several columns, expectations of a whole file, and references to
other datasets. They are read from `quality`, `relationships` and `slaProperties` of ODCS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from open_data_contract_standard.model import DataQuality, Relationship, ServiceLevelAgreementProperty

from propensity.kernel.errors import ContractError

Severity = Literal["reject_row", "reject_file", "warn"]
_UNIT_DAYS = {"d": 1, "day": 1, "days": 1}


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule over several columns. `broken` is SQL over the typed columns that is true where a row is wrong.

    A row for which the SQL is NULL is not wrong.
    """

    name: str
    expected: str
    broken: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Expectation:
    """A measure of a whole file, and the inclusive bounds that the measure must keep.

    The measure `rows` is the number of rows. `null_percent` is the share of nulls in a column, in [0, 100]. `age_days`
    is the number of days from the newest value of a column to the file's arrival.
    """

    measure: Literal["rows", "null_percent", "age_days"]
    column: str | None
    minimum: float | None
    maximum: float | None
    severity: Severity

    @property
    def message(self) -> str:
        what = {"rows": "rows", "null_percent": f"{self.column}: percent without a value", "age_days": self._age()}
        low = f"at least {self.minimum:g}" if self.minimum is not None else ""
        high = f"at most {self.maximum:g}" if self.maximum is not None else ""
        return f"{what[self.measure]}: expected {' and '.join(part for part in (low, high) if part)}"

    def _age(self) -> str:
        return f"{self.column}: days from the newest to the file's arrival"

    def holds(self, value: float) -> bool:
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference: a value of `column` should stand in `to_column` of a row of `to_dataset`, of the same tenant."""

    column: str
    to_dataset: str
    to_column: str


def _file_severity(raw: str | None, where: str) -> Severity:
    severity = severity_of(raw, "warn", where)
    if severity == "reject_row":
        raise ContractError(f"{where}: severity reject_row; a file is not a row, expected reject_file or warn")
    return severity


def severity_of(raw: str | None, default: Severity, where: str) -> Severity:
    if raw is None:
        return default
    known: dict[str, Severity] = {severity: severity for severity in get_args(Severity)}
    if raw in known:
        return known[raw]
    raise ContractError(f"{where}: severity is {raw!r}, expected one of {', '.join(get_args(Severity))}")


def severities(raw: Any, rules: Sequence[str], where: str) -> Mapping[str, Severity]:
    """The severity of each rule that a column's custom property `severity` names."""
    if not isinstance(raw, dict):
        raise ContractError(f"{where}: severity is {raw!r}, expected a mapping like {{pattern: warn}}")
    unknown = sorted(set(raw) - set(rules))
    if unknown:
        raise ContractError(f"{where}: severity of {', '.join(unknown)}; expected some of {', '.join(rules)}")
    return {rule: severity_of(str(value), "reject_row", where) for rule, value in raw.items()}


def object_quality(raw: Sequence[DataQuality], where: str) -> tuple[list[RowRule], list[Expectation]]:
    """The rules and the expectations of a dataset.

    `type: custom, engine: duckdb` is a rule over a row's columns; library metric `rowCount` is an expectation.
    """
    rules: list[RowRule] = []
    expectations: list[Expectation] = []
    for number, quality in enumerate(raw):
        here = f"{where}[{number}]"
        if quality.type == "custom" and (quality.engine or "").lower() == "duckdb":
            if not quality.name or not isinstance(quality.implementation, str):
                raise ContractError(f"{here}: expected a name, and in implementation SQL that is true for a bad row")
            severity = severity_of(quality.severity, "reject_row", here)
            rules.append(RowRule(quality.name, quality.description or quality.name, quality.implementation, severity))
        elif quality.type in (None, "library") and quality.metric == "rowCount":
            low, high = bounds(quality, here)
            expectations.append(Expectation("rows", None, low, high, _file_severity(quality.severity, here)))
        else:
            raise ContractError(
                f"{here}: type {quality.type!r}, metric {quality.metric!r}; expected type custom with engine duckdb, "
                "or library metric rowCount"
            )
    names = [rule.name for rule in rules]
    if len(set(names)) < len(names):
        raise ContractError(f"{where}: two rules have one name, expected a name each")
    return rules, expectations


def null_expectation(quality: DataQuality, column: str, where: str) -> Expectation:
    """The expectation of library metric `nullValues`, in percent of a column."""
    if quality.unit != "percent":
        raise ContractError(f"{where}: metric nullValues: unit is {quality.unit!r}, expected percent")
    low, high = bounds(quality, where)
    return Expectation("null_percent", column, low, high, _file_severity(quality.severity, where))


def bounds(quality: DataQuality, where: str) -> tuple[float | None, float | None]:
    """The inclusive bounds that a metric must keep. A side without a bound is None."""
    if quality.mustBeBetween is not None and len(quality.mustBeBetween) == 2:
        return float(quality.mustBeBetween[0]), float(quality.mustBeBetween[1])
    if quality.mustBe is not None:
        return float(quality.mustBe), float(quality.mustBe)
    low, high = quality.mustBeGreaterOrEqualTo, quality.mustBeLessOrEqualTo
    if low is None and high is None:
        raise ContractError(
            f"{where}: expected mustBe, mustBeBetween, mustBeGreaterOrEqualTo or mustBeLessOrEqualTo with a number"
        )
    return None if low is None else float(low), None if high is None else float(high)


def freshness(raw: Sequence[ServiceLevelAgreementProperty], dataset: str, where: str) -> list[Expectation]:
    """The expectations of `slaProperties`.

    An expectation has property freshness, a value, unit d and element `<dataset>.<column>`.
    """
    found = []
    for number, sla in enumerate(raw):
        here = f"{where}[{number}]"
        table, _, column = (sla.element or "").partition(".")
        if sla.property != "freshness" or table != dataset or not column:
            raise ContractError(f"{here}: expected property freshness with element {dataset}.<column>")
        if sla.unit not in _UNIT_DAYS or isinstance(sla.value, bool) or not isinstance(sla.value, int | float):
            raise ContractError(f"{here}: value {sla.value!r}, unit {sla.unit!r}; expected a number of days, unit d")
        found.append(Expectation("age_days", column, None, float(sla.value) * _UNIT_DAYS[sla.unit], "warn"))
    return found


def references(raw: Sequence[Relationship], column: str, where: str) -> list[Reference]:
    """The references of a property's `relationships`, which have type foreignKey and lead to `<dataset>.<column>`."""
    found = []
    for number, relation in enumerate(raw):
        dataset, _, target = (relation.to if isinstance(relation.to, str) else "").partition(".")
        if relation.type not in (None, "foreignKey") or not dataset or not target:
            raise ContractError(f"{where}[{number}]: expected type foreignKey, to `<dataset>.<column>`")
        found.append(Reference(column, dataset, target))
    return found
