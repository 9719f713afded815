"""What a contract says of quality beyond a value's own form: severities, rules over several columns, expectations of
a whole file, references to other datasets. Read from ODCS's `quality`, `relationships` and `slaProperties`.
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
    """`broken`: SQL over the typed columns that is true where a row is wrong; NULL is not."""

    name: str
    expected: str
    broken: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Expectation:
    """Of a whole file: `rows` counts them, `null_percent` of a column is in [0, 100], `age_days` is how long before
    the file's arrival the newest value of a column may lie. Bounds are inclusive."""

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
    """A value of `column` should be a `to_column` of a row of `to_dataset`, of the same tenant."""

    column: str
    to_dataset: str
    to_column: str


def _of_a_file(raw: str | None, where: str) -> Severity:
    severity = severity_of(raw, "warn", where)
    if severity == "reject_row":
        raise ContractError(f"{where}: severity reject_row; a file is not a row, expected reject_file or warn")
    return severity


def severity_of(raw: str | None, default: Severity, where: str) -> Severity:
    if raw is None:
        return default
    known: dict[str, Severity] = {one: one for one in get_args(Severity)}
    if raw in known:
        return known[raw]
    raise ContractError(f"{where}: severity is {raw!r}, expected one of {', '.join(get_args(Severity))}")


def severities(raw: Any, rules: Sequence[str], where: str) -> Mapping[str, Severity]:
    """A column's custom property `severity`: rule to severity."""
    if not isinstance(raw, dict):
        raise ContractError(f"{where}: severity is {raw!r}, expected a mapping like {{pattern: warn}}")
    unknown = sorted(set(raw) - set(rules))
    if unknown:
        raise ContractError(f"{where}: severity of {', '.join(unknown)}; expected some of {', '.join(rules)}")
    return {rule: severity_of(str(value), "reject_row", where) for rule, value in raw.items()}


def object_quality(raw: Sequence[DataQuality], where: str) -> tuple[list[RowRule], list[Expectation]]:
    """`type: custom, engine: duckdb` is a rule over a row's columns; library metric `rowCount` an expectation."""
    rules: list[RowRule] = []
    expectations: list[Expectation] = []
    for number, one in enumerate(raw):
        here = f"{where}[{number}]"
        if one.type == "custom" and (one.engine or "").lower() == "duckdb":
            if not one.name or not isinstance(one.implementation, str):
                raise ContractError(f"{here}: expected a name, and in implementation SQL that is true for a bad row")
            severity = severity_of(one.severity, "reject_row", here)
            rules.append(RowRule(one.name, one.description or one.name, one.implementation, severity))
        elif one.type in (None, "library") and one.metric == "rowCount":
            low, high = bounds(one, here)
            expectations.append(Expectation("rows", None, low, high, _of_a_file(one.severity, here)))
        else:
            raise ContractError(
                f"{here}: type {one.type!r}, metric {one.metric!r}; expected type custom with engine duckdb, "
                "or library metric rowCount"
            )
    names = [rule.name for rule in rules]
    if len(set(names)) < len(names):
        raise ContractError(f"{where}: two rules have one name, expected a name each")
    return rules, expectations


def null_expectation(one: DataQuality, column: str, where: str) -> Expectation:
    """Library metric `nullValues` in percent, of a column."""
    if one.unit != "percent":
        raise ContractError(f"{where}: metric nullValues: unit is {one.unit!r}, expected percent")
    low, high = bounds(one, where)
    return Expectation("null_percent", column, low, high, _of_a_file(one.severity, where))


def bounds(one: DataQuality, where: str) -> tuple[float | None, float | None]:
    """The inclusive bounds that a metric must keep."""
    if one.mustBeBetween is not None and len(one.mustBeBetween) == 2:
        return float(one.mustBeBetween[0]), float(one.mustBeBetween[1])
    if one.mustBe is not None:
        return float(one.mustBe), float(one.mustBe)
    low, high = one.mustBeGreaterOrEqualTo, one.mustBeLessOrEqualTo
    if low is None and high is None:
        raise ContractError(
            f"{where}: expected mustBe, mustBeBetween, mustBeGreaterOrEqualTo or mustBeLessOrEqualTo with a number"
        )
    return None if low is None else float(low), None if high is None else float(high)


def freshness(raw: Sequence[ServiceLevelAgreementProperty], dataset: str, where: str) -> list[Expectation]:
    """`slaProperties`: property freshness, value, unit d, element `<dataset>.<column>`."""
    found = []
    for number, one in enumerate(raw):
        here = f"{where}[{number}]"
        table, _, column = (one.element or "").partition(".")
        if one.property != "freshness" or table != dataset or not column:
            raise ContractError(f"{here}: expected property freshness with element {dataset}.<column>")
        if one.unit not in _UNIT_DAYS or isinstance(one.value, bool) or not isinstance(one.value, int | float):
            raise ContractError(f"{here}: value {one.value!r}, unit {one.unit!r}; expected a number of days, unit d")
        found.append(Expectation("age_days", column, None, float(one.value) * _UNIT_DAYS[one.unit], "warn"))
    return found


def references(raw: Sequence[Relationship], column: str, where: str) -> list[Reference]:
    """A property's `relationships`: type foreignKey, to `<dataset>.<column>`."""
    found = []
    for number, one in enumerate(raw):
        dataset, _, target = (one.to if isinstance(one.to, str) else "").partition(".")
        if one.type not in (None, "foreignKey") or not dataset or not target:
            raise ContractError(f"{where}[{number}]: expected type foreignKey, to `<dataset>.<column>`")
        found.append(Reference(column, dataset, target))
    return found
