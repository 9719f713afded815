"""Prepares a landed text file before its values are read: unpacks it, reads its header, finds and counts its lines.

A line ends in LF or CR LF. In a file without any LF in its first megabyte, a line ends in CR. Lines are numbered from 1
with the header, as an editor shows them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from propensity.ingest.domain.budgets import (
    FREE_OF_RATIO,
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_LINE,
    MAX_RATIO,
    check_size,
    over_budget,
)
from propensity.kernel.errors import BadInputError
from propensity.pack.domain.contract import DELIMITERS, TextForm

BLOCK = 1 << 20
CONTROL = bytes(code for code in range(32) if code not in (9, 10, 13))
BOM = b"\xef\xbb\xbf"
# a byte order mark is certain: no text of another encoding begins with these bytes
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", BOM: "utf-8"}
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")


@dataclass(frozen=True, slots=True)
class LandedText:
    """An unpacked text file. The text is UTF-8 except for bad rows; `header_line` is the line with the column names.

    `plain` says that after the header there is no quote, no control character, no lone CR and no byte that is not
    UTF-8. An engine may then split the text at every delimiter and line end. Only then `newline` and `lines` (lines
    after the header) are known. `carriage_only` says that lines end in CR. `only_spaces` says that the file has no
    blank but the space. `assumed` has what was taken from the first lines, and `sample` the values of the first rows.
    """

    path: Path
    header: tuple[str, ...]
    header_line: int
    carriage_only: bool
    plain: bool
    newline: str
    lines: int
    only_spaces: bool
    delimiter: str = ","
    assumed: tuple[str, ...] = ()
    sample: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A file as UTF-8 text. `assumed` tells what its byte order mark said."""

    path: Path
    assumed: tuple[str, ...] = ()


def unpack(source: Path, target: Path, form: TextForm | None, *, key: str, gzipped: bool) -> Unpacked:
    """The file as UTF-8 text.

    This is `source` where it is such text already, else `target`, which is written. A byte order mark decides the
    encoding; the form's encoding decides where the file has none. Without a form (JSON) that is UTF-8.
    Raises BadInputError for a damaged file, or for a file that unzips to too much.
    """
    ratio_limit = max(FREE_OF_RATIO, MAX_RATIO * source.stat().st_size) if gzipped else MAX_BYTES
    size = written = 0
    try:
        with gzip.open(source, "rb") if gzipped else source.open("rb") as raw:
            piece = raw.read(BLOCK)
            encoding, assumed = _encoding(piece, form, key)
            if not gzipped and encoding == "utf-8":
                return Unpacked(source, assumed)
            # bytes that the encoding does not know become bytes that are no UTF-8, so that their row is bad
            kept = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
            decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)(errors=kept)
            with target.open("wb") as out:
                while True:
                    size += len(piece)
                    if size > ratio_limit:
                        raise BadInputError(
                            f"{key}: line 1: unzips to more than {ratio_limit:,} bytes, more than {MAX_RATIO} times "
                            "its size, which no export does; send it without gzip"
                        )
                    text = decoder.decode(piece, final=not piece).encode(errors=kept) if decoder else piece
                    written += out.write(text)
                    if max(size, written) > MAX_BYTES:
                        raise over_budget(f"{key}: line 1", "bytes", f"unzips to more than {MAX_BYTES:,} bytes")
                    if not piece:
                        return Unpacked(target, assumed)
                    piece = raw.read(BLOCK)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInputError(
            f"{key}: line 1: the gzip stream is damaged or cut short after {size} bytes, expected a whole one; "
            "send the file again"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{key}: file: its text is {encoding} and ends within a character after {size} bytes, expected a whole "
            "file; send the file again"
        ) from error


def _encoding(first: bytes, form: TextForm | None, key: str) -> tuple[str, tuple[str, ...]]:
    """The encoding of a text by its first bytes, else by its form, and a sentence where a mark overrules the form."""
    expected = form.encoding if form else "utf-8"
    if first.startswith(_UTF32):
        raise BadInputError(f"{key}: line 1: the text is UTF-32, expected UTF-8; export it as UTF-8")
    marked = next((encoding for mark, encoding in _MARKS.items() if first.startswith(mark)), None)
    if marked and marked != expected:
        return marked, (f"the text is {marked}, as its byte order mark says",)
    if expected == "utf-8" and (order := _unmarked_utf16(first)):
        setting = f", or set encoding {order} in the tenant's text_format" if form else ""
        raise BadInputError(
            f"{key}: line 1: the text looks like UTF-16 without a byte order mark, expected UTF-8; export it as "
            f"UTF-8{setting}"
        )
    return expected, ()


