"""The SQL that cleans a value's text before the rules check it; it also normalises telephone numbers.

A column's `normalise` in the contract names the steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from propensity.kernel.sql_text import text
from propensity.pack.domain.contract import Column, Contract

BLANKS = " \t\r\n\v\f\u00a0\ufeff"


def trimmed(raw: str, *, only_spaces: bool) -> str:
    """SQL of the text without blanks at its ends. `only_spaces` says that the file has no blank but the space.

    To trim one character takes a fifth of the time of trimming a set of characters. To look for a space first halves
    that time again, because a trim copies even a text without blanks.
    """
    if only_spaces:
        return f"(case when {raw} like ' %' or {raw} like '% ' then trim({raw}) else {raw} end)"
    return f"trim({raw}, {text(BLANKS)})"


def cleaned(column: Column, raw: str, *, only_spaces: bool = False) -> str:
    """SQL of a value's text, first trimmed and then normalised.

    The SQL gives NULL where the trimmed text is empty or is one of the contract's null values.
    """
    value = trimmed(raw, only_spaces=only_spaces)
    if column.null_values:
        nulls = ", ".join(text(null) for null in ("", *column.null_values))
        value = f"case when {value} not in ({nulls}) then {value} end"
    else:
        value = f"nullif({value}, '')"
    if column.decimal == ",":
        # the signs change places, so that a decimal point is no number here; a point may only group thousands
        swapped = f"translate({value}, '.,', ',.')"
        grouped = f"regexp_full_match({swapped}, '[+-]?[0-9]{{1,3}}(,[0-9]{{3}})+[.][0-9]+')"
        value = f"case when {grouped} then replace({swapped}, ',', '') else {swapped} end"
    for step in column.normalise:
        if step == "integer_text":
            integer = rf"regexp_replace({value}, '^([+-]?[0-9]+)\.0*$', '\1')"
            value = f"case when contains({raw}, '.') then {integer} else {value} end"
        elif step == "phone":
            value = _international(value, str(column.calling_code))
        else:
            value = f"{step}({value})"
    return value


# Blanks and dashes of any kind that people write between digits, no-break ones among them. In the syntax of RE2
_BETWEEN = r"[\s./\-\x{00a0}\x{2000}-\x{2015}\x{202f}\x{2060}\x{2212}\x{feff}]"
_ABROAD = {"1": "(?:011|00)", "7": "(?:8?10|00)", "61": "0011", "81": "(?:010|00)"}  # dialled before a country's code
# countries whose national numbers begin with 0, which E.164 leaves out (ITU-T, national prefixes)
_TRUNK_ZERO = (
    "20|27|31|32|33|40|41|43|44|46|49|51|54|58|60|61|62|63|64|66|81|82|84|86|90|91|92|93|94|95|98|212|213|218|234|"
    "254|255|256|353|355|358|359|373|374|380|381|382|385|386|387|389|421|423|855|856|880|886|961|962|963|964|966|971|"
    "972|977|992|994|995|996|998"
)
_KEEP_ZERO = ("39", "225", "241", "242", "378")  # here a 0 in front is a digit of the number
_NO_TRUNK = (
    "30",
    "34",
    "45",
    "47",
    "48",
    "52",
    "65",
    "351",
    "352",
    "354",
    "356",
    "357",
    "371",
    "372",
    "376",
    "377",
    "420",
)
_NORTH_AMERICA = "1[2-9][0-9]{2}[2-9][0-9]{6}"


def _international(value: str, code: str) -> str:
    """SQL that normalises a telephone number to E.164 (+, calling code, 8 to 15 digits) where its digits decide it.

    Text stays as it is, so that a rule can find it, where it is no telephone number, or where it may be two numbers: a
    number that begins with its own country's code but is too short to have one, for example.
    `code` is the calling code of numbers that name no country.
    """
    abroad = _ABROAD.get(code, "00")
    # a lambda names a step, so that no step is computed twice
    bare = f"regexp_replace({value}, {text(_BETWEEN)}, '', 'g')"
    digits = "regexp_replace(b, '[^0-9]', '', 'g')"
    shape = text(r"\(?\+?[0-9()]{5,30}")
    named = rf"regexp_matches(b, '^\(?\+') or regexp_matches({digits}, '^{abroad}[1-9]')"
    # +49 (0)151 and +49 0151 have a digit too many; an Italian 0 belongs to the number
    with_code = f"regexp_replace({digits}, '^{abroad}', '')"
    with_code = rf"case when regexp_matches(b, '^\(?\+') then {digits} else {with_code} end"
    with_code = f"regexp_replace({with_code}, '^({_TRUNK_ZERO})0+', '\\1')"
    whole = f"case when {named} then {with_code} else {_national(digits, code)} end"
    right = f"regexp_full_match(w, '[2-9][0-9]{{7,14}}|{_NORTH_AMERICA}')"
    found = (
        f"list_transform(list_transform([{bare}], lambda b: case when regexp_full_match(b, {shape}) then {whole} end), "
        f"lambda w: case when {right} then '+' || w end)[1]"
    )
    return f"case when {value} is not null then coalesce({found}, {value}) end"


def _national(digits: str, code: str) -> str:
    """SQL of a number's digits with the calling code, for a number that names no country. NULL where it is not sure."""
    has_code = f"starts_with({digits}, {text(code)})"
    added = f"{text(code)} || {digits}"
    if code == "1":
        return f"case when length({digits}) = 10 then '1' || {digits} else {digits} end"
    if code == "7":
        return (
            f"case when length({digits}) = 10 then '7' || {digits} "
            f"when length({digits}) = 11 and regexp_matches({digits}, '^[78]') then '7' || substr({digits}, 2) end"
        )
    if code == "36":
        return (
            f"case when starts_with({digits}, '06') then '36' || substr({digits}, 3) "
            f"when {has_code} and length({digits}) >= 10 then {digits} when not {has_code} then {added} end"
        )
    if code in _KEEP_ZERO:
        return f"case when {has_code} and length({digits}) >= 11 then {digits} else {added} end"
    if code in _NO_TRUNK:
        # a number of eight digits or more after the code has the code already
        most = len(code) + 8
        return (
            f"case when starts_with({digits}, '0') then null "
            f"when {has_code} and length({digits}) >= {most} then {digits} else {added} end"
        )
    return (
        f"case when starts_with({digits}, '0') then {text(code)} || ltrim({digits}, '0') "
        f"when not {has_code} then {added} "
        f"when length({digits}) >= 11 then regexp_replace({digits}, '^{code}0+', '{code}') end"
    )


