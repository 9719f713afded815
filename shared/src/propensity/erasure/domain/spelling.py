"""The ways to spell a text: what an export, a copy or an office program makes of a name.

`readings` undoes them before a search. The proof of an erasure undoes them too, by other code (erasure/unmasking.py).
"""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import unquote_to_bytes

ROUNDS = 3  # JSON inside JSON inside CSV
# SQL of RE2: a text that matches may read otherwise than it is written, so Python reads it
CODED = r"[^\x01-\x7f]|[\\&%]"
# characters that stand between the digits of a telephone number, once blanks and dashes are plain
SEPARATORS = " \t()[]{}/\\.-_'+*~#·•∙⋅"

_HEX = "[0-9a-fA-F]"
_CODE = re.compile(
    rf"(?P<u>(?:\\u{_HEX}{{4}})+)|(?P<bytes>(?:\\x{_HEX}{{2}})+)|(?P<percent>(?:%{_HEX}{{2}})+)"
    r"|(?P<entity>&\#?\w{1,31};)|\\(?P<char>.)",
    re.DOTALL,
)
_WHITE = {"n": "\n", "r": "\n", "t": " ", "b": " ", "f": " "}
# Unicode's categories Zs, Pd (with the minus signs) and Cf without ASCII; test_spelling.py checks them
_BLANKS = "[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
_DASHES = (
    "[\u02d7\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d\U00010d6e\U00010ead]"
)
# soft hyphens, joiners and the marks of a text's direction, which telephones put around a copied number
_UNSEEN = (
    "[\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
_APOSTROPHES = "[\u2018\u2019\u201b\u02bc\u2032\u00b4]"
_ODD = re.compile(f"(?P<blank>{_BLANKS})|(?P<dash>{_DASHES})|(?P<quote>{_APOSTROPHES})|(?P<unseen>{_UNSEEN})")
_PLAIN = {"blank": " ", "dash": "-", "quote": "'", "unseen": ""}


def _plain(odd: re.Match[str]) -> str:
    return _PLAIN[odd.lastgroup or "unseen"]


def folded(text: str) -> str:
    """Return a text with plain blanks, dashes and quotes, one form of each letter, and no case."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _ODD.sub(_plain, text))
    return text.replace("\0", "").casefold()


def readings(text: str) -> list[str]:
    """Return what a text can be read as, folded: as it is written, and with its escapes undone, time after time."""
    found = [folded(text)]
    if not text.isascii():
        found.append(text.lower())
    for _ in range(ROUNDS):
        if not ("\\" in text or "&" in text or "%" in text):
            break
        decoded = _CODE.sub(_decoded, text)
        if decoded == text:
            break
        text = decoded
        found.append(folded(text))
    return found


def _decoded(code: re.Match[str]) -> str:
    if code["u"]:
        return bytes.fromhex(code["u"].replace("\\u", "")).decode("utf-16-be", errors="replace")
    if code["bytes"]:
        return _of_bytes(bytes.fromhex(code["bytes"].replace("\\x", "")))
    if code["percent"]:
        return _of_bytes(unquote_to_bytes(code["percent"]))
    if code["entity"]:
        return html.unescape(code["entity"])
    return _WHITE.get(code["char"], code["char"])


def _of_bytes(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def texts_of(data: bytes) -> list[str]:
    """Return the texts that bytes can be: UTF-8 or, where they are none, Windows and DOS text; and UTF-16."""
    found = []
    if b"\0" in data or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        found += [data.decode(code, errors="replace") for code in ("utf-16-le", "utf-16-be")]
        data = data.replace(b"\0", b"")
    try:
        return [*found, data.decode()]
    except UnicodeDecodeError:
        return [*found, *(data.decode(code, errors="replace") for code in ("utf-8", "cp1252", "cp850"))]
