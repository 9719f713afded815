"""The search for a person's names in files that are no tables: landed files, and copies of refused files."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from propensity.erasure.domain.subject import pattern

_PIECE = 1 << 22
_OVERLAP = 512  # bytes; the overlap is longer than any name with its separators
_NO_SPACES = dict.fromkeys(map(ord, " ()/.-"))


class NameFinder:
    """A finder of names as whole tokens in bytes, whatever their case and encoding (UTF-8, Windows-1252, UTF-16)."""

    def __init__(self, names: Collection[str]) -> None:
        # a search for plain text comes first, because it is fifty times as fast as the expression
        self._hints = [name.lower() for name in names]
        self._digits = [name[-8:] for name in names if name.startswith("+")]
        expression = pattern(names)
        self._pattern = re.compile(expression) if expression else None

    def within(self, data: bytes) -> bool:
        """Whether bytes hold a name."""
        data = data.replace(b"\0", b"") if b"\0" in data else data
        codes = ("ascii",) if data.isascii() else ("utf-8", "cp1252")
        return any(self._within(data.decode(code, errors="replace").lower()) for code in codes)

    def _within(self, lowered: str) -> bool:
        if not any(hint in lowered for hint in self._hints):
            digits = lowered.translate(_NO_SPACES) if self._digits else ""
            if not any(number in digits for number in self._digits):
                return False
        return self._pattern is not None and self._pattern.search(lowered) is not None

    def within_file(self, path: Path) -> bool | None:
        """Whether a file holds a name; None for a compressed file that cannot be unpacked."""
        end = b""
        try:
            for piece in pieces(path):
                if self.within(end + piece):
                    return True
                end = piece[-_OVERLAP:]
        except (OSError, EOFError, zlib.error):
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


def is_gzip(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(2) == b"\x1f\x8b"


def is_parquet(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(4) == b"PAR1"


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, unpacked where the file is compressed.

    Raises OSError, EOFError or zlib.error where the file is damaged.
    """
    with gzip.open(path) if is_gzip(path) else path.open("rb") as raw:
        while piece := raw.read(_PIECE):
            yield piece
