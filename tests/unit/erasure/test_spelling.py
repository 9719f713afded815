"""A person is found in every spelling by the search, and by the proof, which is other code."""

from __future__ import annotations

import gzip
import html
import io
import json
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.erasure.domain.spelling import folded
from propensity.erasure.domain.subject import of_nobody
from propensity.erasure.proof import _Search
from propensity.erasure.texts import NameFinder
from propensity.kernel.tenant import Subject

ID, MAIL, PHONE = "K/2017-0042-Müller", "anna+cars.o'neil@exämple.net", "+49301112223"
NAMES = [ID, MAIL, PHONE]
BLANKS = ["\u00a0", "\u2009", "\u202f", "\u3000", "\u2007", "\t", "  "]
DASHES = ["\u2011", "\u2010", "\u2013", "\u2212", "\uff0d", "\ufe63", "\u00ad"]


def every_code(text: str) -> str:
    """A text with each character as a JSON escape, a character beyond 16 bits as two."""
    units = text.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "JSON": json.dumps,
    "JSON in capitals": lambda text: every_code(text).replace("\\u00", "\\u00").upper().replace("\\U", "\\u"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps(text))),
    "every character escaped": every_code,
    "slashes escaped": lambda text: text.replace("/", "\\/"),
    "quotes escaped": lambda text: text.replace("'", "\\'"),
    "HTML": lambda text: html.escape(text).replace("+", "&plus;").replace("@", "&commat;"),
    "HTML numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML hexadecimal": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "an address": lambda text: quote(text, safe=""),
    "an address in Latin-1": lambda text: quote(text, safe="", encoding="latin-1", errors="ignore"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "wide": lambda text: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text),
    "soft hyphens": lambda text: "\u00ad".join(text),
    "marks of direction": lambda text: f"\u202a{text}\u202c",
    "another apostrophe": lambda text: text.replace("'", "\u2019"),
    "other dashes": lambda text: text.replace("-", "\u2011"),
    "bytes of Latin-1": lambda text: "".join(char if char.isascii() else f"\\x{ord(char):02x}" for char in text),
    "bytes of UTF-8": lambda text: "".join(
        char if char.isascii() else "".join(f"\\x{byte:02x}" for byte in char.encode()) for char in text
    ),
}
ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "cp1252", "cp850", "utf-16", "utf-16-le", "utf-16-be"]


def proves(path: Path, key: str = "landing/d/tenant_id=t/f.csv") -> bool:
    """Whether the proof finds the person in a file."""
    with DuckDbSql() as sql:
        return _Search(sql, Subject("t", ID), NAMES, ["customer_id"])._in_object(key, path)


@pytest.mark.parametrize("name", [ID, MAIL])
@pytest.mark.parametrize("kind", SPELLINGS)
def test_a_name_is_found_in_every_spelling_by_the_search_and_by_the_proof(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(f"a,{SPELLINGS[kind](name)},b\n", encoding="utf-8")
    assert NameFinder(NAMES).within_file(path)
    assert proves(path)


@pytest.mark.parametrize("code", ENCODINGS)
@pytest.mark.parametrize("packed", ["plain", "gzip", "zip"])
def test_a_name_is_found_in_every_encoding_by_the_search_and_by_the_proof(
    code: str, packed: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    body = f"customer_id;n\r\n{ID};1\r\nK1;2\r\n".encode(code)
    if packed == "zip":
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/sharedStrings.xml", body)
        body = held.getvalue()
    path.write_bytes(gzip.compress(body) if packed == "gzip" else body)
    assert NameFinder(NAMES).within_file(path)
    assert proves(path)


@given(
    between=st.lists(st.sampled_from(["", " ", "-", "/", ".", "(", ")", *BLANKS, *DASHES]), min_size=9, max_size=9),
    start=st.sampled_from(["+49", "0049", "0", "+49 (0)", "\u202a+49"]),
    kind=st.sampled_from(["plain", "JSON", "every character escaped", "HTML numbers", "an address", "wide"]),
)
@settings(max_examples=150, deadline=None)
def test_a_telephone_number_is_found_by_its_digits(between: list[str], start: str, kind: str) -> None:
    spaced = start + "".join(digit + gap for digit, gap in zip("30111222", between, strict=False)) + "3"
    text = f"x,{SPELLINGS[kind](spaced)},10115\n"
    assert NameFinder(NAMES).within(text.encode())
    with DuckDbSql() as sql:
        assert _Search(sql, Subject("t", ID), NAMES, [])._sure.stand_in(text)


@pytest.mark.parametrize(
    "said",
    ["49301112224", "030,111,22,23", "3011122234", '{"a": 30111, "b": 2223}', "x30111222y3", "K/2017-0042-Müllers"],
)
def test_other_numbers_and_longer_words_name_nobody(said: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(said)
    assert NameFinder(NAMES).within_file(path) is False
    assert not proves(path)


@given(
    before=st.text(st.characters(exclude_categories=("Cs", "L", "N", "M")), max_size=20),
    kinds=st.lists(st.sampled_from(sorted(set(SPELLINGS) - {"JSON in JSON in JSON"})), min_size=1, max_size=2),
)
@settings(max_examples=200, deadline=None)
def test_the_proof_finds_whatever_the_search_finds(before: str, kinds: list[str]) -> None:
    """The two codes read a text alike, also where one spelling was put over another."""
    said = MAIL
    for kind in kinds:
        said = SPELLINGS[kind](said)
    text = f"{before}\n{said}\n"
    found = NameFinder(NAMES).within_text(text)
    with DuckDbSql() as sql:
        proved = _Search(sql, Subject("t", ID), NAMES, [])._all.stand_in(text)
    assert proved or not found


def test_the_blanks_dashes_and_unseen_characters_are_those_of_unicode() -> None:
    for char in map(chr, range(128, sys.maxunicode)):
        kind = unicodedata.category(char)
        if kind == "Zs":
            assert folded(char) == " ", hex(ord(char))
        elif kind == "Pd" or char in "\u2212\u02d7":
            assert folded(char) == "-", hex(ord(char))
        elif kind == "Cf":
            assert folded(char) == "", hex(ord(char))


@pytest.mark.parametrize(
    ("key", "nobody"),
    [
        ("d/tenant_id=/f.csv", True),
        ("d/tenant_id=a b/f.csv", True),
        ("quarantine/rejected/unknown/tenant_id=unknown/f", True),
        ("d/tenant_id=../f.csv", True),
        ("d/tenant_id=dealer_1/f.csv", False),
        ("silver/customers/part.parquet", False),
    ],
)
def test_a_mark_that_can_be_no_tenants_is_nobodys(key: str, nobody: bool) -> None:
    assert of_nobody(key) == nobody


def test_a_report_stays_json_and_a_hash_stands_for_a_name() -> None:
    report = {"key": f"d/tenant_id=t/{MAIL}.csv", "why": f"column 'Anna' {PHONE}", MAIL: [1, None, ID], "rows": 12}
    kept = NameFinder(NAMES).without_values(report)
    assert not NameFinder(NAMES).within_text(json.dumps(kept))
    assert kept["key"].startswith("d/tenant_id=t/erased-")
    assert (kept["rows"], len(kept)) == (12, 4)
    assert NameFinder(NAMES).without_values(kept) == kept
