"""The engine of erase_customer and erase_tenant: every zone in an order that a crash anywhere leaves finishable.

What names the person beyond their id (e-mail, telephone) is only known from Silver and Bronze, so the texts go
first. Bronze goes before Silver, and what is announced is promoted in between: the Delta log then names it, and a
promotion that had read the rows before cannot bring them back. What is computed from Silver goes after it.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from propensity.erasure.domain.subject import Note, Ticket, merged, notes_folder, parse_note, record_key, rows_of, zones
from propensity.erasure.landing import LandingFinder, outstanding
from propensity.erasure.names import names_of, people_columns
from propensity.erasure.proof import search
from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder, is_gzip, is_parquet
from propensity.evaluation.golden_cases import CASES, split_cases
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.kernel.errors import ConflictError, NotFoundError, RetryableError
from propensity.kernel.tenant import Subject, tenant_of
from propensity.lake.domain.erasure_records import removed_key
from propensity.lake.domain.run_names import file_stem
from propensity.lake.json_objects import dumps, find_json, read_json
from propensity.lake.silver_tables import SILVER
from propensity.ports import DataFile, ObjectInfo, Ports, Snapshot, Sql
from propensity.registry.pinned import pinned_versions

_ROUNDS = 5  # compactions that may come in between
_PROMOTED_AT_ONCE = 100
_LOG = "/_delta_log/"
_REJECTED = "quarantine/rejected/"


def erase(ports: Ports, subject: Subject, ticket: Ticket) -> dict[str, Any]:
    """Remove the subject everywhere, search for what is left, and write the record; the record's key and figures.

    A second call finds nothing more and answers from the record as it is. Raises ConflictError where something is
    left, RetryableError where another call can go on.
    """
    sql = ports.sql()
    try:
        record = _Erasure(ports, sql, subject, ticket).run()
    finally:
        sql.close()
    # the objects may be thousands, and an answer holds 6 MB
    return {"record": record_key(ticket.request), **{name: one for name, one in record.items() if name != "objects"}}


class _Erasure:
    def __init__(self, ports: Ports, sql: Sql, subject: Subject, ticket: Ticket) -> None:
        self.ports, self.sql, self.subject, self.ticket = ports, sql, subject, ticket
        self.people = people_columns(ports)
        self.names = names_of(ports, sql, subject)
        self.rows = RowFinder(sql, subject, self.names, self.people)
        self.texts = NameFinder(self.names)
        self.record = find_json(ports.lake, record_key(ticket.request))
        if self.record and _whose(self.record) != (subject.tenant_id, _kind(subject)):
            raise ConflictError(
                f"request {ticket.request}: was about {_whose(self.record)[1]} of tenant {_whose(self.record)[0]}; "
                "give each erasure a reference of its own"
            )
        self.attempt = max([0, *(note.attempt for note in self._notes())], default=0) + 1

    def run(self) -> dict[str, Any]:
        landing = LandingFinder(self.ports, self.sql, self.subject, self.texts, self.rows)
        versions = landing.versions()
        self._each("quarantine", self._texts(), self._erase_text)
        self._each("quarantine", self._parquet("quarantine/"), self._erase_parquet)
        self._landing(versions)
        if self.subject.customer_id is None:
            self._promote()
            self._each("bronze", self._parquet("bronze/"), self._erase_parquet)
        else:
            self._each("bronze", self._parquet("bronze/"), self._erase_parquet)
            self._promote()
        roots = self._tables()
        for root in sorted(roots, key=lambda root: (not root.startswith(f"{SILVER}/"), root)):
            self._table(root)
        known = ("quarantine/", "bronze/", *(f"{root}/" for root in roots))
        self._each("golden", self._cases(), self._erase_cases)
        self._each("files", self._parquet("", besides=known), self._erase_parquet)
        if self.subject.customer_id is None:
            self._each("files", self._rest_of_tenant(), self._remove)
        self._online()
        proof = search(self.ports, self.sql, self.subject, self.names, self.people)
        return self._finish(proof)

    # Zones ---------------------------------------------------------------------------------------

    def _each(self, zone: str, found: Mapping[str, dict[str, Any]], act: Callable[[str], None]) -> None:
        self._note(zone, found)
        for key in found:
            act(key)

    def _parquet(self, prefix: str, besides: tuple[str, ...] = ("\0",)) -> dict[str, dict[str, Any]]:
        """Parquet files below a prefix with rows of the subject; a whole tenant's own files go whole."""
        found: dict[str, dict[str, Any]] = {}
        for key in self._keys(prefix):
            if not key.endswith(".parquet") or key.startswith((*besides, _REJECTED)) or _LOG in key:
                continue
            with_rows = self._count(key)
            if with_rows:
                found[key] = {"rows": with_rows, "how": "removed" if self._whole(key) else "rewritten"}
        return found

    def _whole(self, key: str) -> bool:
        return self.subject.customer_id is None and tenant_of(key) == self.subject.tenant_id

    def _count(self, key: str) -> int:
        if tenant_of(key) not in (None, self.subject.tenant_id):
            return 0
        try:
            path, _ = self._fetch(key)
        except NotFoundError:
            return 0  # vacuumed since it was listed
        return self.rows.count(path, key)

    def _erase_parquet(self, key: str) -> None:
        if self._whole(key):
            self._remove(key)
            return
        path, info = self._fetch(key)
        out = self.sql.scratch / "rewritten.parquet"
        # a size that others wrote down stays; that of a file of one tenant nobody did
        self.rows.rewrite(path, key, out, None if tenant_of(key) else info.size)
        self.ports.lake.replace(key, out, etag=info.etag)

    def _texts(self) -> dict[str, dict[str, Any]]:
        """The tenant's files that are no tables: copies of refused files, exports."""
        found: dict[str, dict[str, Any]] = {}
        for key in self._keys(""):
            of_tenant = tenant_of(key) == self.subject.tenant_id
            text = key.startswith(_REJECTED) or not key.endswith(".parquet")
            if not of_tenant or not text or key.startswith("validation/") or _LOG in key:
                continue
            path, info = self._fetch(key)
            if self.subject.customer_id is None:
                found[key] = {"rows": None, "how": "removed"}
            elif info.size and self._says(path) is not False:
                kept = self._without_lines(key, path)
                found[key] = {"rows": kept[1] if kept else None, "how": "rewritten" if kept else "emptied"}
        return found

    def _erase_text(self, key: str) -> None:
        if self.subject.customer_id is None:
            self._remove(key)
            return
        path, info = self._fetch(key)
        kept = self._without_lines(key, path)
        out = self.sql.scratch / "rewritten"
        # emptied, not removed: an upload's event that comes again would put the copy back
        out.write_bytes(kept[0] if kept else b"")
        self.ports.lake.replace(key, out, etag=info.etag)

    def _without_lines(self, key: str, path: Path) -> tuple[bytes, int] | None:
        if self._says(path) is None or is_parquet(path) or key.endswith(".json"):
            return None
        packed = is_gzip(path)
        kept = self.texts.without_lines(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
        return (gzip.compress(kept[0], mtime=0), kept[1]) if packed and kept else kept

    def _says(self, path: Path) -> bool | None:
        """Whether a file names the customer; None where nobody can say."""
        return self.rows.named_in(path) if is_parquet(path) else self.texts.within_file(path)

    def _landing(self, versions: list[ObjectInfo]) -> None:
        named = {f"landing:{info.key}@{info.version_id}": info for info in versions}
        self._note("landing", {name: {"rows": None, "how": "removed"} for name in named})
        for info in named.values():
            self.ports.lake.put_new(removed_key(info.key, info.etag), dumps({"request": self.ticket.request}))
            self.ports.landing.remove(info.key, info.version_id)

    def _promote(self) -> None:
        files = outstanding(self.ports, self.subject.tenant_id)
        while files:
            try:
                self._promote_all(files)
                return
            except RetryableError:
                left = outstanding(self.ports, self.subject.tenant_id)
                if len(left) >= len(files):
                    raise
                files = left  # promoters at work carried some of them: the rest

    def _promote_all(self, files: Sequence[BronzeFile]) -> None:
        for dataset in sorted({file.dataset for file in files}):
            mine = [file for file in files if file.dataset == dataset]
            for start in range(0, len(mine), _PROMOTED_AT_ONCE):
                promote_silver(self.ports, mine[start : start + _PROMOTED_AT_ONCE])

    def _cases(self) -> dict[str, dict[str, Any]]:
        """Lists of edge cases that name the subject; rows frozen for them are found as any other."""
        lists = [key for key in self._keys("registry/") if key.endswith(f"/golden/{CASES}")]
        gone = {key: len(split_cases(key, self.ports.lake.get(key), self.subject)[1]) for key in lists}
        return {key: {"rows": count, "how": "rewritten"} for key, count in gone.items() if count}

    def _erase_cases(self, key: str) -> None:
        path, info = self._fetch(key)
        kept, _ = split_cases(key, path.read_bytes(), self.subject)
        path.write_bytes(dumps([case.model_dump(mode="json") for case in kept]))
        self.ports.lake.replace(key, path, etag=info.etag)  # people write the list: what came in between stays

    def _table(self, root: str) -> None:
        """The newest version gets a commit, so that what its log says stays true; then every file is rewritten."""
        for _ in range(_ROUNDS):
            found = self._parquet(f"{root}/")
            snapshot = self.ports.tables.snapshot(root)
            if snapshot is None or not found:
                break
            live = {f"{root}/{file.path}": file for file in snapshot.files}
            leaving = [key for key in found if key in live]
            said = {"before": snapshot.version, "rows": rows_of(found, leaving)}
            self._note(root.replace("/", "-"), found, {root: said})
            try:
                if leaving:
                    self._swap(snapshot, {key: live[key] for key in leaving})
            except RetryableError:
                continue  # a compaction took the same files out: look again
            for key in found:
                self._erase_parquet(key)
            break
        else:
            raise RetryableError(f"{root}: others keep replacing its files; try again")

    def _swap(self, snapshot: Snapshot, leaving: Mapping[str, DataFile]) -> None:
        added = []
        for key, file in leaving.items():
            path, _ = self._fetch(key)
            out = self.sql.scratch / "swapped.parquet"
            left = self.rows.rewrite(path, key, out)
            if left:
                folder = file.path.rpartition("/")[0]
                name = f"{file_stem(f'{key} {self.ticket.request}')}.parquet"
                fresh = f"{folder}/{name}" if folder else name
                self.ports.lake.replace(f"{snapshot.root}/{fresh}", out)
                added.append(DataFile(fresh, left, out.stat().st_size, file.partition))
        removed = [file.path for file in leaving.values()]
        self.ports.tables.replace_files(snapshot.table, removed, added)

    def _online(self) -> None:
        customer = self.subject.customer_id
        removed = self.ports.online.remove(self.subject.tenant_id, None if customer is None else [customer])
        if removed:
            self._note("online", {"the online table": {"rows": removed, "how": "rewritten"}})

    def _rest_of_tenant(self) -> dict[str, dict[str, Any]]:
        """Reports, and whatever else carries the tenant in its key."""
        keys = [key for key in self._keys("") if tenant_of(key) == self.subject.tenant_id]
        return {key: {"rows": None, "how": "removed"} for key in keys}

    def _remove(self, key: str) -> None:
        self.ports.lake.remove(key)

    # What they all use ------------------------------------------------------------------------------

    def _keys(self, prefix: str) -> Iterable[str]:
        return [key for key in self.ports.lake.keys(prefix) if not key.startswith("audit/")]

    def _tables(self) -> set[str]:
        return {key.split(_LOG)[0] for key in self._keys("") if _LOG in key}

    def _fetch(self, key: str) -> tuple[Path, ObjectInfo]:
        path = self.sql.scratch / "object"
        return path, self.ports.lake.download(key, path)

    def _call(self) -> dict[str, str]:
        return {"by": self.ticket.by, "at": self.ticket.at, "why": self.ticket.why}

    def _notes(self) -> list[Note]:
        store = self.ports.lake
        return [parse_note(read_json(store, key)) for key in store.keys(notes_folder(self.ticket.request))]

    def _note(
        self, zone: str, objects: Mapping[str, Any], tables: Mapping[str, Mapping[str, int]] | None = None
    ) -> None:
        if not objects:
            return
        note = {
            "attempt": self.attempt,
            "zone": zone,
            "call": self._call(),
            "objects": objects,
            "tables": tables or {},
        }
        taken = notes_folder(self.ticket.request)
        number = sum(1 for _ in self.ports.lake.keys(f"{taken}{self.attempt:04d}-"))
        self.ports.lake.put(f"{taken}{self.attempt:04d}-{number:04d}.json", dumps(note))

    def _finish(self, proof: Mapping[str, Any]) -> dict[str, Any]:
        """One record of all attempts: what an earlier one noted and did not come to, a later one did."""
        before = self.record
        body = merged(before, self._notes())
        if before is not None and before["attempts"] == body["attempts"]:
            return before
        body["calls"] = body["calls"] or [self._call()]
        versions = {table: self.ports.tables.snapshot(table) for table in body["tables"]}
        for table, snapshot in versions.items():
            body["tables"][table]["now"] = snapshot.version if snapshot else None
        record = {
            **body,
            "request": self.ticket.request,
            "tenant_id": self.subject.tenant_id,
            "subject": _kind(self.subject),
            "names": max(len(self.names), before["names"] if before else 0),
            "zones": zones(body["objects"]),
            "pinned": self._pinned(body["objects"], body["tables"]),
            "open_runs": self._open_runs(),
            "proof": dict(proof),
        }
        self.ports.lake.put(record_key(self.ticket.request), dumps(record))
        return record

    def _pinned(self, objects: Mapping[str, Any], tables: Iterable[str]) -> dict[str, dict[str, int]]:
        """Rows removed from each version of a touched table that a model or a run names."""
        pinned, _ = pinned_versions(self.ports, self.ticket.moment.date())
        found: dict[str, dict[str, int]] = {}
        for table in tables:
            for version in sorted(pinned.get(table, ())):
                snapshot = self.ports.tables.snapshot(table, version=version)
                rows = rows_of(objects, snapshot.file_keys()) if snapshot else 0
                if rows:
                    found.setdefault(table, {})[str(version)] = rows
        return found

    def _open_runs(self) -> list[str]:
        """Runs that were planned and did not finish: they may hold the subject in memory, and write them later."""
        runs = {key.rpartition("/")[0]: set[str]() for key in self._keys("runs/") if key.endswith("/plan.json")}
        for key in self._keys("runs/"):
            folder, _, name = key.rpartition("/")
            if folder in runs:
                runs[folder].add(name)
        return sorted(run for run, names in runs.items() if not names & {"receipt.json", "evaluation.json"})


def _kind(subject: Subject) -> str:
    return "tenant" if subject.customer_id is None else "customer"


def _whose(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["tenant_id"], record["subject"]
