"""Delimited text into a form that an engine cannot misread: one record per line, fields split by one byte.

DuckDB's reader loses rows without a word where quotes do not close, lines end in three ways, or NULs stand in
the text (measured, FACTS.md). So the lines are found and counted here, and what the engine is given holds no
quotes, no carriage returns and no line breaks but its own. A block of plain lines is passed on as it is, at
the speed of `bytes.translate`; only blocks with quotes or oddities are taken line by line.

A staged line is `fields` or `fields RS line RS error RS raw`; fields are split by US, line breaks inside values
stand as GS. The control characters that separate may not stand in the data: a row that holds one is an error.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from propensity.domain.errors import BadInputError

FIELD, RECORD, BREAK, ABSENT = b"\x1f", b"\x1e", b"\x1d", b"\x1c"
MAX_UNZIPPED = 8 * 1024**3  # a function's /tmp holds 10 GB
MAX_LINE = 1_000_000  # bytes; a longer "line" is a file of another kind
_BLOCK = 1 << 20
_CONTROL = bytes(code for code in range(32) if code not in (9, 10, 13))
_MAX_SPAN = 200  # lines a quoted value may run over before the quote is taken for one that never closes


@dataclass(frozen=True, slots=True)
class Staged:
    """`header` are the file's column names; `records` the rows staged, `blank` the empty lines left out."""

    path: Path
    header: tuple[str, ...]
    header_line: int
    records: int
    blank: int
    lines: int


def stage(source: Path, target: Path, *, key: str, gzipped: bool) -> Staged:
    """Rewrite a CSV file. Raises BadInputError for a file that cannot be read at all."""
    with (gzip.open(source, "rb") if gzipped else source.open("rb")) as raw, target.open("wb") as out:
        try:
            return _Stager(raw, out, key).run(target)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadInputError(f"{key}: the gzip stream is damaged or cut short ({error}); send the file again") from error


