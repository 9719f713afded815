"""JSON from outside, read strictly: what a parser would guess at, or would break off at, is refused by name.

The grammar is RFC 8259. A member that stands twice, a number that is not finite, a lone surrogate and a deep nesting
are refused too: RFC 8259 lets every reader do something else with them.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from propensity.kernel.errors import BadInputError

MAX_DEPTH = 32  # Python's own parser breaks off at about 1,000, and then raises no ValueError
MAX_DIGITS = 18  # a whole number of 18 digits fits into 64 bits
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def parse_json(raw: str | bytes, what: str) -> Any:
    """The value of a JSON text. Raises BadInputError, which begins with `what` and never repeats a value."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        text.encode()  # a text with a lone surrogate has no bytes
    except UnicodeError as error:
        raise BadInputError(f"{what}: not UTF-8, expected JSON in UTF-8") from error
    _check_depth(text, what)

    def number(digits: str) -> int:
        if len(digits.lstrip("-")) > MAX_DIGITS:
            raise BadInputError(f"{what}: a number of more than {MAX_DIGITS} digits, expected a shorter one, or a text")
        return int(digits)

    def fraction(digits: str) -> float:
        if not math.isfinite(value := float(digits)):
            raise BadInputError(f"{what}: a number beyond the range of a double, expected a finite number")
        return value

    def constant(name: str) -> None:
        raise BadInputError(f"{what}: {name} is no JSON, expected a finite number or null")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadInputError(f"{what}: an object has a member twice, expected each name once")
        return found

    try:
        value = json.loads(
            text, parse_int=number, parse_float=fraction, parse_constant=constant, object_pairs_hook=members
        )
        json.dumps(value, ensure_ascii=False).encode()  # finds an escape such as \ud800 that has no other half
    except UnicodeError as error:
        raise BadInputError(f"{what}: a lone surrogate, such as \\ud800; expected whole characters") from error
    except ValueError as error:
        raise BadInputError(f"{what}: not JSON") from error
    return value


def _check_depth(text: str, what: str) -> None:
    depth = 0
    for mark in _MARKS.finditer(text):
        if mark[0] in "[{":
            depth += 1
        elif mark[0] in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise BadInputError(f"{what}: nested more than {MAX_DEPTH} deep, expected flat JSON")
