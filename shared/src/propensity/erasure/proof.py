"""The proof of an erasure: every object is searched again, by code that shares nothing with the code that removed.

A name counts where it stands as a whole word, in any spelling that `unmasking` undoes. A short number may be a price or
an article too. Such a number counts only in columns that hold customers' ids, and in texts of the tenant. Other
tenants' objects are not searched, because they hold other people; the proof counts these objects by tenant.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from propensity.erasure.domain.erasure_report import Proof
from propensity.erasure.domain.subject import telling
from propensity.erasure.unmasking import dials, phone_tail, plain, strings_in, views
from propensity.ingest.domain.budgets import MAX_BYTES
from propensity.kernel.errors import NotFoundError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.kernel.tenant import TENANT_NAME, Subject, tenant_of
from propensity.ports import Ports, Sql
from propensity.registry.versions import version_numbers

_PIECE = 1 << 22
_TEXTS = 100_000  # texts whose answer is remembered
_END = 1 << 12
_JOINED = frozenset("_-./:@+%=")  # characters that join words into a key, a number or a run's name
_ODD = r"[^\x01-\x7f]|[\\&%]"  # a value with one of these may read otherwise than it is written
_SOURCE = "_source_key"


def search(
    ports: Ports, sql: Sql, subject: Subject, names: Sequence[str], people: Collection[str]
) -> tuple[Proof, list[str]]:
    """Search the lake, the landed versions and the online table.

    Returns how much was searched and what was not, and the objects that still hold the subject.
    """
    found = _Search(sql, subject, names, people)
    # the lake's bucket keeps old versions of objects, and these are searched like the newest
    for info in ports.lake.versions(""):
        found.look(info.key, info.size, info.version_id, ports.lake.download)
    for version in ports.landing.versions(""):
        found.look_at_landed(version.key, version.size, version.version_id, ports.landing.download)
    if _online(ports, subject):
        found.hits.append("the online table")
    proof = Proof(
        **found.searched,
        hits=len(found.hits),
        not_searched=dict(sorted(found.others.items())),
        unreadable=found.unread,
        too_large=tuple(found.too_large),
    )
    return proof, found.hits


class _Search:
    def __init__(self, sql: Sql, subject: Subject, names: Sequence[str], people: Collection[str]) -> None:
        self._sql, self._subject, self._people = sql, subject, people
        self._all = _Names(names)
        self._sure = _Names([name for name in names if telling(name)])
        self.hits: list[str] = []
        self.others: Counter[str] = Counter()
        self.unread = 0
        self.too_large: list[str] = []
        # the same run names, columns and reasons stand in hundreds of files
        self._in_string = lru_cache(_TEXTS)(self._is_named_in)
        self.searched = {"objects": 0, "bytes": 0, "landing_versions": 0, "objects_of_other_tenants": 0}

    def look(self, key: str, size: int, version_id: str | None, download: Any) -> None:
        if self._of_another(key):
            self.searched["objects_of_other_tenants"] += 1
            return
        path = self._sql.scratch / "searched"
        try:
            download(key, path, version_id)
        except NotFoundError:
            return  # a vacuum removed the object since it was listed
        self.searched["objects"] += 1
        self.searched["bytes"] += size
        # the key is searched too, because the name of a file came from outside
        if self._in_object(key, path) or self._sure.stand_in(key):
            self.hits.append(key)

    def look_at_landed(self, key: str, size: int, version_id: str | None, download: Any) -> None:
        if self._of_another(key) or (self._subject.customer_id is None and not self._mine(key)):
            return
        of_tenant = self._mine(key) and self._subject.customer_id is None
        if size > MAX_BYTES and not of_tenant:
            # such a file was refused whole, and may be larger than the disk
            named = f"landing {key} version {version_id}"
            (self.hits if self._sure.stand_in(key) else self.too_large).append(named)
            return
        path = self._sql.scratch / "searched"
        download(key, path, version_id)
        self.searched["landing_versions"] += 1
        self.searched["bytes"] += size
        if of_tenant or self._in_object(f"landing/{key}", path) or self._sure.stand_in(key):
            self.hits.append(f"landing {key} version {version_id}")

    def _mine(self, key: str) -> bool:
        return tenant_of(key) == self._subject.tenant_id

    def _of_another(self, key: str) -> bool:
        """Whether a key has another tenant's mark, which is counted. A mark that can be no tenant's is nobody's."""
        tenant = tenant_of(key)
        if tenant in (None, self._subject.tenant_id):
            return False
        nobody = tenant in ("", "unknown", ".", "..") or TENANT_NAME.fullmatch(str(tenant)) is None
        if nobody and self._subject.customer_id is not None:
            return False
        shown = "of no tenant" if nobody else str(tenant)
        self.others["a name that names the person" if self._sure.stand_in(shown) else shown] += 1
        return True

    def _in_object(self, key: str, path: Path) -> bool:
        mine, landed = self._mine(key), key.startswith("landing/")
        if self._subject.customer_id is None and mine:
            return True
        if path.stat().st_size == 0:
            return False
        with path.open("rb") as raw:
            start = raw.read(4)
        if start == b"PAR1":
            return self._in_rows(path, mine=mine, landed=landed, keyed=tenant_of(key) is not None)
        if self._subject.customer_id is None:
            return False
        json_like = key.endswith((".json", "_last_checkpoint")) and not landed and "/rejected/" not in key
        if json_like:
            texts = _strings(path)
            if texts is not None:
                return any(map(self._in_string, texts))
        names = self._all if mine else self._sure
        try:
            return any(map(names.stand_in, _pieces(path, start)))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            if not mine:
                self.unread += 1  # a damaged archive of no tenant
            return any(names.stand_in(one) for one in _decoded(path.read_bytes()))

    def _is_named_in(self, value: str) -> bool:
        # only texts are searched, because numbers in JSON are counts
        if self._all.equal(value):
            return True
        return self._sure.stand_in(value, joined=_JOINED)

    def _in_rows(self, path: Path, *, mine: bool, landed: bool, keyed: bool) -> bool:
        source = read_files([str(path)])
        columns = {row[0]: row[1] for row in self._sql.rows(f"describe select * from {source}")}
        tenant = text(self._subject.tenant_id)
        by_row = "tenant_id" in columns and not keyed and not landed
        if self._subject.customer_id is None:
            of_tenant = f"select count(*) from {source} where tenant_id::varchar = {tenant}"
            return by_row and bool(self._sql.rows(of_tenant)[0][0])
        scope = f"(tenant_id::varchar = {tenant} or tenant_id is null or tenant_id::varchar = '')" if by_row else "true"
        people = [quote(name) for name in columns if name in self._people]
        theirs = " or ".join(f"{column}::varchar = {text(self._subject.customer_id)}" for column in people) or "false"
        if landed and any(map(self._sure.stand_in, columns)):
            return True
        searched: dict[str, _Names] = {}
        for name, kind in columns.items():
            if not landed and "VARCHAR" not in kind:
                continue
            sure = name == _SOURCE or not mine or (people and not landed)
            names = self._sure if sure else self._all
            if names.names:
                searched[f"{quote(name)}::varchar"] = names
        # one pass over the file says in which columns to look closer, because most files name nobody
        may = [f"({theirs})", *(names.may_stand_in(column) for column, names in searched.items())]
        [(own, *near)] = self._sql.rows(
            f"select {', '.join(f'coalesce(bool_or({one}), false)' for one in may)} from {source} where {scope}"
        )
        return bool(own) or any(
            self._in_column(source, column, scope, names)
            for (column, names), is_near in zip(searched.items(), near, strict=True)
            if is_near
        )

    def _in_column(self, source: str, column: str, scope: str, names: _Names) -> bool:
        """Whether a column's values name the customer. SQL finds the values that may, and Python reads them."""
        where = f"{scope} and ({names.may_stand_in(column)})"
        return any(
            names.stand_in(value)
            for (value,) in self._sql.rows(f"select distinct {column} from {source} where {where}")
        )