class _Stager:
    def __init__(self, raw: IO[bytes], out: IO[bytes], key: str) -> None:
        self._raw, self._out, self._key = raw, out, key
        self._read = 0
        self._line = 0  # lines consumed so far
        self._records = self._blank = 0

    def run(self, target: Path) -> Staged:
        blocks = self._blocks()
        first = next(blocks, b"")
        if not first.strip():
            raise BadInputError(f"{self._key}: line 1: the file is empty, expected a header and rows; send it again")
        header, header_line, rest = self._header(first)
        self._block(rest)
        for block in blocks:
            self._block(block)
        return Staged(target, header, header_line, self._records, self._blank, self._line)

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines, a megabyte or so at a time, line ends made one."""
        held = b""
        carriage_only: bool | None = None
        while piece := self._raw.read(_BLOCK):
            if self._read == 0:
                if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise BadInputError(f"{self._key}: line 1: the text is UTF-16, expected UTF-8; export it as UTF-8")
                piece = piece.removeprefix(b"\xef\xbb\xbf")
                carriage_only = b"\r" in piece and b"\n" not in piece
            self._read += len(piece)
            if self._read > MAX_UNZIPPED:
                raise BadInputError(f"{self._key}: more than {MAX_UNZIPPED} bytes unzipped; split the file")
            held += piece
            if carriage_only:
                held = held.replace(b"\r", b"\n")
            end = held.rfind(b"\n") + 1
            if end == 0 and len(held) > 2 * MAX_LINE:
                raise BadInputError(
                    f"{self._key}: line {self._line + 1}: no line end in {len(held)} bytes, expected lines of at most "
                    f"{MAX_LINE}; this is no CSV file"
                )
            # a block that ends inside a quoted value would cut it: keep lines until the quotes pair up
            if end and held.count(b'"', 0, end) % 2 and len(held) < 8 * _BLOCK:
                continue
            if end:
                yield held[:end].replace(b"\r\n", b"\n")
                held = held[end:]
        if held:
            yield held.replace(b"\r\n", b"\n") + (b"" if held.endswith(b"\n") else b"\n")

    def _header(self, block: bytes) -> tuple[tuple[str, ...], int, bytes]:
        while True:
            line, _, block = block.partition(b"\n")
            self._line += 1
            if line.strip():
                break
            if not block:
                raise BadInputError(f"{self._key}: line 1: only empty lines, expected a header and rows")
        try:
            [names] = csv.reader([line.decode()], strict=True)
        except (UnicodeDecodeError, csv.Error, ValueError) as error:
            raise BadInputError(
                f"{self._key}: line {self._line}: the header cannot be read ({type(error).__name__}), expected UTF-8 "
                "column names split by commas"
            ) from error
        return tuple(name.strip() for name in names), self._line, block

    def _block(self, block: bytes) -> None:
        if not block:
            return
        plain = (
            b'"' not in block
            and b"\n\n" not in block
            and not block.startswith(b"\n")
            and b"\r" not in block
            and len(block.translate(None, _CONTROL)) == len(block)
            and _is_text(block)
        )
        count = block.count(b"\n")
        if plain and self._line == self._records + 1:
            # every line so far was one record, so the record's number gives its line
            self._out.write(block.translate(_COMMA))
            self._line += count
            self._records += count
            return
        lines = block.split(b"\n")[:-1]
        position = 0
        while position < len(lines):
            position += self._record(lines, position)

    def _record(self, lines: list[bytes], position: int) -> int:
        """Stage the record that begins at a line; how many lines it takes."""
        line = lines[position]
        number = self._line + 1
        if not line.strip():
            self._blank += 1
            self._line += 1
            return 1
        taken, fields, error = 1, None, None
        if b'"' not in line:
            fields, error = line.split(b","), _oddity(line)
        else:
            taken, fields, error = _quoted(lines, position)
        raw = b"\n".join(lines[position : position + taken])
        values = FIELD.join(fields) if fields is not None and error is None else ABSENT
        self._out.write(
            RECORD.join((values, str(number).encode(), (error or "").encode(), _printable(raw).replace(b"\n", BREAK)))
        )
        self._out.write(b"\n")
        self._line += taken
        self._records += 1
        return taken


_COMMA = bytes.maketrans(b",", FIELD)


def _quoted(lines: list[bytes], position: int) -> tuple[int, list[bytes] | None, str | None]:
    """A record with quotes: alone where its quotes pair up, else with the lines up to where they do."""
    text = lines[position]
    if text.count(b'"') % 2 == 0:
        return (1, *_parse(text))
    for end in range(position + 1, min(len(lines), position + _MAX_SPAN)):
        text += b"\n" + lines[end]
        if lines[end].count(b'"') % 2:
            fields, error = _parse(text)
            if error is None and fields is not None and _closes_well(lines[position], fields):
                return end - position + 1, fields, None
            break
    # the quote never closes, or closes where a field cannot end: this line is bad, the next begins anew
    return 1, None, "quote"


def _closes_well(first: bytes, fields: list[bytes]) -> bool:
    """Whether the value with the line break holds no more commas than one value plausibly does.

    Two lines whose quotes never close look like one value from one to the other, with whole records in it;
    a value that holds a line with as many commas as the record has is such a pair.
    """
    broken = [field for field in fields if BREAK in field]
    separators = len(fields) - 1
    return not any(piece.count(b",") >= separators > 0 for field in broken for piece in field.split(BREAK))


def _parse(text: bytes) -> tuple[list[bytes] | None, str | None]:
    error = _oddity(text)
    if error:
        return None, error
    try:
        records = list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))
    except csv.Error:
        return None, "quote"
    if len(records) != 1:
        return None, "quote"
    return [field.encode().replace(b"\n", BREAK) for field in records[0]], None


def _oddity(text: bytes) -> str | None:
    if not _is_text(text):
        return "encoding"
    if b"\r" in text or len(text.translate(None, _CONTROL)) != len(text):
        return "control"
    return "length" if len(text) > MAX_LINE else None


def _is_text(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _printable(raw: bytes) -> bytes:
    """The raw line for quarantine, with what is no text or would separate written as \\xNN."""
    shown = raw.decode(errors="backslashreplace")
    return "".join(one if one >= " " or one in "\t\n" else f"\\x{ord(one):02x}" for one in shown).encode()
