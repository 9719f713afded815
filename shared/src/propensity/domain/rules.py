"""A contract's rules as SQL over text columns: each rule is one condition that is true where a row breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from propensity.domain.contract import Column, Contract
from propensity.domain.views import quote, text

# digits only: TRY_CAST alone would round 1.5 to 2
_INTEGER = r"^[+-]?[0-9]{1,18}(\.0+)?$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


@dataclass(frozen=True, slots=True)
class Rule:
    """`broken` is SQL over the typed columns `"<name>"` and the cleaned texts `"<name>$"`."""

    column: str | None
    name: str
    expected: str
    broken: str

    @property
    def message(self) -> str:
        return f"{self.column}: expected {self.expected}" if self.column else f"expected {self.expected}"


def cleaned(column: Column, raw: str) -> str:
    """The text of a value: trimmed, normalised, NULL where it is empty or one of the contract's null values."""
    value = f"trim({raw})"
    for step in column.normalise:
        if step == "upper":
            value = f"upper({value})"
        elif step == "lower":
            value = f"lower({value})"
        elif step == "integer_text":
            value = rf"regexp_replace({value}, '^([0-9]+)\.0+$', '\1')"
    value = f"nullif({value}, '')"
    if column.null_values:
        listed = ", ".join(text(one) for one in column.null_values)
        value = f"case when {value} in ({listed}) then null else {value} end"
    return value


def typed(column: Column) -> str:
    """The cleaned text in the column's type, NULL where it does not fit."""
    value = quote(column.name + "$")
    match column.logical_type:
        case "string":
            return value
        case "integer":
            fits = f"regexp_matches({value}, {text(_INTEGER)})"
            return f"case when {fits} then try_cast(split_part({value}, '.', 1) as bigint) end"
        case "number":
            return f"case when regexp_matches({value}, {text(_NUMBER)}) then try_cast({value} as double) end"
        case "boolean":
            yes, no = (", ".join(text(one) for one in side) for side in (_TRUE, _FALSE))
            return f"case when lower({value}) in ({yes}) then true when lower({value}) in ({no}) then false end"
    kind = "date" if column.logical_type == "date" else "timestamptz"
    if not column.formats:
        return f"try_cast({value} as {kind})"
    formats = ", ".join(text(one) for one in column.formats)
    return f"try_strptime({value}, [{formats}])::{kind}"


_EXPECTED_TYPE = {
    "integer": "a whole number",
    "number": "a number with a decimal point and no thousands separator",
    "boolean": "true or false",
    "date": "a date as YYYY-MM-DD",
    "timestamp": "an instant as YYYY-MM-DD HH:MM:SS (UTC unless it names a zone)",
}


def rules_of(contract: Contract) -> list[Rule]:
    """All rules that look at one row, in the order of the columns."""
    return [rule for column in contract.file_columns for rule in _rules(column)]


def _rules(column: Column) -> Iterator[Rule]:
    value, cleaned_text = quote(column.name), quote(column.name + "$")

    def rule(name: str, expected: str, broken: str) -> Rule:
        return Rule(column.name, name, expected, f"coalesce({broken}, false)")

    if column.required:
        yield rule("required", "a value", f"{cleaned_text} is null")
    if column.logical_type != "string":
        expected = _EXPECTED_TYPE[column.logical_type]
        if column.formats:
            expected = f"a date as one of {', '.join(column.formats)}"
        yield rule("type", expected, f"{cleaned_text} is not null and {value} is null")
    for name, bound, sign, words in (
        ("minimum", column.minimum, "<", "at least"),
        ("maximum", column.maximum, ">", "at most"),
        ("exclusive_minimum", column.exclusive_minimum, "<=", "more than"),
        ("exclusive_maximum", column.exclusive_maximum, ">=", "less than"),
    ):
        if bound is not None:
            yield rule(name, f"{words} {bound}", f"{value} {sign} {text(str(bound))}::{column.duckdb_type}")
    if column.min_length is not None:
        yield rule("min_length", f"at least {column.min_length} characters", f"length({value}) < {column.min_length}")
    if column.max_length is not None:
        yield rule("max_length", f"at most {column.max_length} characters", f"length({value}) > {column.max_length}")
    if column.pattern is not None:
        broken = f"not regexp_full_match({value}, {text(column.pattern)})"
        yield rule("pattern", f"text like {column.pattern}", broken)
    if column.allowed:
        listed = ", ".join(text(one) for one in column.allowed)
        yield rule("allowed_values", f"one of {', '.join(column.allowed)}", f"{cleaned_text} not in ({listed})")