class _Names:
    """The names that a text is searched for."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.tails = [tail for tail in map(phone_tail, names) if tail]
        self._plain = sorted({shown for name in names for shown in (plain(name), name.lower()) if shown})

    def may_stand_in(self, column: str) -> str:
        """SQL that holds for every value of a column that has one of the names, and for few others."""
        lowered = f"lower({column})"
        may = [f"contains({lowered}, {text(name.lower())})" for name in self.names]
        may += [f"contains(regexp_replace({column}, '[^0-9]', '', 'g'), {text(tail)})" for tail in self.tails]
        may.append(f"regexp_matches({column}, {text(_ODD)})")
        return " or ".join(may)

    def stand_in(self, value: str, *, joined: frozenset[str] = frozenset()) -> bool:
        """Whether a text has one of the names as a whole word, or a telephone number by its digits."""
        if not self.names:
            return False
        for view in views(value):
            if any(stands_alone(view, name, joined=joined) for name in self._plain):
                return True
            if any(dials(view, tail) for tail in self.tails):
                return True
        return any(stands_alone(value.lower(), name, joined=joined) for name in self._plain)

    def equal(self, value: str) -> bool:
        """Whether a text is one of the names; a name of up to three characters is left out."""
        shown = {plain(name) for name in self.names if len(name) > 3}
        return bool(shown) and any(view in shown for view in views(value))


def stands_alone(value: str, name: str, *, joined: frozenset[str] = frozenset()) -> bool:
    """Whether a text has a name as a whole word: with no letter, digit or character of `joined` on either side."""
    at = value.find(name)
    while at >= 0:
        around = value[at - 1 : at] if at else "", value[at + len(name) : at + len(name) + 1]
        if not any(char.isalnum() or char in joined for char in around if char):
            return True
        at = value.find(name, at + 1)
    return False


def _pieces(path: Path, start: bytes) -> Iterator[str]:
    """Yield a file's texts in pieces, each with the end of the piece before, in every encoding that it may have."""
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield member.filename
                with archive.open(member) as body:
                    yield from _read(body)
        return
    with gzip.open(path) if start[:2] == b"\x1f\x8b" else path.open("rb") as body:
        yield from _read(body)


