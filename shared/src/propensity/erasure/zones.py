"""The zones of an erasure: each zone finds the objects that hold the subject, and takes the subject out of an object.

Finding changes nothing. The engine writes down what a zone found before the zone erases its first object.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from propensity.erasure.domain.erasure_report import Removal, TableChange, rows_of
from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder, is_gzip, is_parquet
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
            if rows:
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

    def _count(self, key: str) -> int:
        if tenant_of(key) not in (None, self.reach.subject.tenant_id):
            return 0
        try:
            path, _ = self.reach.fetch(key)
        except NotFoundError:
            return 0  # a vacuum removed the file since it was listed
        return self.reach.rows.count(path, key)


@dataclass(frozen=True, slots=True)
class TextFiles:
    """The zone of the tenant's files that are no tables: copies of refused files, and exports."""

    reach: Reach
    name: str = "quarantine"

    def find(self) -> dict[str, Removal]:
        found: dict[str, Removal] = {}
        for key in self.reach.keys(""):
            mine = tenant_of(key) == self.reach.subject.tenant_id
            text = key.startswith(_REJECTED) or not key.endswith(".parquet")
            if not mine or not text or key.startswith("validation/") or LOG in key:
                continue
            path, info = self.reach.fetch(key)
            if self.reach.of_tenant:
                found[key] = Removal(rows=None, how="removed")
            elif info.size and self._names_customer(path) is not False:
                kept = self._without_lines(key, path)
                found[key] = Removal(rows=kept[1] if kept else None, how="rewritten" if kept else "emptied")
        return found

    def erase(self, key: str) -> None:
        if self.reach.of_tenant:
            self.reach.remove(key)
            return
        path, info = self.reach.fetch(key)
        kept = self._without_lines(key, path)
        out = self.reach.sql.scratch / "rewritten"
        # the file is emptied, not removed, because an upload's event that comes again would write the copy again
        out.write_bytes(kept[0] if kept else b"")
        self.reach.ports.lake.replace(key, out, etag=info.etag)

    def _without_lines(self, key: str, path: Path) -> tuple[bytes, int] | None:
        """Return the file without the lines that name the customer, and the number of such lines.

        The result is None where the file must go whole.
        """
        if self._names_customer(path) is None or is_parquet(path) or key.endswith(".json"):
            return None
        packed = is_gzip(path)
        kept = self.reach.texts.without_lines(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
        return (gzip.compress(kept[0], mtime=0), kept[1]) if packed and kept else kept

    def _names_customer(self, path: Path) -> bool | None:
        """Whether the file names the customer; None where the file cannot be read."""
        return self.reach.rows.named_in(path) if is_parquet(path) else self.reach.texts.within_file(path)


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
