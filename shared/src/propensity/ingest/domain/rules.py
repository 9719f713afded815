"""The rules of a contract as SQL over columns of text. Each rule is one condition, true where a row breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.contract import Column, Contract
from propensity.pack.domain.formats import digit_shape
from propensity.pack.domain.quality import Severity

# A cast alone reads 1.5 as 2 and 1_000 as 1000, and accepts 0x10, inf and epoch (DuckDB 2.0).
# So the form of the text is checked first.
_INTEGER = r"[+-]?[0-9]{1,19}(\.0*)?"
_DAY = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_ZONE = r"(Z| ?UTC|[+-][0-9]{2}(:?[0-9]{2})?)?"
# many exports write a date as its midnight
_DATE = rf"{_DAY}([ T]00:00(:00(\.0{{1,9}})?)?(Z|\+00(:?00)?)?)?"
_TIMESTAMP = rf"{_DAY}([ T]{_CLOCK}{_ZONE})?"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")

# HTML's valid e-mail address, which here must also have a dot in its domain (html.spec.whatwg.org, input type=email)
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = rf"[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. A row breaks the rule where the SQL `broken` is true; a row for which it is NULL does not.

    `broken` may use the typed columns `"<name>"` and the cleaned texts `"<name>$"`.
    """

    column: str | None
    name: str
    expected: str
    broken: str
    severity: Severity = "reject_row"

    @property
    def message(self) -> str:
        return f"{self.column}: expected {self.expected}" if self.column else f"expected {self.expected}"


def cast(column: Column, arrived: str) -> str | None:
    """SQL of a first cast of the cleaned text, which `typed` finds as column `"<name>^"`.

    `arrived` is the RFC 3339 time of the file's arrival, by which years of two digits are read. None where no cast is
    needed.
    """
    value = quote(column.name + "$")
    match column.logical_type:
        case "integer":
            return f"try_cast({value} as bigint)"
        case "number":
            return f"try_cast({value} as double)"
        case "date" | "timestamp":
            if column.formats:
                return _by_formats(column, value, int(arrived[:4]))
            # the cast without a zone comes first: it is cheap, and most files name no zone
            return f"try_cast({value} as {'date' if column.logical_type == 'date' else 'timestamp'})"
    return None


_YEARS_BACK = 80  # a year of two digits lies up to 80 years before the arrival, as Java's SimpleDateFormat has it


def _by_formats(column: Column, value: str, arrived: int) -> str:
    """SQL of the first format of the column that reads the value. `arrived` is the year of the file's arrival."""
    if not any("%y" in form or "%z" in form or digit_shape(form) for form in column.formats):
        return f"try_strptime({value}, [{', '.join(map(text, column.formats))}])"
    first = column.years_from if column.years_from is not None else arrived - _YEARS_BACK
    tried = []
    for form in column.formats:
        # Java's X takes Z for the offset zero, the engine's %z does not
        zoned = f"case when {value} like '%Z' then left({value}, -1) || '+00' else {value} end"
        read = f"try_strptime({zoned if form.endswith('%z') else value}, {text(form)})"
        if "%y" in form:
            moved = (
                f"{read} + to_years(({first} + ((year({read}) - {first}) % 100 + 100) % 100 - year({read}))::integer)"
            )
            # 29 February of a year that has none would become the 28th
            read = f"case when day({moved}) = day({read}) then {moved} end"
        shape = digit_shape(form)
        tried.append(f"case when regexp_full_match({value}, {text(shape)}) then {read} end" if shape else read)
    return f"coalesce({', '.join(tried)})"


def typed(column: Column) -> str:
    """SQL of the cleaned text in the column's type, NULL where the text does not fit the type.

    Text of the usual form is taken at once. Only other text is matched with a regular expression, which costs five
    times as much as the cast.
    """
    value, first = quote(column.name + "$"), quote(column.name + "^")
    match column.logical_type:
        case "string":
            return value
        case "integer":
            # only the text before the dot is cast: 9007199254740993.0 would go through a double and change
            whole = f"try_cast(split_part({value}, '.', 1) as bigint)"
            return _fits(value, f"{first}::varchar = {value}", first, _INTEGER, whole)
        case "number":
            # the cast accepts inf, nan and 1_000 too, which are no decimal numbers
            return f"case when isfinite({first}) and not contains({value}, '_') then {first} end"
        case "boolean":
            yes, no = (", ".join(text(word) for word in side) for side in (_TRUE, _FALSE))
            return f"case when lower({value}) in ({yes}) then true when lower({value}) in ({no}) then false end"
    if column.formats:
        # %Y reads 20 as the year 20
        return f"case when year({first}) >= 1000 then {first}::{column.duckdb_type} end"
    if column.logical_type == "date":
        plain = f"{first} is not null and {value} like '____-__-__' and {value} between '1' and '9999-99'"
        return _fits(value, plain, first, _DATE, f"try_cast(left({value}, 10) as date)")
    plain = f"{first} is not null and {value} like '____-__-__ __:__:__' and {value} between '1' and '9999-99'"
    # a plain cast from TIMESTAMP would look up the zone in ICU for every row
    instant = f"make_timestamptz(epoch_us({first}))"
    return _fits(value, plain, instant, _TIMESTAMP, f"try_cast({value} as timestamptz)")


