"""CSV with quotes and oddities, rewritten so that no engine can misread it: one staged line per line of the file.

DuckDB's reader loses rows without a word where quotes do not close or lines end in three ways (measured,
docs/decisions/0005-validation-reads-text-in-one-pass.md). So quotes are read here, by Python's csv module in strict
mode, and what the engine is given has no quotes, no line breaks inside values and the right number of fields
everywhere: fields split by US, then what the line is. A line that begins no record (empty, or the rest of a value with
line breaks) keeps its place as a skipped one, so that a line's number is its place in the staged file.

A quote that never closes would swallow the lines behind it. It is taken for one where the record does not end
within 200 lines, or ends with another number of fields, or every line of it alone has as many separators as a
record: then its first line is bad, and reading goes on with the next.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from operator import methodcaller
from pathlib import Path
from typing import IO

from propensity.ingest.files.landed_text import CONTROL, MAX_LINE, LandedText, whole_lines

FIELD, BREAK = "\x1f", "\x1d"
SKIPPED = "skipped"
_MAX_SPAN = 200
_US = FIELD.encode()


@dataclass(frozen=True, slots=True)
class Staged:
    """`lines` staged, of which `blank` are empty and `continued` belong to the record of a line before.

    `only_spaces`: no other blank than the space stands in the file.
    """

    path: Path
    lines: int
    blank: int
    continued: int
    only_spaces: bool


def stage(text: LandedText, target: Path, *, key: str, delimiter: str) -> Staged:
    """Raises BadInputError for a file that is no text at all."""
    with target.open("wb") as out:
        stager = _Stager(out, width=len(text.header), delimiter=delimiter)
        held = b""
        for block in whole_lines(text, key=key):
            held = stager.take(held + block, final=False)
        if held:
            stager.take(held, final=True)
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
        """Stage whole lines; the end of the block that may go on in the next one comes back."""
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
            # a record cannot go on past a line that cannot be read
            self._records(b"".join(one + b"\n" for one in run).decode(), final=True)
            run.clear()
            self._stage([self._empty + error])
        return self._records(b"".join(one + b"\n" for one in run).decode(), final=final)

    def _at_once(self, block: bytes) -> bool:
        """Stage a block whose lines are all whole records, every value of them quoted, or few."""
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
        """Lines whose every value is quoted, with neither quotes nor line breaks inside one; None for others.

        Where no quote is left, each was the end of one value and the beginning of the next: an escaped pair has
        one at least that is neither. A line break inside a value leaves lines with too few fields, if there are
        several. A fifth of the csv module's time.
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
        """Stage text record by record; what may go on behind its end comes back."""
        lines = io.StringIO(text, newline="\n").readlines()
        start = 0
        while start < len(lines):
            reader = csv.reader(islice(lines, start, None), delimiter=self._delimiter, strict=True)
            staged: list[str] = []
            done = 0
            failed = False
            try:
                for fields in reader:
                    taken = reader.line_num - done
                    if taken == 1 and len(fields) == self._width and (self._width > 1 or lines[start + done].strip()):
                        # an empty line would not be read back
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
                # it ran to the end of the text: what comes next may close the quote
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
        """Whether a record of several lines is rather a quote that never closes (see the module's text)."""
        if len(fields) != self._width or len(lines) > _MAX_SPAN or sum(map(len, lines)) > MAX_LINE:
            return True
        return self._width > 1 and all(line.count(self._delimiter) == self._width - 1 for line in lines)

    def _stage(self, staged: list[str]) -> None:
        if staged:
            self._write("\n".join(staged).encode())
            self.lines += len(staged)

    def _write(self, staged: bytes) -> None:
        self._out.write(staged)
        self._out.write(b"\n")


def oddity(line: bytes) -> str | None:
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
    """Write `line US raw` for each (line, how many lines) wanted, ascending; line breaks in raw stand as GS.

    What is no text, and control characters, are written as \\xNN; a raw line is cut at 131,072 characters.
    """
    rest = iter(wanted)
    line, span = next(rest, (0, 0))
    number = text.header_line + 1
    held: list[bytes] = []
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for block in whole_lines(text, key=key):
            if not line:
                return
            count = block.count(b"\n")
            if not held and line >= number + count:
                number += count
                continue
            lines = held + block.split(b"\n")[:-1]
            first = number - len(held)
            number += count
            held = []
            while line:
                at = line - first
                if at + span > len(lines):
                    held = lines[at:] if at < len(lines) else []
                    break
                out.write(f"{line}{FIELD}{_printable(b'\n'.join(lines[at : at + span]))}\n")
                line, span = next(rest, (0, 0))


def _printable(raw: bytes) -> str:
    shown = raw.decode(errors="backslashreplace")
    if not shown.isprintable():
        shown = "".join(one if one >= " " or one in "\t\n" else f"\\x{ord(one):02x}" for one in shown)
    return shown[:MAX_LINE].replace("\n", BREAK)