def _unmarked_utf16(first: bytes) -> str | None:
    """The byte order of text that is likely UTF-16: every second byte of most European text is zero then."""
    even, odd = first[:1000:2], first[1:1000:2]
    for order, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if high.count(0) * 10 > len(high) * 7 and low.count(0) * 10 < len(low):
            return order
    return None


def survey(
    path: Path,
    form: TextForm,
    *,
    key: str,
    columns: Sequence[str] = (),
    fits: Callable[[Sequence[str]], bool] = bool,
) -> LandedText:
    """Read the header, count the lines, and find out whether the text is plain, all in one pass.

    `fits` says whether a header has the columns of the contract. `columns` are the contract's, for a file without a
    header.
    Raises BadInputError for an empty file, or a header that cannot be read.
    """
    with path.open("rb") as raw:
        first = raw.read(BLOCK)
        carriage_only = b"\r" in first and b"\n" not in first
        end = b"\r" if carriage_only else b"\n"
        found = _header(first, end, form, key, columns, fits)
        header, header_line, start = found.names, found.line, found.end
        sample = _sample(first[start:], end, found.delimiter) if len(first) < BLOCK or end in first[start:] else ()
        piece = first[start:]
        decoder = codecs.getincrementaldecoder("utf-8")()
        feeds = returns = pairs = 0
        last = b""
        only_spaces, plain = True, header_line == (1 if form.header else 0) and not carriage_only
        # only a header's line is skipped together with the byte order mark before it
        plain = plain and (header_line == 1 or start == 0)
        while piece and plain:
            feeds += piece.count(b"\n")
            returns += piece.count(b"\r")
            # 0.1 s for 88 MB: a byte search is fast, and this translate only deletes; a regular expression takes 0.35
            if b'"' in piece or len(piece.translate(None, CONTROL)) != len(piece):
                plain = False
            if not piece.isascii():
                only_spaces = False
                plain = plain and _decodes(decoder, piece)
            only_spaces = only_spaces and b"\t" not in piece
            if returns:
                pairs += piece.count(b"\r\n") + (last == b"\r" and piece.startswith(b"\n"))
            last = piece[-1:]
            piece = raw.read(BLOCK)
            check_size(f"{key}: file", feeds, len(header), plain=plain)
    # plain text has one kind of line end, which the header has too
    plain = plain and returns == pairs == (feeds if _ends_in_pairs(first, start) else 0)
    return LandedText(
        path=path,
        header=header,
        header_line=header_line,
        carriage_only=carriage_only,
        plain=plain,
        newline="\r\n" if returns else "\n",
        lines=feeds + (last not in (b"", b"\n")),
        only_spaces=plain and only_spaces,
        delimiter=found.delimiter,
        assumed=found.assumed,
        sample=sample,
    )


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes) -> bool:
    try:
        decoder.decode(piece)
    except UnicodeDecodeError:
        return False
    return True


def _ends_in_pairs(first: bytes, start: int) -> bool:
    """Whether the header's line ends in CR LF; without a header, whether the first line does."""
    line = first[:start] if start else first[: first.find(b"\n") + 1]
    return line.endswith(b"\r\n")


def _without_marks(block: bytes) -> bytes:
    """The text without byte order marks in front; some programs write two."""
    while block.startswith(BOM):
        block = block.removeprefix(BOM)
    return block


@dataclass(frozen=True, slots=True)
class _Header:
    """The column names, the number of their line (0 without one), and the offset of the text after it."""

    names: tuple[str, ...]
    line: int
    end: int
    delimiter: str
    assumed: tuple[str, ...] = ()


_TITLE_LINES = 10  # a header is looked for in so many lines that are not empty
_SEPARATOR = re.compile(r"\"?sep=(?P<delimiter>[,;|\t])\"?", re.IGNORECASE)  # Excel's own first line


