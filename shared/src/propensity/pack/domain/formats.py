"""Formats of text: of dates, and of whole CSV files.

A contract writes date formats as Java's DateTimeFormatter does, and the engine reads the formats of strptime.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from propensity.kernel.errors import ContractError
from propensity.pack.domain.contract import DELIMITERS, ENCODINGS, TextForm

_TOKENS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%m",
    "dd": "%d",
    "d": "%d",
    "HH": "%H",
    "H": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSSSSS": "%f",
    "SSS": "%g",
    "a": "%p",
    "XXX": "%z",
    "XX": "%z",
    "X": "%z",
    "Z": "%z",
}
# the digits of each numeric part of a strptime format; %f and %g are Java's SSSSSS and SSS
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3, "g": 3, "f": 6}
_PART = re.compile(r"%(?P<flag>-?)(?P<letter>.)|(?P<literal>[^%])", re.DOTALL)
_TOKEN = re.compile(r"'(?P<quoted>[^']*)'|(?P<letters>(?P<one>[A-Za-z])(?P=one)*)|(?P<other>[^A-Za-z])")


def digit_shape(form: str) -> str | None:
    """The regular expression of text that a strptime format may read, where two numeric parts stand side by side.

    Such parts have all their digits: `%Y%m%d` takes eight digits and not seven, because nobody could say which part
    lacks one. None for other formats.
    """
    parts = [(part["letter"], part["flag"], part["literal"]) for part in _PART.finditer(form)]
    numeric = [letter in _WIDTHS and not flag for letter, flag, _ in parts]
    if not any(here and after for here, after in pairwise(numeric)):
        return None
    shape = ""
    for number, (letter, _, literal) in enumerate(parts):
        if literal is not None:
            shape += re.escape(literal)
        elif letter not in _WIDTHS:
            shape += ".+"
        elif any(numeric[max(0, number - 1) : number]) or any(numeric[number + 1 : number + 2]):
            shape += rf"[0-9]{{{_WIDTHS[letter]}}}"
        else:
            shape += f"[0-9]{{1,{_WIDTHS[letter]}}}"
    return shape


def strptime_format(text: str, *, where: str) -> str:
    """The strptime format of a date format: `dd.MM.yyyy` becomes `%d.%m.%Y`.

    Text that already holds a % stays as it is. Raises ContractError for letters that are no part of a format known to
    this function.
    """
    if "%" in text:
        return text
    pieces = []
    for token in _TOKEN.finditer(text):
        if token["letters"]:
            if token["letters"] not in _TOKENS:
                raise ContractError(f"{where}: {token['letters']!r} in {text!r}, expected some of {', '.join(_TOKENS)}")
            pieces.append(_TOKENS[token["letters"]])
        else:
            pieces.append(token["quoted"] if token["quoted"] is not None else token["other"])
    return "".join(pieces)


def _is_date_formats(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 20 and all(isinstance(form, str) and form for form in value)


def _is_sheet_name(value: Any) -> bool:
    # 31 is Excel's limit; a record is never erased, so it holds no address of a person
    return isinstance(value, str) and value.isprintable() and 0 < len(value.strip()) <= 31 and "@" not in value


# each field of a text form: whether a value is right, and the words for what is
_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "encoding": (lambda value: value in ENCODINGS, f"one of {', '.join(ENCODINGS)}"),
    "delimiter": (lambda value: value in DELIMITERS, f"one of {' '.join(map(repr, DELIMITERS))}"),
    "decimal": (lambda value: value in (".", ","), "'.' or ','"),
    "date_formats": (_is_date_formats, "a list of at most 20 date formats like dd.MM.yyyy"),
    "header": (lambda value: isinstance(value, bool), "true or false"),
    "sheet": (_is_sheet_name, "a name of at most 31 characters, without an @"),
}


def read_text_form(raw: Any, base: TextForm, where: str) -> TextForm:
    """The text form `base` with the fields of `raw`. Raises ContractError naming the field that is wrong."""
    if not isinstance(raw, dict) or set(raw) - set(_FIELDS):
        raise ContractError(f"{where} is {raw!r}, expected some of {', '.join(_FIELDS)}")
    for field, value in raw.items():
        right, words = _FIELDS[field]
        if not right(value):
            raise ContractError(f"{where}: {field} is {value!r}, expected {words}")
    fields = dict(raw)
    if "date_formats" in fields:
        listed = [strptime_format(form, where=f"{where}: date_formats") for form in fields["date_formats"]]
        fields["date_formats"] = tuple(listed)
    return replace(base, **fields)
