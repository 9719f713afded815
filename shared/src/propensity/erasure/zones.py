"""The zones of an erasure: each zone finds the objects that hold the subject, and takes the subject out of an object.

Finding changes nothing. The engine writes down what a zone found before the zone erases its first object.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from propensity.erasure.domain.erasure_report import Removal, TableChange, rows_of
from propensity.erasure.domain.subject import of_nobody
from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder, is_gzip, is_parquet, is_zip
from propensity.evaluation.golden_cases import CASES, split_cases
from propensity.kernel.errors import NotFoundError
from propensity.kernel.tenant import Subject, tenant_of
from propensity.lake.domain.erasure_records import removed_key
from propensity.lake.domain.run_names import file_stem
from propensity.lake.json_objects import dumps
from propensity.ports import DataFile, ObjectInfo, Ports, Snapshot, Sql

LOG = "/_delta_log/"
_REJECTED = "quarantine/rejected/"


class Zone(Protocol):
    @property
    def name(self) -> str: ...

    def find(self) -> Mapping[str, Removal]:
        """Return the objects that hold the subject, and what is to be done to each object."""

    def erase(self, key: str) -> None:
        """Take the subject out of one of the objects that were found."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The tools that every zone uses: the ports, the subject, and the finders of its rows and names."""

    ports: Ports
    sql: Sql
    subject: Subject
    rows: RowFinder
    texts: NameFinder

    @property
    def of_tenant(self) -> bool:
        """Whether a whole tenant is erased."""
        return self.subject.customer_id is None

    def may_hold(self, key: str) -> bool:
        """Whether a key has the subject's tenant or, where a person is erased, a mark that names no tenant."""
        mine = tenant_of(key) == self.subject.tenant_id or key.startswith(f"tenants/{self.subject.tenant_id}/")
        return mine or (not self.of_tenant and of_nobody(key))

    def names_in(self, key: str) -> NameFinder:
        """Return the finder for an object's text. Where no tenant is known, only telling names are looked for."""
        return self.texts.telling if of_nobody(key) else self.texts

    def keys(self, prefix: str) -> Iterable[str]:
        return [key for key in self.ports.lake.keys(prefix) if not key.startswith("audit/")]

    def fetch(self, key: str) -> tuple[Path, ObjectInfo]:
        path = self.sql.scratch / "object"
        return path, self.ports.lake.download(key, path)

    def remove(self, key: str) -> None:
        self.ports.lake.remove(key)


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """The zone of Parquet files below a prefix, without the files below the prefixes `besides`.

    Each file is rewritten without the subject's rows. Where a whole tenant is erased, the tenant's own files are
    removed.
    """

    reach: Reach
    name: str
    prefix: str
    besides: tuple[str, ...] = ()

    def find(self) -> dict[str, Removal]:
        found: dict[str, Removal] = {}
        for key in self.reach.keys(self.prefix):
            if not key.endswith(".parquet") or key.startswith((*self.besides, _REJECTED)) or LOG in key:
                continue
            rows = self._count(key)
            if rows is not None:
                found[key] = Removal(rows=rows, how="removed" if self._goes_whole(key) else "rewritten")
        return found

    def erase(self, key: str) -> None:
        if self._goes_whole(key):
            self.reach.remove(key)
            return
        path, info = self.reach.fetch(key)
        out = self.reach.sql.scratch / "rewritten.parquet"
        # a table's log names the size of a file, so the size stays; nothing names the size of a file of one tenant
        self.reach.rows.rewrite(path, key, out, None if tenant_of(key) else info.size)
        self.reach.ports.lake.replace(key, out, etag=info.etag)

    def _goes_whole(self, key: str) -> bool:
        return self.reach.of_tenant and tenant_of(key) == self.reach.subject.tenant_id

    def _count(self, key: str) -> int | None:
        """Return how many of the file's rows are the subject's; None where nothing in the file names the subject."""
        if tenant_of(key) is not None and not self.reach.may_hold(key):
            return None
        try:
            path, _ = self.reach.fetch(key)
        except NotFoundError:
            return None  # a vacuum removed the file since it was listed
        rows = self.reach.rows.count(path, key)
        return rows if rows or self.reach.rows.sources_named(path, key) else None