def _header(
    block: bytes,
    end: bytes,
    form: TextForm,
    key: str,
    columns: Sequence[str],
    fits: Callable[[Sequence[str]], bool],
) -> _Header:
    """Find the header.

    It is the first line that is not empty, split by the delimiter of the contract or of the tenant's record. Where this
    line does not fit the contract, the first line that fits by exactly one delimiter is the header.
    """
    first = len(block) - len(_without_marks(block))
    lines = list(islice(_lines(block, first, end), _TITLE_LINES))
    if not lines:
        raise BadInputError(f"{key}: line 1: the file is empty, expected a header and rows; send it again")
    number, line, position = lines[0]
    announced = _SEPARATOR.fullmatch(line.decode(errors="replace").strip())
    if announced and len(lines) > 1:
        form, lines = replace(form, delimiter=announced["delimiter"]), lines[1:]
    said = (f"line {number} says that values are split by {form.delimiter!r}",) if announced else ()
    number, line, position = lines[0]
    try:
        names = _split(line, form.delimiter, f"{key}: line {number}")
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise BadInputError(
            f"{key}: line {number}: the header cannot be read, expected column names in UTF-8 "
            f"split by {form.delimiter!r}; export the file as CSV"
        ) from error
    if fits(names):
        return _Header(names, number, position, form.delimiter, said)
    other = _other_header(lines, form, key, fits)
    if other:
        return replace(other, assumed=(*said, *other.assumed))
    if not form.header:
        return _Header(tuple(columns), 0, first, form.delimiter, ("the file has no header, as the settings say",))
    return _Header(names, number, position, form.delimiter, said)


def _other_header(
    lines: Sequence[tuple[int, bytes, int]], form: TextForm, key: str, fits: Callable[[Sequence[str]], bool]
) -> _Header | None:
    """The header by another delimiter, or below a title. None where no line fits, or one by several delimiters."""
    for number, line, position in lines:
        fitting = []
        for delimiter in dict.fromkeys((form.delimiter, *DELIMITERS)):
            try:
                names = _split(line, delimiter, f"{key}: line {number}")
            except (UnicodeDecodeError, csv.Error, ValueError):
                continue
            if fits(names):
                fitting.append(_Header(names, number, position, delimiter))
        if len(fitting) == 1:
            [found] = fitting
            by = f"values are split by {found.delimiter!r}, as the header shows"
            said = [by] if found.delimiter != form.delimiter else []
            if number > lines[0][0]:
                said.append(f"lines {lines[0][0]} to {number - 1} stand before the header and were left out")
            return replace(found, assumed=tuple(said))
        if fitting:
            return None
    return None


def _lines(block: bytes, position: int, end: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(number, line, offset of the text after it) of each line that is not empty. A line is cut at MAX_LINE."""
    number = 0
    while position < len(block):
        line, found, _ = block[position : position + MAX_LINE].partition(end)
        position += len(line) + len(found)
        number += 1
        if line.strip():
            yield number, line, position


def _split(line: bytes, delimiter: str, where: str) -> tuple[str, ...]:
    text = line.decode().rstrip("\r")
    if text.count(delimiter) >= MAX_COLUMNS:  # before the names are made, which costs memory
        raise over_budget(where, "columns", f"{text.count(delimiter) + 1:,} columns")
    [names] = csv.reader([text], delimiter=delimiter, strict=True)
    return tuple(name.strip() for name in names)


_SAMPLED = 1_000  # rows from which the decimal sign and date formats are taken


def _sample(block: bytes, end: bytes, delimiter: str) -> tuple[tuple[str, ...], ...]:
    lines = block.decode(errors="replace").split(end.decode(), _SAMPLED)[:_SAMPLED]
    try:
        return tuple(tuple(row) for row in csv.reader((line.rstrip("\r") for line in lines), delimiter=delimiter))
    except csv.Error:
        return ()


def whole_lines(text: LandedText, *, key: str) -> Iterator[bytes]:
    """All text after the header in blocks of whole lines, about a megabyte each. Every line ends in LF.

    Raises BadInputError where no line ends within ten times MAX_LINE, because such a file is no text.
    """
    skip, rest, headless = text.header_line, b"", text.header_line == 0
    number = 1
    with text.path.open("rb") as raw:
        while piece := raw.read(BLOCK):
            rest += piece
            if headless:
                rest, headless = _without_marks(rest), False
            if text.carriage_only:
                rest = rest.replace(b"\r", b"\n")
            end = rest.rfind(b"\n") + 1
            if not end:
                if len(rest) > 10 * MAX_LINE + BLOCK:
                    raise BadInputError(
                        f"{key}: line {number}: {len(rest)} bytes without a line end, expected at most {MAX_LINE}; "
                        "this is no CSV file"
                    )
                continue
            block, rest = rest[:end], rest[end:]
            number += block.count(b"\n")
            while skip and block:
                block = block[block.index(b"\n") + 1 :]
                skip -= 1
            if block:
                # a search for one byte is ten times faster than a search for two
                yield block.replace(b"\r\n", b"\n") if b"\r" in block else block
    if rest and not skip:
        yield rest.removesuffix(b"\r") + b"\n"