def _fits(value: str, plain: str, taken: str, pattern: str, otherwise: str) -> str:
    return f"case when {plain} then {taken} when regexp_full_match({value}, {text(pattern)}) then {otherwise} end"


_EXPECTED_TYPE = {
    "integer": "a whole number",
    "number": "a number with a decimal point and no thousands separator",
    "boolean": "true or false",
    "date": "a date as YYYY-MM-DD",
    "timestamp": "an instant as YYYY-MM-DD HH:MM:SS (UTC unless it names a zone)",
}


def rules_of(contract: Contract) -> list[Rule]:
    """All rules that need one row only: the rules of each column in order, then the rules over several columns."""
    own = [rule for column in contract.checked_columns for rule in _rules(column)]
    return [*own, *(Rule(None, rule.name, rule.expected, rule.broken, rule.severity) for rule in contract.row_rules)]


def unique_rules(contract: Contract) -> list[Rule]:
    """The rules that need the whole file. There is one per column in which no two rows may have the same value."""
    return [
        Rule(column.name, "unique", "a value that no other row of the file has", "", column.severity("unique"))
        for column in contract.checked_columns
        if column.unique
    ]


def _rules(column: Column) -> Iterator[Rule]:
    value, cleaned_text = quote(column.name), quote(column.name + "$")

    def rule(name: str, expected: str, broken: str) -> Rule:
        return Rule(column.name, name, expected, broken, column.severity(name))

    if column.required:
        yield rule("required", "a value", f"{cleaned_text} is null")
    if column.logical_type != "string" and column.logic is None:
        expected = _EXPECTED_TYPE[column.logical_type]
        if column.decimal == ",":
            expected = f"{expected.split(' with ')[0]} with a decimal comma"
        if column.formats:
            expected = f"a {column.logical_type} as {' or '.join(column.formats)}"
        yield rule("type", expected, f"{value} is null and {cleaned_text} is not null")
    for name, bound, sign, words in (
        ("minimum", column.minimum, "<", "at least"),
        ("maximum", column.maximum, ">", "at most"),
        ("exclusive_minimum", column.exclusive_minimum, "<=", "more than"),
        ("exclusive_maximum", column.exclusive_maximum, ">=", "less than"),
    ):
        if bound is not None:
            yield rule(name, f"{words} {bound}", f"{value} {sign} {_literal(column, bound)}")
    if column.min_length is not None:
        yield rule("min_length", f"at least {column.min_length} characters", f"length({value}) < {column.min_length}")
    if column.max_length is not None:
        yield rule("max_length", f"at most {column.max_length} characters", f"length({value}) > {column.max_length}")
    if column.pattern is not None:
        broken = f"not regexp_full_match({value}, {text(column.pattern)})"
        yield rule("pattern", f"text like {column.pattern}", broken)
    if column.vin:
        yield rule("vin", "a vehicle identification number whose check digit is right", _wrong_check_digit(value))
    if column.email:
        broken = f"not (regexp_full_match({value}, {text(_EMAIL)}) and length({value}) <= 254)"
        yield rule("email", "an e-mail address", broken)
    if column.allowed:
        listed = ", ".join(map(text, column.allowed))
        yield rule("allowed_values", f"one of {', '.join(column.allowed)}", f"{cleaned_text} not in ({listed})")


def _wrong_check_digit(value: str) -> str:
    """SQL that is true where a value is no vehicle identification number (ISO 3779) with the check digit of 49 CFR 565.

    The check digit stands in the ninth place. Letters become digits, digits are weighted, and the sum is taken modulo
    11. Makers outside North America need not set the check digit, so let the rule only warn where the data has such
    cars.
    """
    # a letter's value is the letter's place in this text modulo ten
    digit = f"((strpos('0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ', substr({value}, place, 1)) - 1) % 10)"
    weight = "(strpos('0123456789X', substr('8765432X098765432', place, 1)) - 1)"
    total = f"list_sum(list_transform(range(1, 18), lambda place: {digit} * {weight}))"
    right = f"substr('0123456789X', ({total} % 11)::integer + 1, 1) = substr({value}, 9, 1)"
    return f"not (regexp_full_match({value}, '[A-HJ-NPR-Z0-9]{{17}}') and {right})"


def _literal(column: Column, bound: float | str) -> str:
    # a bound of 0.5 on an integer stays 0.5, because the engine compares the two as doubles
    kind = "double" if isinstance(bound, float) else column.duckdb_type
    return f"{text(str(bound))}::{kind}"