@dataclass(frozen=True, slots=True)
class TextFiles:
    """The zone of files that are no tables: copies of refused files, and exports. Reports are a zone of their own."""

    reach: Reach
    name: str = "quarantine"

    def find(self) -> dict[str, Removal]:
        found: dict[str, Removal] = {}
        for key in self.reach.keys(""):
            text = key.startswith(_REJECTED) or not key.endswith((".parquet", ".json"))
            if not self.reach.may_hold(key) or not text or LOG in key:
                continue
            if self._goes_whole(key):
                found[key] = Removal(rows=None, how="removed")
                continue
            path, info = self.reach.fetch(key)
            named = info.size and self._names_customer(key, path)
            # what cannot be read may name anybody; where it is of no tenant, it is not emptied for one tenant's person
            if named or (named is None and not of_nobody(key)):
                kept = self._without_lines(key, path)
                found[key] = Removal(rows=kept[1] if kept else None, how="rewritten" if kept else "emptied")
        return found

    def erase(self, key: str) -> None:
        if self._goes_whole(key):
            self.reach.remove(key)
            return
        path, info = self.reach.fetch(key)
        kept = self._without_lines(key, path)
        out = self.reach.sql.scratch / "rewritten"
        # the file is emptied, not removed, because an upload's event that comes again would write the copy again
        out.write_bytes(kept[0] if kept else b"")
        self.reach.ports.lake.replace(key, out, etag=info.etag)

    def _goes_whole(self, key: str) -> bool:
        # the name of a copy that an older version of this code wrote came from outside, and a name cannot be rewritten
        return self.reach.of_tenant or (key.startswith(_REJECTED) and self.reach.texts.telling.within_text(key))

    def _without_lines(self, key: str, path: Path) -> tuple[bytes, int] | None:
        """Return the file without the lines that name the customer, and the number of such lines.

        The result is None where the file must go whole.
        """
        if self._names_customer(key, path) is None or is_parquet(path) or is_zip(path) or key.endswith(".json"):
            return None
        packed, names = is_gzip(path), self.reach.names_in(key)
        kept = names.without_lines(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
        return (gzip.compress(kept[0], mtime=0), kept[1]) if packed and kept else kept

    def _names_customer(self, key: str, path: Path) -> bool | None:
        """Whether the file names the customer; None where the file cannot be read."""
        if is_parquet(path):
            return self.reach.rows.named_in(path)
        return self.reach.names_in(key).within_file(path)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The zone of the tenant's JSON objects: reports of files, the register of landings, retractions and the record.

    The objects stay valid JSON. Each text in them that names the person becomes a hash, the names of members included.
    """

    reach: Reach
    name: str = "reports"

    def find(self) -> dict[str, Removal]:
        found: dict[str, Removal] = {}
        for key in self.reach.keys(""):
            report = key.endswith(".json") and not key.startswith(_REJECTED) and LOG not in key
            if report and self.reach.may_hold(key) and self._without_names(self.reach.ports.lake.get(key)) is not None:
                found[key] = Removal(rows=0, how="rewritten")
        return found

    def erase(self, key: str) -> None:
        path, info = self.reach.fetch(key)
        kept = self._without_names(path.read_bytes())
        if kept is not None:
            path.write_bytes(kept)
            self.reach.ports.lake.replace(key, path, etag=info.etag)

    def _without_names(self, body: bytes) -> bytes | None:
        """Return the object without the person's names; None where it does not name the person.

        An object that is no JSON becomes an empty object where it names the person.
        """
        try:
            value = json.loads(body)
        except ValueError:
            return b"{}" if body and self.reach.texts.within(body) else None
        kept = self.reach.texts.without_values(value)
        return None if kept == value else dumps(kept)


@dataclass(frozen=True, slots=True)
class LandedVersions:
    """The zone of landed objects' versions. A mark of each version stays, for the case that its event comes again."""

    reach: Reach
    request: str
    versions: Mapping[str, ObjectInfo]
    name: str = "landing"

    @staticmethod
    def of(reach: Reach, request: str, versions: Iterable[ObjectInfo]) -> LandedVersions:
        return LandedVersions(reach, request, {f"landing:{info.key}@{info.version_id}": info for info in versions})

    def find(self) -> dict[str, Removal]:
        return {name: Removal(rows=None, how="removed") for name in self.versions}

    def erase(self, key: str) -> None:
        info = self.versions[key]
        self.reach.ports.lake.put_new(removed_key(info.key, info.etag), dumps({"request": self.request}))
        self.reach.ports.landing.remove(info.key, info.version_id)


@dataclass(frozen=True, slots=True)
class GoldenCases:
    """The zone of the lists of golden cases that name the subject.

    The rows that were frozen for a case are found with other files.
    """

    reach: Reach
    name: str = "golden"

    def find(self) -> dict[str, Removal]:
        lists = [key for key in self.reach.keys("registry/") if key.endswith(f"/golden/{CASES}")]
        cases = {key: len(split_cases(key, self.reach.ports.lake.get(key), self.reach.subject)[1]) for key in lists}
        return {key: Removal(rows=count, how="rewritten") for key, count in cases.items() if count}

    def erase(self, key: str) -> None:
        path, info = self.reach.fetch(key)
        kept, _ = split_cases(key, path.read_bytes(), self.reach.subject)
        path.write_bytes(dumps([case.model_dump(mode="json") for case in kept]))
        # People write the list. The etag makes sure that a case that they added in between is not lost.
        self.reach.ports.lake.replace(key, path, etag=info.etag)


@dataclass(frozen=True, slots=True)
class OldVersions:
    """The zone of the lake's objects as they were before somebody overwrote or removed them.

    The lake's bucket keeps such versions for some days. A version that holds the subject is removed for good.
    """

    reach: Reach
    name: str = "versions"

    def find(self) -> dict[str, Removal]:
        newest = {info.key: (info.etag, info.last_modified) for info in self.reach.ports.lake.infos("")}
        found: dict[str, Removal] = {}
        for info in self.reach.ports.lake.versions(""):
            if info.version_id is None or info.key.startswith("audit/"):
                continue
            if newest.get(info.key) == (info.etag, info.last_modified):
                continue
            if self._holds(info):
                found[f"{info.key}@{info.version_id}"] = Removal(rows=None, how="removed")
        return found

    def erase(self, key: str) -> None:
        name, _, version = key.rpartition("@")
        self.reach.ports.lake.remove(name, version)

    def _holds(self, info: ObjectInfo) -> bool:
        reach, key = self.reach, info.key
        if tenant_of(key) is not None and not reach.may_hold(key):
            return False
        if reach.of_tenant and tenant_of(key) == reach.subject.tenant_id:
            return True
        path = reach.sql.scratch / "object"
        try:
            reach.ports.lake.download(key, path, info.version_id)
        except NotFoundError:
            return False  # the lifecycle of the bucket removed the version since it was listed
        if is_parquet(path) and not key.startswith(_REJECTED):
            return reach.rows.count(path, key) > 0 or bool(reach.rows.sources_named(path, key))
        if reach.of_tenant:
            return False
        finder = reach.texts if tenant_of(key) == reach.subject.tenant_id else reach.texts.telling
        return finder.within_file(path) is not False or finder.telling.within_text(key)


@dataclass(frozen=True, slots=True)
class RestOfTenant:
    """The zone of reports, and of every other object whose key names the tenant."""

    reach: Reach
    name: str = "files"

    def find(self) -> dict[str, Removal]:
        keys = [key for key in self.reach.keys("") if tenant_of(key) == self.reach.subject.tenant_id]
        return {key: Removal(rows=None, how="removed") for key in keys}

    def erase(self, key: str) -> None:
        self.reach.remove(key)


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The zone of all files of a Delta table, the files of older versions too.

    `take_out` replaces the files of the newest version by others in a commit, so that what the log says stays true. The
    old files are then rewritten like any other.
    """

    reach: Reach
    root: str
    request: str

    @property
    def name(self) -> str:
        return self.root.replace("/", "-")

    @property
    def files(self) -> ParquetFiles:
        return ParquetFiles(self.reach, self.name, f"{self.root}/")

    def leaving(self, snapshot: Snapshot, found: Mapping[str, Removal]) -> dict[str, DataFile]:
        """Return the files of the newest version that hold the subject, by key."""
        live = {f"{self.root}/{file.path}": file for file in snapshot.files}
        return {key: live[key] for key in found if key in live}

    def change(self, snapshot: Snapshot, found: Mapping[str, Removal]) -> TableChange:
        return TableChange(before=snapshot.version, rows=rows_of(found, self.leaving(snapshot, found)))

    def take_out(self, snapshot: Snapshot, found: Mapping[str, Removal]) -> None:
        """Replace the files by files without the subject.

        Raises RetryableError where a compaction replaced the same files.
        """
        leaving = self.leaving(snapshot, found)
        if not leaving:
            return
        added = []
        for key, file in leaving.items():
            path, _ = self.reach.fetch(key)
            out = self.reach.sql.scratch / "swapped.parquet"
            left = self.reach.rows.rewrite(path, key, out)
            if left:
                folder = file.path.rpartition("/")[0]
                name = f"{file_stem(f'{key} {self.request}')}.parquet"
                fresh = f"{folder}/{name}" if folder else name
                self.reach.ports.lake.replace(f"{snapshot.root}/{fresh}", out)
                added.append(DataFile(fresh, left, out.stat().st_size, file.partition))
        removed = [file.path for file in leaving.values()]
        self.reach.ports.tables.replace_files(snapshot.table, removed, added)
