"""The proof of an erasure: every object is searched again, by code that shares nothing with the code that removed.

A name counts where it stands as a whole word. A short number may be a price or an article too. Such a number counts
only in columns that hold customers' ids, and in texts of the tenant. Other tenants' objects are not searched, because
they hold other people.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from propensity.erasure.domain.erasure_report import Proof
from propensity.erasure.domain.subject import telling
from propensity.kernel.errors import ConflictError, NotFoundError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.kernel.tenant import Subject, tenant_of
from propensity.ports import Ports, Sql
from propensity.registry.versions import version_numbers

_PIECE = 1 << 22
_JOINED = frozenset("_-./:@+%=")  # characters that join words into a key, a number or a run's name
_SHOWN = 20


def search(ports: Ports, sql: Sql, subject: Subject, names: Sequence[str], people: Collection[str]) -> Proof:
    """Search the lake, the tenant's landed versions and the online table; return how much was searched.

    Raises ConflictError naming the objects that still hold the subject.
    """
    found = _Search(sql, subject, names, people)
    for info in ports.lake.infos(""):
        found.look(info.key, info.size, ports.lake.download)
    for version in ports.landing.versions(""):
        if tenant_of(version.key) == subject.tenant_id:
            found.look_at_landed(version.key, version.size, version.version_id, ports.landing.download)
    if _online(ports, subject):
        found.hits.append("the online table")
    if found.hits:
        listed = ", ".join(found.hits[:_SHOWN])
        raise ConflictError(
            f"{len(found.hits)} objects still hold the subject: {listed}. What was removed stays removed; a run or an "
            "upload may have been under way, so try again; where the same objects are named again, look into them"
        )
    return Proof(**found.searched, hits=0)


class _Search:
    def __init__(self, sql: Sql, subject: Subject, names: Sequence[str], people: Collection[str]) -> None:
        self._sql, self._subject, self._people = sql, subject, people
        self._names = [name.lower() for name in names]
        self._telling = [name.lower() for name in names if telling(name)]
        self.hits: list[str] = []
        self.searched = {"objects": 0, "bytes": 0, "landing_versions": 0, "objects_of_other_tenants": 0}

    def look(self, key: str, size: int, download: Any) -> None:
        if tenant_of(key) not in (None, self._subject.tenant_id):
            self.searched["objects_of_other_tenants"] += 1
            return
        path = self._sql.scratch / "searched"
        try:
            download(key, path)
        except NotFoundError:
            return  # a vacuum removed the object since it was listed
        self.searched["objects"] += 1
        self.searched["bytes"] += size
        # the key is searched too, because the name of a file came from outside
        if self._in_object(key, path) or any(stands_alone(key.lower(), name) for name in self._telling):
            self.hits.append(key)

    def look_at_landed(self, key: str, size: int, version_id: str | None, download: Any) -> None:
        path = self._sql.scratch / "searched"
        download(key, path, version_id)
        self.searched["landing_versions"] += 1
        self.searched["bytes"] += size
        if self._subject.customer_id is None or self._in_object(f"landing/{key}", path):
            self.hits.append(f"landing {key} version {version_id}")

    def _in_object(self, key: str, path: Path) -> bool:
        mine = tenant_of(key) == self._subject.tenant_id
        if self._subject.customer_id is None and mine:
            return True
        if path.stat().st_size == 0:
            return False
        with path.open("rb") as raw:
            parquet = raw.read(4) == b"PAR1"
        if parquet:
            return self._in_rows(path, mine=mine, landed=key.startswith("landing/"))
        if self._subject.customer_id is None:
            return False
        if mine and not key.startswith("validation/"):
            return any(stands_alone(piece, name) for piece in _text(path) for name in self._names)
        if key.endswith((".json", "_last_checkpoint")):
            # only texts are searched, because numbers in JSON are counts
            return any(
                value == name or (name in self._telling and stands_alone(value, name, joined=_JOINED))
                for value in _strings(path)
                for name in self._names
                if len(name) > 3
            )
        return any(stands_alone(piece, name) for piece in _text(path) for name in self._telling)

    def _in_rows(self, path: Path, *, mine: bool, landed: bool) -> bool:
        source = read_files([str(path)])
        columns = {row[0]: row[1] for row in self._sql.rows(f"describe select * from {source}")}
        tenant = text(self._subject.tenant_id)
        by_row = "tenant_id" in columns and not mine
        if self._subject.customer_id is None:
            of_tenant = f"select count(*) from {source} where tenant_id::varchar = {tenant}"
            return by_row and bool(self._sql.rows(of_tenant)[0][0])
        scope = f"(tenant_id::varchar = {tenant} or tenant_id is null)" if by_row else "true"
        people = [quote(name) for name in columns if name in self._people]
        names = self._names if mine and (landed or not people) else self._telling
        kept = [name for name, kind in columns.items() if landed or "VARCHAR" in kind] if names else []
        texts = [f"lower({quote(name)}::varchar)" for name in kept]
        holding = {column: " or ".join(f"contains({column}, {text(name)})" for name in names) for column in texts}
        theirs = " or ".join(f"{column}::varchar = {text(self._subject.customer_id)}" for column in people) or "false"
        maybe = " or ".join(holding.values()) or "false"
        [(own, perhaps)] = self._sql.rows(
            f"select count(*) filter ({theirs}), count(*) filter ({maybe}) from {source} where {scope}"
        )
        if own or not perhaps:
            return bool(own)
        for column, holds in holding.items():
            values = self._sql.rows(f"select distinct {column} from {source} where {scope} and ({holds})")
            if any(stands_alone(value, name) for (value,) in values for name in names):
                return True
        return False


def stands_alone(value: str, name: str, *, joined: frozenset[str] = frozenset()) -> bool:
    """Whether a text has a name as a whole word: with no letter, digit or character of `joined` on either side."""
    at = value.find(name)
    while at >= 0:
        around = value[at - 1 : at] if at else "", value[at + len(name) : at + len(name) + 1]
        if not any(char.isalnum() or char in joined for char in around if char):
            return True
        at = value.find(name, at + 1)
    return False


def _text(path: Path) -> Iterator[str]:
    """Yield a file as lower-case text in pieces, each with the end of the piece before.

    A file that cannot be unpacked is searched as it is.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    end = ""
    try:
        with gzip.open(path) if packed else path.open("rb") as body:
            while piece := body.read(_PIECE):
                shown = end + piece.replace(b"\0", b"").decode("utf-8", errors="replace").lower()
                yield shown
                end = shown[-256:]
    except (OSError, EOFError, zlib.error):
        yield path.read_bytes().decode("latin-1").lower()


def _strings(path: Path) -> Iterator[str]:
    """Yield every text in a JSON file, or in a file with a JSON value per line, in lower case.

    Names of fields are texts too.
    """
    body = path.read_text(encoding="utf-8")
    try:
        values = [json.loads(body)]
    except ValueError:
        values = [json.loads(line) for line in body.splitlines() if line.strip()]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            values += value
        elif isinstance(value, str):
            yield value.lower()


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
