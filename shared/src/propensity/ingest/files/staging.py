"""Rewrites CSV with quotes and odd characters so that no engine can misread it, one staged line per line of the file.

DuckDB's reader loses rows without an error where quotes do not close, or where lines end in three ways (measured,
docs/decisions/0005-validation-reads-text-in-one-pass.md). So Python's csv module reads the quotes in strict mode.
A staged line has no quotes, no line breaks inside values, and the right number of fields, split by US. A line that is
no whole record has a mark after its fields. The mark is the number of lines of a longer record, or the rule that the
line breaks.
A line that begins no record is empty, or continues a value with line breaks. It is staged with the mark `skipped`, so
that a line's number is its place in the staged file.

A quote that never closes would swallow the lines after it. A quote counts as never closing in three cases. Its record
does not end within 200 lines, or ends with another number of fields, or has on each line as many separators as a whole
record. The third case does not count for two lines of which the last opens no quote: these are a closed note. Where a
quote never closes, the record's first line is bad, and reading continues with the next line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import IO

from propensity.ingest.domain.budgets import MAX_LINE, check_size
from propensity.ingest.files.landed_text import CONTROL, LandedText, whole_lines

FIELD, BREAK = "\x1f", "\x1d"  # US splits fields; GS stands for a line break inside a value
SKIPPED = "skipped"
_MAX_SPAN = 200  # the greatest number of lines of one record
_US = FIELD.encode()


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged file of `lines` lines.

    `blank` lines are empty, and `continued` lines continue the record of a line before. `only_spaces` says that the
    file has no blank but the space.
    """

    path: Path
    lines: int
    blank: int
    continued: int
    only_spaces: bool


def stage(text: LandedText, target: Path, *, key: str, delimiter: str) -> Staged:
    """Write the staged file. Raises BadInputError for a file that is no text at all."""
    with target.open("wb") as out:
        stager = _Stager(out, width=len(text.header), delimiter=delimiter)
        rest = b""
        for block in whole_lines(text, key=key):
            rest = stager.take(rest + block, final=False)
            check_size(f"{key}: file", stager.lines, len(text.header))
        if rest:
            stager.take(rest, final=True)
    return Staged(target, stager.lines, stager.blank, stager.continued, stager.only_spaces)


