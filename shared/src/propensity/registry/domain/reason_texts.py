"""The sentences of reasons: the features that moved each score most, said for a person, for many rows at once.

Few sentences are different, because a sentence shows a value as it is read: `12 days ago` and not 12.37 days. So each
sentence is made once, and rows hold its number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import exp, expm1, isnan
from string import Formatter
from typing import Any

import numpy as np

from propensity.pack.domain.feature_spec import Feature
from propensity.registry.domain.reasons import Explained

_DECIMALS = re.compile(r",?\.(\d)f")
# a value this near to the middle of two shown values may be rounded to either of them, and is looked at by itself
_NEAR = 1e-6
_WHOLE = 2.0**40  # above it, a number with its decimals is no longer whole in a float
_TABLE = 2**20  # keys in a smaller range are looked up in a table instead of sorted
_KEPT = 2**17  # shown values whose sentences are kept for later rows; with more, sentences are made again


type Shown = tuple[
    int, int, bool, int
]  # place of the feature, typical value, whether exact, key; numbers by their bits


@dataclass(slots=True)
class Sentences:
    """Sentences, each once. `said` has the numbers of those of a feature beside a typical value, by the value shown.

    Each shown value has two numbers: of the sentence of a reason that lowers the score, and of one that raises it.
    """

    texts: list[str] = field(default_factory=list)
    said: dict[Shown, tuple[int, int]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]


@dataclass(frozen=True, slots=True)
class TopReasons:
    """For n rows the features that moved the score most, at most c per row, most first.

    `places` is int (n, c): the place of the feature among all, -1 for none. `contributions` is float64 (n, c), and
    `texts` int (n, c), numbers of sentences.
    """

    places: Any
    contributions: Any
    texts: Any
    sentences: Sentences

    @staticmethod
    def none(rows: int, count: int, sentences: Sentences) -> TopReasons:
        """Return no reasons for so many rows."""
        return TopReasons(
            np.full((rows, count), -1, dtype=np.int32),
            np.zeros((rows, count)),
            np.zeros((rows, count), dtype=np.int32),
            sentences,
        )

    def put(self, rows: Any, part: TopReasons) -> None:
        """Write the reasons of the rows of a mask."""
        self.places[rows], self.contributions[rows], self.texts[rows] = part.places, part.contributions, part.texts

    def of_row(self, row: int, features: Sequence[Feature]) -> Iterator[tuple[str, float, str]]:
        """Yield feature, contribution and sentence of each reason of one row."""
        for place, moved, text in zip(self.places[row], self.contributions[row], self.texts[row], strict=True):
            if place >= 0:
                yield features[place].name, float(moved), self.sentences.texts[text]


def top_reasons(
    explained: Explained, features: Sequence[Feature], matrix: Any, count: int, sentences: Sentences | None = None
) -> TopReasons:
    """Return for each row the `count` features that moved the score most, up or down.

    A feature that moved the score by less than `explained.least` is no reason. Without a method there are none.
    `sentences` are those of earlier rows, to which new ones are added.
    """
    out = TopReasons.none(len(matrix), count, Sentences() if sentences is None else sentences)
    if len(matrix) == 0 or explained.method is None:
        return out
    sizes = np.abs(explained.contributions)
    rows = np.arange(len(matrix))
    for nth in range(min(count, sizes.shape[1])):
        # of equal sizes the first feature comes first
        places = np.argmax(sizes, axis=1)
        kept = sizes[rows, places] >= explained.least
        out.places[:, nth] = np.where(kept, places, -1)
        out.contributions[:, nth] = explained.contributions[rows, places]
        sizes[rows, places] = -1.0
    _say(out, explained, features, matrix)
    return out


def _say(out: TopReasons, explained: Explained, features: Sequence[Feature], matrix: Any) -> None:
    flat = out.places.ravel()
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(len(features) + 1))
    width = out.places.shape[1]
    contributions, texts = out.contributions.ravel(), out.texts.ravel()
    for place, feature in enumerate(features):
        cells = order[bounds[place] : bounds[place + 1]]
        if len(cells) == 0:
            continue
        values, raises = matrix[cells // width, place], contributions[cells] > 0
        first, inverse, keys = _shown_once(feature, values)
        numbers = np.array(
            [
                _numbers(out.sentences, feature, (place, *key), float(values[one]), explained.typical[place])
                for one, key in zip(first.tolist(), keys, strict=True)
            ],
            dtype=np.int32,
        )
        texts[cells] = numbers[inverse, raises.astype(np.int8)]


def _numbers(
    sentences: Sentences, feature: Feature, key: tuple[int, bool, int], value: float, typical: float
) -> tuple[int, int]:
    place, exact, bits = key
    shown = (place, int(np.float64(typical).view(np.int64)), exact, bits)
    numbers = sentences.said.get(shown)
    if numbers is None:
        text = sentence(feature, value, float(typical))
        numbers = sentences.number(directed(text, -1.0)), sentences.number(directed(text, 1.0))
        if len(sentences.said) < _KEPT:
            sentences.said[shown] = numbers
    return numbers


def shown_once(feature: Feature, values: Any) -> tuple[Any, Any]:
    """Return (first, inverse) for values float32 (m,): values[first[inverse[i]]] reads in a sentence as values[i] does.

    `first` is int (u,), and `inverse` is int (m,).
    """
    first, inverse, _ = _shown_once(feature, values)
    return first, inverse


def _shown_once(feature: Feature, values: Any) -> tuple[Any, Any, list[tuple[bool, int]]]:
    """Return (first, inverse, keys) of values float32 (m,): values[first[inverse[i]]] reads as values[i] does.

    `first` is int (u,), and `inverse` is int (m,). `keys` are u keys: values of equal key read equally. A key says
    whether it is the exact value, and has the bits of its number.
    """
    numbers, exact = _keys(feature, values)
    parts = ((~exact, False, numbers), (exact, True, values.astype(np.float64))) if exact.any() else ()
    if not parts:
        first, inverse = _unique(numbers)
        return first, inverse, _bits(numbers[first], exact=False)
    first, inverse, keys = np.empty(0, dtype=np.int64), np.empty(len(values), dtype=np.int64), []
    for rows, is_exact, found in parts:
        there = np.flatnonzero(rows)
        if len(there):
            ones, places = _unique(found[there])
            inverse[there] = places + len(first)
            first = np.concatenate([first, there[ones]])
            keys += _bits(found[there[ones]], exact=is_exact)
    return first, inverse, keys


def _bits(numbers: Any, *, exact: bool) -> list[tuple[bool, int]]:
    # NaN equals nothing and -0.0 equals 0.0, but their bits are themselves
    return [(exact, bits) for bits in np.ascontiguousarray(numbers, dtype=np.float64).view(np.int64).tolist()]


def _keys(feature: Feature, values: Any) -> tuple[Any, Any]:
    """Return (keys, exact): values of equal key read equally, but that those of the mask `exact` have no key."""
    decimals = _decimals(feature)
    wide = values.astype(np.float64)
    if decimals is None:
        return wide, np.zeros(len(values), dtype=bool)
    shown = {"exp": np.exp, "expm1": np.expm1}.get(feature.shown_as, np.positive)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = shown(wide) * 10.0**decimals
        keys = np.rint(scaled)
        near = np.abs(np.abs(scaled - keys) - 0.5) <= _NEAR * np.maximum(1.0, np.abs(scaled))
        # NaN compares as False
        return keys, near | ~(np.abs(scaled) < _WHOLE)


def _decimals(feature: Feature) -> int | None:
    """Return with how many decimals a feature's sentence shows its value; None where it is shown in another way."""
    if feature.reason is None or feature.dtype in ("boolean", "category"):
        return None
    found = {spec for _, name, spec, conversion in Formatter().parse(feature.reason) if name == "value"}
    specs = [_DECIMALS.fullmatch(spec or "") for spec in found]
    if not specs or None in specs:
        return None
    return max(int(spec[1]) for spec in specs if spec)


