"""JSON from outside: what is read, and what is refused, by name and without its values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.kernel.errors import BadInputError
from propensity.kernel.strict_json import MAX_DEPTH, parse_json

SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)


@given(VALUES, st.booleans())
def test_what_a_writer_writes_is_read_back(value: Any, ascii_only: bool) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(written, "body") == parse_json(written.encode(), "body") == value


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": -Infinity}', "-Infinity is no JSON"),
        ('{"a": 1e999}', "beyond the range of a double"),
        ('{"a": 1234567890123456789}', "a number of more than 18 digits"),
        ("9" * 5_000, "a number of more than 18 digits"),
        ('{"a": 1, "a": 1}', "a member twice"),
        ('[{"a": {"b": 1, "b": 2}}]', "a member twice"),
        ('"\\ud800"', "a lone surrogate"),
        ('{"\\udc00": 1}', "a lone surrogate"),
        ("\ud800", "not UTF-8"),
        (b"\xff", "not UTF-8"),
        ("[" * 40_000, "nested more than 32 deep"),
        ('{"a":' * 40_000, "nested more than 32 deep"),
        ("[1,]", "not JSON"),
        ("", "not JSON"),
    ],
)
def test_what_readers_disagree_about_is_refused(raw: str | bytes, said: str) -> None:
    with pytest.raises(BadInputError, match=f"^body: .*{said}"):
        parse_json(raw, "body")


def test_brackets_in_a_text_are_no_depth() -> None:
    text = "[{" * 100 + '"' + "\\"
    assert parse_json(json.dumps([text]), "body") == [text]
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(deepest, "body")
    with pytest.raises(BadInputError, match="deep"):
        parse_json(f"[{deepest}]", "body")