class _Stager:
    def __init__(self, out: IO[bytes], *, width: int, delimiter: str) -> None:
        self._out, self._width, self._delimiter = out, width, delimiter
        self._separator = delimiter.encode()
        self._to_field = bytes.maketrans(self._separator, _US)
        self._to_separator = bytes.maketrans(_US, self._separator)
        self._between = b'"' + self._separator + b'"'
        self._empty = FIELD * width
        self.lines = self.blank = self.continued = 0
        self.only_spaces = True

    def take(self, block: bytes, *, final: bool) -> bytes:
        """Stage a block of whole lines. Returns the end of it that may continue in the next block."""
        self.only_spaces = self.only_spaces and block.isascii() and b"\t" not in block
        odd = len(block.translate(None, CONTROL)) != len(block) or b"\r" in block or not _is_text(block)
        if not odd and self._at_once(block):
            return b""
        lines = block.split(b"\n")[:-1]
        if not odd and max(map(len, lines)) <= MAX_LINE:
            return self._records(block.decode(), final=final)
        run: list[bytes] = []
        for line in lines:
            error = oddity(line)
            if error is None:
                run.append(line)
                continue
            # a record cannot continue past a line that cannot be read
            self._records(b"".join(good + b"\n" for good in run).decode(), final=True)
            run.clear()
            self._stage([self._empty + error])
        return self._records(b"".join(good + b"\n" for good in run).decode(), final=final)

    def _at_once(self, block: bytes) -> bool:
        """Stage a block at once, and say whether that was possible.

        It is possible where each line is a whole record. Besides, either all values are quoted or at most a third of
        the lines have quotes.
        """
        staged = self._all_quoted(block) or block.translate(self._to_field).split(b"\n")[:-1]
        if b'"' in block:
            quoted = [number for number, line in enumerate(staged) if b'"' in line]
            if len(quoted) * 3 > len(staged):
                return False
            for number in quoted:
                fields = self._alone(staged[number].translate(self._to_separator).decode())
                if fields is None:
                    return False
                staged[number] = FIELD.join(fields).encode()
        if set(map(methodcaller("count", _US), staged)) != {self._width - 1} or max(map(len, staged)) > MAX_LINE:
            return False
        if self._width == 1 and not all(line.strip() for line in staged):
            return False
        self._write(b"\n".join(staged))
        self.lines += len(staged)
        return True

    def _all_quoted(self, block: bytes) -> list[bytes] | None:
        """The staged lines of a block in which every value is quoted. The result is None for other blocks.

        No value may have a quote or a line break inside it. Each quote is removed together with the quote next to it,
        of the next value or line. A quote that is left stood inside a value (of an escaped pair, one is always left).
        A line break inside a value leaves lines with too few fields, which the caller sees, if there is more than one
        field. This way takes a fifth of the csv module's time.
        """
        if self._width == 1 or not (block.startswith(b'"') and block.endswith(b'"\n')):
            return None
        staged = block[1:-2].replace(b'"\n"', b"\n").replace(self._between, _US)
        return None if b'"' in staged else staged.split(b"\n")

    def _alone(self, line: str) -> list[str] | None:
        try:
            [fields] = csv.reader([line], delimiter=self._delimiter, strict=True)
        except (csv.Error, ValueError):
            return None
        return fields

    def _records(self, text: str, *, final: bool) -> bytes:
        """Stage text record by record. Returns the end of it that may continue in the next block."""
        lines = io.StringIO(text, newline="\n").readlines()
        start = 0
        while start < len(lines):
            # an iterator that skipped to `start` would make a file with a bad quote on every line quadratic
            ahead = map(lines.__getitem__, range(start, len(lines)))
            reader = csv.reader(ahead, delimiter=self._delimiter, strict=True)
            staged: list[str] = []
            done = 0
            failed = False
            try:
                for fields in reader:
                    taken = reader.line_num - done
                    if taken == 1 and len(fields) == self._width and (self._width > 1 or lines[start + done].strip()):
                        # the engine would not read an empty line back
                        staged.append(FIELD.join(fields) or FIELD)
                    elif taken == 1:
                        staged.append(self._odd_line(lines[start + done]))
                    elif self._swallows(fields, lines[start + done : start + reader.line_num]):
                        failed = True
                        break
                    else:
                        self.continued += taken - 1
                        joined = FIELD.join(fields).replace("\n", BREAK)
                        staged += [f"{joined}{FIELD}{taken}", *[self._empty + SKIPPED] * (taken - 1)]
                    done = reader.line_num
            except csv.Error:
                failed = True
            self._stage(staged)
            start += done
            if failed:
                # the record reaches the end of the text: the next block may close its quote
                if not final and start + reader.line_num - done == len(lines) and len(lines) - start <= _MAX_SPAN:
                    return "".join(lines[start:]).encode()
                self._stage([self._empty + "quote"])
                start += 1
        return b""

    def _odd_line(self, line: str) -> str:
        if line.strip():
            return self._empty + "columns"
        self.blank += 1
        return self._empty + SKIPPED

    def _swallows(self, fields: list[str], lines: list[str]) -> bool:
        """Whether a record of several lines is a quote that never closes (see the module's docstring)."""
        if len(fields) != self._width or len(lines) > _MAX_SPAN or sum(map(len, lines)) > MAX_LINE:
            return True
        if self._width == 1 or any(line.count(self._delimiter) != self._width - 1 for line in lines):
            return False
        # of two lines neither is a record alone: the first opens a quote, and the last has a stray one. With rows of
        # their own between them, or a last line that itself opens a quote, one that never closes is likelier
        return len(lines) > 2 or self._alone(lines[1]) is None

    def _stage(self, staged: list[str]) -> None:
        if staged:
            self._write("\n".join(staged).encode())
            self.lines += len(staged)

    def _write(self, staged: bytes) -> None:
        self._out.write(staged)
        self._out.write(b"\n")


def oddity(line: bytes) -> str | None:
    """The name of the rule for whole lines that a line breaks by its bytes: encoding, control or length."""
    if not _is_text(line):
        return "encoding"
    if b"\r" in line or len(line.translate(None, CONTROL)) != len(line):
        return "control"
    return "length" if len(line) > MAX_LINE else None


def _is_text(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def copy_raw_lines(text: LandedText, wanted: Iterable[tuple[int, int]], target: Path, *, key: str) -> None:
    """Write `line US raw` for each (line, number of lines) in `wanted`, which ascends. GS stands for a line break.

    Bytes that are no text and control characters are written as \\xNN. A raw line is cut at 131,072 characters.
    """
    requests = iter(wanted)
    line, span = next(requests, (0, 0))
    number = text.header_line + 1
    begun: list[bytes] = []  # the lines of a record that the block before did not finish
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for block in whole_lines(text, key=key):
            if not line:
                return
            count = block.count(b"\n")
            if not begun and line >= number + count:
                number += count
                continue
            lines = begun + block.split(b"\n")[:-1]
            first = number - len(begun)
            number += count
            begun = []
            while line:
                at = line - first
                if at + span > len(lines):
                    begun = lines[at:] if at < len(lines) else []
                    break
                out.write(f"{line}{FIELD}{_printable(b'\n'.join(lines[at : at + span]))}\n")
                line, span = next(requests, (0, 0))


def _printable(raw: bytes) -> str:
    shown = raw.decode(errors="backslashreplace")
    if not shown.isprintable():
        shown = "".join(char if char >= " " or char in "\t\n" else f"\\x{ord(char):02x}" for char in shown)
    return shown[:MAX_LINE].replace("\n", BREAK)