def _read(body: Any) -> Iterator[str]:
    end = b""
    while piece := body.read(_PIECE):
        yield from _decoded(end + piece)
        end = piece[-_END:]


def _decoded(data: bytes) -> Iterator[str]:
    wide = b"\0" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff")
    codes = ["utf-16-le", "utf-16-be"] if wide else []
    yield from (data.decode(code, errors="ignore") for code in codes)
    data = bytes(byte for byte in data if byte) if wide else data
    codes = ["utf-8"] if _is_utf8(data) else ["utf-8", "latin-1", "cp850"]
    for code in codes:
        shown = data.decode(code, errors="replace")
        yield shown
        if '""' in shown:
            # quotes inside a value are doubled in CSV
            yield "\n".join("\n".join(row) for row in _csv_rows(shown))


def _is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, but for a character that is cut at either end of a piece."""
    try:
        data[next((at for at in range(3) if data[at : at + 1] < b"\x80" or data[at : at + 1] > b"\xbf"), 3) :].decode()
    except UnicodeDecodeError as error:
        return error.start >= len(data) - 6 and error.reason == "unexpected end of data"
    return True


def _csv_rows(shown: str) -> Iterator[list[str]]:
    rows = csv.reader(io.StringIO(shown.replace("\0", "")))
    try:
        yield from rows
    except csv.Error:
        return  # the text as it is written was searched before


def _strings(path: Path) -> list[str] | None:
    """Return every text in a JSON file, or in a file with a JSON value per line; None where it is no JSON."""
    body = path.read_bytes().decode("utf-8", errors="replace")
    try:
        try:
            return list(strings_in(json.loads(body)))
        except ValueError:
            return [one for line in body.splitlines() if line.strip() for one in strings_in(json.loads(line))]
    except ValueError:
        return None


def _online(ports: Ports, subject: Subject) -> bool:
    """Whether the online table still holds the subject."""
    if subject.customer_id is None:
        return ports.online.remove(subject.tenant_id, None) > 0
    models = {key.split("/")[1] for key in ports.lake.keys("registry/")}
    return any(
        ports.online.get_many(subject.tenant_id, [subject.customer_id], model, number)
        for model in sorted(models)
        for number in version_numbers(ports.lake, model)
    )
