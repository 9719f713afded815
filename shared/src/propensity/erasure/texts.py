"""The search for a person's names in texts: in files that are no tables, in values of rows, in keys and in reports."""

from __future__ import annotations

import gzip
import hashlib
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from propensity.erasure.domain.spelling import SEPARATORS, folded, readings, texts_of
from propensity.erasure.domain.subject import digits_of, kinds_of, pattern, telling

_PIECE = 1 << 22
_OVERLAP = 1 << 13  # bytes; the overlap is longer than any name with its separators, each character escaped twice
_NO_SEPARATORS = dict.fromkeys(map(ord, SEPARATORS))
_UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class NameFinder:
    """A finder of names as whole tokens, however they are spelt (`readings`) and encoded (`texts_of`)."""

    def __init__(self, names: Collection[str]) -> None:
        # a search for plain text comes first, because it is fifty times as fast as the expression
        self._hints = sorted({kind for name in names for kind in kinds_of(name)})
        self._digits = [digits for digits in map(digits_of, names) if digits]
        self._long = {folded(name) for name in names if len(name) > 3}
        expression = pattern(names)
        self._pattern = re.compile(expression) if expression else None
        self._telling = names if all(map(telling, names)) else [name for name in names if telling(name)]
        self._in_keys = self if self._telling is names else NameFinder(self._telling)

    @property
    def expression(self) -> str | None:
        """The regular expression for RE2 that finds the names in plain text; None without names."""
        return self._pattern.pattern if self._pattern else None

    @property
    def telling(self) -> NameFinder:
        """The finder of those names that can hardly mean anything else."""
        return self._in_keys

    def within(self, data: bytes) -> bool:
        """Whether bytes hold a name."""
        return any(map(self.within_text, texts_of(data)))

    def within_text(self, text: str) -> bool:
        """Whether a text holds a name, as it is written or once its escapes are undone."""
        return any(map(self._within, readings(text)))

    def _within(self, reading: str) -> bool:
        if not any(hint in reading for hint in self._hints):
            digits = reading.translate(_NO_SEPARATORS) if self._digits else ""
            if not any(number in digits for number in self._digits):
                return False
        return self._pattern is not None and self._pattern.search(reading) is not None

    def within_file(self, path: Path) -> bool | None:
        """Whether a file holds a name; None for a compressed file that cannot be unpacked."""
        end = b""
        try:
            for piece in pieces(path):
                if self.within(end + piece):
                    return True
                end = piece[-_OVERLAP:]
        except _UNREADABLE:
            return None
        return False

    def without_lines(self, data: bytes) -> tuple[bytes, int] | None:
        """Return the text without the lines that hold a name, and the number of such lines.

        The result is None where the file must go whole because its lines cannot be told apart (UTF-16, other binary
        data). A file must also go whole where a record runs over several lines, because the record's other lines may be
        the person's without a name in them.
        """
        if b"\0" in data:
            return None
        lines = data.splitlines(keepends=True)
        kept = [line for line in lines if not self.within(line)]
        if any(line.count(b'"') % 2 for line in lines) or self.within(b"".join(kept)):
            return None
        return b"".join(kept), len(lines) - len(kept)

    def without_key(self, key: str) -> str:
        """Return an object's key with a hash in place of each part that names the person; any other key as it is."""
        if not self._in_keys.within_text(key):
            return key
        mark = f"erased-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        parts = [mark if self._in_keys.within_text(part) else part for part in key.split("/")]
        shown = "/".join(parts)
        return mark if mark not in parts or self._in_keys.within_text(shown) else shown

    def without_values(self, value: Any) -> Any:
        """Return a JSON value with a hash in place of each text, member names included, that names the person.

        A text names the person where it holds a telling name, or is a name.
        """
        if isinstance(value, dict):
            return {self.without_values(name): self.without_values(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.without_values(one) for one in value]
        if not isinstance(value, str):
            return value
        if self._long.intersection(readings(value)):
            return f"erased-{hashlib.sha256(value.encode()).hexdigest()[:12]}"
        return self.without_key(value) if value else value


def is_gzip(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(2) == b"\x1f\x8b"


def is_parquet(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(4) == b"PAR1"


def is_zip(path: Path) -> bool:
    """Whether a file is a ZIP archive, as workbooks (.xlsx) are."""
    with path.open("rb") as raw:
        return raw.read(4) == b"PK\x03\x04"


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, unpacked where the file is compressed or an archive.

    Raises OSError, EOFError, zlib.error or BadZipFile where the file is damaged.
    """
    if is_zip(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield member.encode()
                with archive.open(member) as raw:
                    while piece := raw.read(_PIECE):
                        yield piece
        return
    with gzip.open(path) if is_gzip(path) else path.open("rb") as raw:
        while piece := raw.read(_PIECE):
            yield piece
