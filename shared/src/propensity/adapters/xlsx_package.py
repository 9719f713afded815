"""The container of a workbook (.xlsx, ECMA-376): a ZIP archive of XML parts, looked through before a reader loads it.

The reader keeps a whole sheet in memory, and its process ends where memory runs out. So sizes are counted here first,
part by part, and by what the parts really unzip to, because the archive's own figures may be wrong.
"""

from __future__ import annotations

import copy
import mmap
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from propensity.ingest.domain.budgets import FREE_OF_RATIO, MAX_BOOK_BYTES, MAX_PART_BYTES, MAX_RATIO, over_budget
from propensity.kernel.errors import BadInputError

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the container of .xls, and of workbooks with a password
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_END = b"PK\x05\x06"  # the record that ends an archive
_MAX_DIRECTORY = 16 * 1024**2  # bytes of the archive's list of parts; a part takes about 70
_BLOCK = 1 << 20
_BIG = ("worksheets/", "sharedStrings", "media/", "embeddings/")  # parts that may be larger than the others


@dataclass(frozen=True, slots=True)
class Part:
    """A sheet of the workbook: its name, the path of its part, and whether the sheet is hidden or has no cells."""

    name: str
    path: str
    hidden: bool
    cells: bool


@dataclass(frozen=True, slots=True)
class Package:
    """A workbook's container. `strings` is the path of the shared texts, None without any."""

    path: Path
    where: str
    sheets: tuple[Part, ...]
    strings: str | None

    def parse(self, part: str, start: Callable[[str, dict[str, str]], None], parser: expat.XMLParserType) -> None:
        """Run a part through a parser whose element handler is `start`. Raises BadInputError for damaged XML."""
        with zipfile.ZipFile(self.path) as archive:
            _parse(archive, part, self.where, start, parser)


def open_package(path: Path, where: str) -> Package:
    """Look through a workbook. Raises BadInputError for a file that is none, is damaged, or is over a budget."""
    _check_kind(path, where)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(archive, path, where)
            return _package(archive, path, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, ValueError, OSError) as error:
        raise _damaged(where) from error


def _damaged(where: str) -> BadInputError:
    return BadInputError(f"{where}: file: the workbook is damaged or cut short, expected a whole one; send it again")


def _no_workbook(where: str, found: str) -> BadInputError:
    return BadInputError(
        f"{where}: file: {found}, expected an Excel workbook (.xlsx); save it as one and send it again"
    )


def _check_kind(path: Path, where: str) -> None:
    with path.open("rb") as raw:
        start = raw.read(8)
        if start == _OLE:
            with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as body:
                if body.find(_ENCRYPTED) >= 0:
                    raise _no_workbook(where, "the workbook has a password")
            raise _no_workbook(where, "the workbook is of the old format .xls")
        if not start:
            raise BadInputError(f"{where}: file: the file is empty, expected an Excel workbook (.xlsx); send it again")
        if not start.startswith(b"PK"):
            raise _no_workbook(where, "the file is no workbook, whatever its name says")
        size = path.stat().st_size
        raw.seek(max(0, size - 65_557))  # the record has 22 bytes, and a comment of up to 65,535
        tail = raw.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < 22:
        raise _damaged(where)
    # the list of parts is read at once, so its size is looked at before; 4 bytes of 0xff announce a ZIP64 archive
    if int.from_bytes(tail[end + 12 : end + 16], "little") > _MAX_DIRECTORY:
        raise _no_workbook(where, "the archive has more parts than a workbook")


