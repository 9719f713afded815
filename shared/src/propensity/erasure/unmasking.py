"""How the proof of an erasure reads a text: character by character, by the standard library's readers of JSON.

This code is written apart from the search's (erasure/domain/spelling.py), so that the proof does not share its blind
spots.
"""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Iterator
from html.entities import html5
from itertools import groupby, pairwise
from typing import Any

_ROUNDS = 3
_HEX = frozenset(string.hexdigits)
_APOSTROPHES = frozenset("‘’‛ʼ′´")
_NO_SEPARATOR = frozenset('\n\r,;|":=&<>@')


class _Plain(dict[int, str]):
    """A table for str.translate that is filled as characters are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        dash = kind == "Pd" or "MINUS SIGN" in unicodedata.name(char, "") or char in "⁃"
        plain = "'" if char in _APOSTROPHES else " " if kind == "Zs" else "-" if dash else char
        self[code] = "" if kind == "Cf" or char == "\0" else plain
        return self[code]


class _OnlyWords(dict[int, str]):
    """A table for str.translate that drops all but letters and digits."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if chr(code).isalnum() else ""
        return self[code]


_PLAIN, _ONLY_WORDS = _Plain(), _OnlyWords()


def plain(text: str) -> str:
    """Return a text without case, with decomposed letters, and with plain blanks, dashes and quotes."""
    if text.isascii():
        return text.replace("\0", "").lower()
    # NFKD would take the acute accent apart, which people write for an apostrophe
    return unicodedata.normalize("NFKD", text.replace("´", "'")).translate(_PLAIN).casefold()


def views(text: str) -> Iterator[str]:
    """Yield a text as it is written, and as JSON, HTML, addresses and escapes say that it is to be read."""
    yield plain(text)
    # without a backslash, JSON says what its text says
    lines = [_from_json(line) for line in text.splitlines()] if "\\" in text else []
    if any(line is not None for line in lines):
        told = "\n".join(line for line in lines if line is not None)
        yield plain(told)
        yield from _unwrapped(told)
    yield from _unwrapped(text)


def _unwrapped(text: str) -> Iterator[str]:
    for _ in range(_ROUNDS):
        if not ("\\" in text or "&" in text or "%" in text):
            break
        shown = _unquoted(_entities(_unescaped(text)))
        if shown == text:
            break
        text = shown
        yield plain(text)


def _from_json(line: str) -> str | None:
    try:
        return "\n".join(strings_in(json.loads(line, parse_int=str, parse_float=str)))
    except (ValueError, RecursionError):
        return None


def strings_in(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value, the names of members included."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            yield one


def _unescaped(text: str) -> str:
    r"""Undo \uXXXX, \xNN, \/ and the other escapes by a backslash."""
    first, *parts = text.split("\\")
    out = [first]
    skip = False
    for part in parts:
        if skip:
            out.append(part)
            skip = False
        elif part == "":
            out.append("\\")
            skip = True  # this backslash escaped the next one
        else:
            width = {"u": 4, "x": 2}.get(part[0], 0)
            digits = part[1 : 1 + width]
            if width and len(digits) == width and _HEX.issuperset(digits):
                out.append(chr(int(digits, 16)) + part[1 + width :])
            else:
                out.append({"n": "\n", "r": "\n", "t": " ", "b": " ", "f": " "}.get(part[0], part[0]) + part[1:])
    return _as_utf8("".join(out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), text)


def _as_utf8(shown: str, before: str) -> str:
    """Read a run of single bytes as UTF-8 where the bytes are UTF-8, as in \\xc3\\xbc."""
    if "\\x" not in before:
        return shown
    runs = []
    for single, chars in groupby(shown, lambda char: "\x80" <= char <= "\xff"):
        run = "".join(chars)
        try:
            runs.append(run.encode("latin-1").decode() if single else run)
        except UnicodeError:
            runs.append(run)
    return "".join(runs)


def _entities(text: str) -> str:
    first, *parts = text.split("&")
    out = [first]
    for part in parts:
        name, semicolon, rest = part[:32].partition(";")
        if not semicolon:
            out.append(f"&{part}")
            continue
        rest = part[len(name) + 1 :]
        digits = name[2:] if name[:2].lower() == "#x" else name[1:] if name[:1] == "#" else ""
        base = 16 if name[:2].lower() == "#x" else 10
        try:
            out.append((chr(int(digits, base)) if digits else html5[f"{name};"]) + rest)
        except (KeyError, ValueError, OverflowError):
            out.append(f"&{part}")
    return "".join(out)


def _unquoted(text: str) -> str:
    """Undo %NN of an address: as UTF-8 or, where the bytes are none, as Windows text."""
    first, *parts = text.split("%")
    out, waiting = [first], bytearray()

    def settle() -> None:
        if waiting:
            try:
                out.append(waiting.decode())
            except UnicodeDecodeError:
                out.append(waiting.decode("cp1252", "replace"))
            waiting.clear()

    for part in parts:
        if len(part) >= 2 and _HEX.issuperset(part[:2]):
            waiting.append(int(part[:2], 16))
            rest = part[2:]
            if rest:
                settle()
                out.append(rest)
        else:
            settle()
            out.append(f"%{part}")
    settle()
    return "".join(out)


def phone_tail(name: str) -> str | None:
    """Return the last eight digits of a telephone number with its country's code; None for another name."""
    shown = plain(name)
    digits = "".join(char for char in shown if char in string.digits)
    other = set(shown) - set(string.digits + "+ ()/.-")
    return digits[-8:] if shown.startswith("+") and not other and 8 <= len(digits) <= 15 else None


def dials(shown: str, tail: str) -> bool:
    """Whether plain text holds a telephone number that ends in these digits, whatever stands between the digits."""
    if tail not in shown.translate(_ONLY_WORDS):
        return False
    # each digit with its place; a place of no digit that can stand in no number ends the run of digits
    run: list[tuple[str, int]] = []
    for at, char in enumerate(f"{shown}\n"):
        if char in string.digits:
            run.append((char, at))
        elif char.isalpha() or char in _NO_SEPARATOR:
            if _ends_in(run, tail, shown):
                return True
            run = []
    return False


def _ends_in(run: list[tuple[str, int]], tail: str, shown: str) -> bool:
    digits = "".join(digit for digit, _ in run)
    at = digits.find(tail)
    while at >= 0:
        last = run[at + len(tail) - 1][1]
        places = [place for _, place in run[at : at + len(tail)]]
        near = all(later - earlier <= 5 for earlier, later in pairwise(places))
        first = places[0]
        while first and shown[first - 1] in string.digits:
            first -= 1
        before = shown[first - 1 : first] if first else ""
        after = shown[last + 1 : last + 2]
        if near and places[0] - first <= 9 and not before.isalpha() and not after.isalnum():
            return True
        at = digits.find(tail, at + 1)
    return False