def _unique(keys: Any) -> tuple[Any, Any]:
    """Return (first, inverse) of float64 keys (m,). NaN is a key, and -0.0 is another key than 0.0."""
    low, high = (float(np.min(keys)), float(np.max(keys))) if len(keys) else (0.0, 0.0)
    whole = high - low < _TABLE and not np.signbit(keys[keys == 0]).any() and bool((keys == np.rint(keys)).all())
    if not whole:
        _, first, inverse = np.unique(np.ascontiguousarray(keys).view(np.int64), return_index=True, return_inverse=True)
        return first, inverse
    codes = (keys - low).astype(np.int64)
    place = np.full(int(high - low) + 1, -1, dtype=np.int64)
    place[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    first = place[place >= 0]
    place[place >= 0] = np.arange(len(first))
    return first, place[codes]


RAISES, LOWERS = " (raises the score)", " (lowers the score)"


def directed(said: str, contribution: float) -> str:
    """Return a sentence that also says which way the feature moved the score."""
    return said + (RAISES if contribution > 0 else LOWERS)


def sentence(feature: Feature, value: float, typical: float) -> str:
    """Return the sentence that a person reads, for example `last purchase 12 days ago; typical 80`."""
    if isnan(value):
        return f"{feature.description}: unknown"
    if feature.reason is None:
        return f"{feature.description}: {_shown(feature, value)}"
    shown = {"value": _shown(feature, value), "typical": _shown(feature, typical)}
    return _Sentence().vformat(feature.reason, (), shown)


def statement_of(feature: Feature) -> Callable[[float], str]:
    """Return what says of a value what a reason says, without the typical one: `last purchase 12 days ago`.

    The reason is taken apart once, because thousands of values of a feature are said.
    """
    told, compared, _ = (feature.reason or "").partition("{typical")
    said = told.rpartition(";")[0] if compared else told
    alone = shown_by(feature)
    if "{value" not in said:
        return lambda value: f"{feature.description}: {alone(value)}"
    pieces = [(text, name, spec or "") for text, name, spec, _ in Formatter().parse(said)]

    def statement(value: float) -> str:
        if isnan(value):
            return f"{feature.description}: unknown"
        shown = _shown(feature, value)
        return "".join(text if name is None else text + format(shown, spec) for text, name, spec in pieces)

    return statement


def shown_by(feature: Feature) -> Callable[[float], str]:
    """Return what shows a value alone, as the feature's reason shows it: `12`."""
    specs = [spec for _, name, spec, _ in Formatter().parse(feature.reason or "") if name == "value"]
    spec = (specs[0] if specs else "") or ""
    return lambda value: "unknown" if isnan(value) else format(_shown(feature, value), spec)


class _Sentence(Formatter):
    """A formatter that writes `unknown` for a missing value, whatever the format of the value."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        missing = isinstance(value, float) and isnan(value)
        return "unknown" if missing else super().format_field(value, format_spec)


def _shown(feature: Feature, value: float) -> float | str:
    if isnan(value):
        return value
    if feature.dtype == "boolean":
        return "yes" if value >= 0.5 else "no"
    if feature.dtype == "category":
        # compared as a float, because an infinite value has no whole number
        return feature.categories[round(value)] if -0.5 < value < len(feature.categories) - 0.5 else "unknown"
    if feature.shown_as == "exp":
        return exp(min(value, 700.0))
    if feature.shown_as == "expm1":
        return expm1(min(value, 700.0))
    return value
