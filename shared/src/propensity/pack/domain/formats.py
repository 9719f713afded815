"""Date formats.

A contract writes them as Java's DateTimeFormatter does, and the engine reads the formats of strptime.
"""

from __future__ import annotations

import re

from propensity.kernel.errors import ContractError

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
    "X": "%z",
    "Z": "%z",
}
_TOKEN = re.compile(r"'(?P<quoted>[^']*)'|(?P<letters>(?P<one>[A-Za-z])(?P=one)*)|(?P<other>[^A-Za-z])")


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