def _check_parts(archive: zipfile.ZipFile, path: Path, where: str) -> None:
    parts = archive.infolist()
    names = {part.filename.casefold() for part in parts}
    if len(names) != len(parts):
        raise _no_workbook(where, "the archive has a part twice")
    if any(part.flag_bits & 1 for part in parts):
        raise _no_workbook(where, "the archive has a password")
    if "xl/workbook.bin" in names:
        raise _no_workbook(where, "the workbook is of the binary format .xlsb")
    if "[content_types].xml" not in names:
        raise _no_workbook(where, "the file is an archive without a workbook")
    # as the archive says at first, because that costs nothing, then as it is
    most = min(MAX_BOOK_BYTES, max(FREE_OF_RATIO, MAX_RATIO * path.stat().st_size))
    total = sum(part.file_size for part in parts)
    for part in parts:
        if total > most:
            break
        if part.file_size > MAX_PART_BYTES and not any(big in part.filename for big in _BIG):
            budget = "bytes of a workbook's part"
            raise over_budget(f"{where}: file", budget, f"a part unzips to {part.file_size:,} bytes")
        read = sum(len(piece) for piece in _pieces(archive, part))
        total += max(0, read - part.file_size)
        if read != part.file_size:
            raise _damaged(where)
    if total > MAX_BOOK_BYTES:
        raise over_budget(f"{where}: file", "bytes of a workbook", f"unzips to {total:,} bytes or more")
    if total > most:
        raise BadInputError(
            f"{where}: file: unzips to more than {most:,} bytes, more than {MAX_RATIO} times its size, which no "
            "workbook does; send it as CSV"
        )


def _pieces(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a part, at most one more than the archive says, so that a wrong figure shows."""
    one_more = copy.copy(part)
    one_more.file_size += 1
    with archive.open(one_more) as body:
        while piece := body.read(_BLOCK):
            yield piece


def _parse(
    archive: zipfile.ZipFile,
    part: str,
    where: str,
    start: Callable[[str, dict[str, str]], None],
    parser: expat.XMLParserType,
) -> None:
    def refuse(*_: object) -> None:
        raise BadInputError(f"{where}: file: a part declares entities, which no workbook does; save it with Excel")

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        # the reader takes XML in another encoding for an empty sheet
        if encoding is not None and encoding.casefold() != "utf-8":
            raise BadInputError(f"{where}: file: a part is no UTF-8, expected what Excel saves; save it with Excel")

    parser.StartDoctypeDeclHandler = refuse
    parser.XmlDeclHandler = declared
    parser.StartElementHandler = start
    try:
        first = True
        for piece in _pieces(archive, archive.getinfo(part)):
            if first and piece.startswith((b"\xff\xfe", b"\xfe\xff")):
                declared("1.0", "utf-16", 0)
            first = False
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise _damaged(where) from error


def _elements(archive: zipfile.ZipFile, part: str, where: str) -> list[tuple[str, Mapping[str, str]]]:
    """(name without its prefix, attributes) of each element of a small part."""
    found: list[tuple[str, Mapping[str, str]]] = []
    parser = expat.ParserCreate()
    _parse(archive, part, where, lambda name, attributes: found.append((name.rpartition(":")[2], attributes)), parser)
    return found


def _package(archive: zipfile.ZipFile, path: Path, where: str) -> Package:
    names = {name.casefold(): name for name in archive.namelist()}

    def related(part: str) -> dict[str, tuple[str, str]]:
        """(kind, path) of what a part refers to, by id."""
        folder, _, file = part.rpartition("/")
        listed = names.get(f"{folder}/_rels/{file}.rels".removeprefix("/").casefold())
        found = {}
        for name, attributes in _elements(archive, listed, where) if listed else ():
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = kind, names.get(target.removeprefix("/").casefold(), "")
        return found

    books = [target for kind, target in related("").values() if kind == "officeDocument"]
    if len(books) != 1 or not books[0]:
        raise _no_workbook(where, "the file is an archive without a workbook")
    parts = related(books[0])
    sheets = []
    for name, attributes in _elements(archive, books[0], where):
        if name == "sheet":
            by = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
            kind, target = parts.get(by, ("", ""))
            hidden = attributes.get("state", "visible") != "visible"
            sheets.append(Part(attributes.get("name", ""), target, hidden, kind == "worksheet" and bool(target)))
    strings = [target for kind, target in parts.values() if kind == "sharedStrings" and target]
    if not sheets:
        raise _no_workbook(where, "the file has no sheets")
    return Package(path, where, tuple(sheets), strings[0] if strings else None)