_COMMA = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+),[0-9]+")
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+")
_GROUP = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")  # 1,234 may be a thousand or a decimal
_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_ISO = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S")


def read_as(contract: Contract, values: Mapping[str, Sequence[str]]) -> tuple[Contract, tuple[str, ...]]:
    """The contract with the decimal sign and date formats of one file, and sentences that tell what was assumed.

    `values` has texts of the file's first rows by column. Settings decide first. Without them a form is taken only
    where every value has it and no other form is possible; else points and ISO 8601 are meant.
    """
    form, assumed = contract.text, []
    numbers = [column for column in contract.file_columns if column.logical_type in ("number", "integer")]
    decimal = form.decimal or _decimal([value for column in numbers for value in values.get(column.name, ())])
    if decimal == "," and form.decimal is None:
        assumed.append("numbers have a decimal comma, as the first rows show")
    columns = []
    for column in contract.columns:
        if column in numbers and decimal == ",":
            column = replace(column, decimal=decimal)
        if column.logical_type in ("date", "timestamp") and column.logic is None:
            if form.date_formats:
                column = replace(column, formats=(*form.date_formats, *(column.formats or _ISO)))
            elif not column.formats:
                found = _date_formats(values.get(column.name, ()))
                if len(found) == 1:
                    column = replace(column, formats=found)
                    assumed.append(f"column {column.name} has dates as {found[0]}, as the first rows show")
                elif found:
                    assumed.append(
                        f"column {column.name} may have dates as {' or '.join(found)}; set date_formats for the tenant"
                    )
        columns.append(column)
    return replace(contract, columns=tuple(columns)), tuple(assumed)


def _decimal(values: Sequence[str]) -> str:
    commas = [value for value in values if _COMMA.fullmatch(value)]
    certain = any(not _GROUP.fullmatch(value) for value in commas)
    return "," if certain and not any(_POINT.fullmatch(value) for value in values) else "."


def _date_formats(values: Sequence[str]) -> tuple[str, ...]:
    """The formats of which every value has one, among those that are no ISO 8601."""
    given = [value for value in values if value]
    if not given or any(re.match(r"[0-9]{4}-", value) for value in given[:1]):
        return ()
    forms = (day + clock for day in _DATES for clock in _CLOCKS)
    return tuple(form for form in forms if all(_is_date(value, form) for value in given))


def _is_date(value: str, form: str) -> bool:
    if form == "%Y%m%d" and len(value) != 8:
        return False
    with suppress(ValueError):
        return datetime.strptime(f"{value} +0000", f"{form} %z").year >= 1000
    return False
