"""The engine of erase_customer and erase_tenant: the order of the zones, the notes and the record.

With this order another call can finish the erasure, wherever a crash stopped it:

1. Texts go first. E-mail addresses and telephone numbers are searched for in texts, and only Silver and Bronze say
   which addresses and numbers are the person's.
2. Bronze goes before Silver, and announced files are promoted in between. Silver's log then names these files, so that
   a promotion that had read the rows before cannot bring them back.
3. Tables that are computed from Silver go after Silver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from propensity.erasure.domain.erasure_report import (
    ErasureCall,
    ErasureRecord,
    Note,
    Proof,
    Removal,
    TableChange,
    merge_notes,
    notes_folder,
    record_key,
    rows_of,
    zone_totals,
)
from propensity.erasure.domain.subject import Ticket
from propensity.erasure.landing import LandingFinder, promote_outstanding
from propensity.erasure.names import names_of, people_columns
from propensity.erasure.proof import search
from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder
from propensity.erasure.zones import (
    LOG,
    GoldenCases,
    LandedVersions,
    ParquetFiles,
    Reach,
    RestOfTenant,
    TableFiles,
    TextFiles,
    Zone,
)
from propensity.kernel.errors import ConflictError, NotFoundError, RetryableError
from propensity.kernel.tenant import Subject
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.silver_tables import SILVER
from propensity.ports import ObjectStore, Ports, Sql
from propensity.registry.pinned import pinned_versions

_ROUNDS = 5  # tries at a table; a try is lost where a compaction came in between


def erase(ports: Ports, subject: Subject, ticket: Ticket) -> dict[str, Any]:
    """Remove the subject everywhere, search for what is left, write the record, and return its key and figures.

    A second call finds nothing more and answers with the record as it is. Raises ConflictError where something is left,
    and RetryableError where another call can go on.
    """
    with ports.sql() as sql:
        record = _Erasure(ports, sql, subject, ticket).run()
    # the answer leaves the objects out: there may be thousands, and an answer holds 6 MB
    return {"record": record_key(ticket.request), **record.model_dump(exclude={"objects"})}


class _Erasure:
    def __init__(self, ports: Ports, sql: Sql, subject: Subject, ticket: Ticket) -> None:
        self.ports, self.ticket = ports, ticket
        self.people = people_columns(ports)
        self.names = names_of(ports, sql, subject)
        rows, texts = RowFinder(sql, subject, self.names, self.people), NameFinder(self.names)
        self.reach = Reach(ports, sql, subject, rows, texts)
        self.record = _find_record(ports.lake, ticket.request)
        if self.record and (self.record.tenant_id, self.record.subject) != (subject.tenant_id, _kind(subject)):
            raise ConflictError(
                f"request {ticket.request}: was about {self.record.subject} of tenant {self.record.tenant_id}; "
                "give each erasure a reference of its own"
            )
        self.attempt = max([0, *(note.attempt for note in self._notes())], default=0) + 1

    def run(self) -> ErasureRecord:
        reach, subject, request = self.reach, self.reach.subject, self.ticket.request
        versions = LandingFinder(self.ports, reach.sql, subject, reach.texts, reach.rows).versions()
        self._erase(TextFiles(reach))
        self._erase(ParquetFiles(reach, "quarantine", "quarantine/"))
        self._erase(LandedVersions.of(reach, request, versions))
        bronze = ParquetFiles(reach, "bronze", "bronze/")
        if reach.of_tenant:
            promote_outstanding(self.ports, subject.tenant_id)
            self._erase(bronze)
        else:
            self._erase(bronze)
            promote_outstanding(self.ports, subject.tenant_id)
        roots = {key.split(LOG)[0] for key in reach.keys("") if LOG in key}
        for root in sorted(roots, key=lambda root: (not root.startswith(f"{SILVER}/"), root)):
            self._erase_table(TableFiles(reach, root, request))
        searched = ("quarantine/", "bronze/", *(f"{root}/" for root in roots))
        self._erase(GoldenCases(reach))
        self._erase(ParquetFiles(reach, "files", "", besides=searched))
        if reach.of_tenant:
            self._erase(RestOfTenant(reach))
        self._erase_online()
        return self._finish(search(self.ports, reach.sql, subject, self.names, self.people))

    def _erase(self, zone: Zone) -> None:
        found = zone.find()
        self._note(zone.name, found)
        for key in found:
            zone.erase(key)

    def _erase_table(self, table: TableFiles) -> None:
        for _ in range(_ROUNDS):
            found = table.files.find()
            snapshot = self.ports.tables.snapshot(table.root)
            if snapshot is None or not found:
                return
            self._note(table.name, found, {table.root: table.change(snapshot, found)})
            try:
                table.take_out(snapshot, found)
            except RetryableError:
                continue  # a compaction replaced the same files, so the files are found again
            for key in found:
                table.files.erase(key)
            return
        raise RetryableError(f"{table.root}: others keep replacing its files; try again")

    def _erase_online(self) -> None:
        subject = self.reach.subject
        customers = None if subject.customer_id is None else [subject.customer_id]
        removed = self.ports.online.remove(subject.tenant_id, customers)
        if removed:
            self._note("online", {"the online table": Removal(rows=removed, how="rewritten")})

    # Notes and the record ---------------------------------------------------------------------------

    def _call(self) -> ErasureCall:
        return ErasureCall(by=self.ticket.by, at=self.ticket.at, why=self.ticket.why)

    def _notes(self) -> list[Note]:
        store = self.ports.lake
        return [read_record(store, key, Note) for key in store.keys(notes_folder(self.ticket.request))]

    def _note(self, zone: str, objects: Mapping[str, Removal], tables: Mapping[str, TableChange] | None = None) -> None:
        """Write a note of what is about to be done in a zone."""
        if not objects:
            return
        note = Note(attempt=self.attempt, zone=zone, call=self._call(), objects=objects, tables=tables or {})
        folder = notes_folder(self.ticket.request)
        number = sum(1 for _ in self.ports.lake.keys(f"{folder}{self.attempt:04d}-"))
        self.ports.lake.put(f"{folder}{self.attempt:04d}-{number:04d}.json", dumps(note.model_dump()))

    def _finish(self, proof: Proof) -> ErasureRecord:
        """Write one record of all attempts, because a later attempt did what an earlier one had noted and not done."""
        before, subject = self.record, self.reach.subject
        done = merge_notes(before, self._notes())
        if before is not None and before.attempts == done.attempts:
            return before
        snapshots = {table: self.ports.tables.snapshot(table) for table in done.tables}
        tables = {
            table: done.tables[table].model_copy(update={"now": snapshot.version if snapshot else None})
            for table, snapshot in snapshots.items()
        }
        record = ErasureRecord(
            attempts=done.attempts,
            calls=done.calls or [self._call()],
            objects=done.objects,
            tables=tables,
            request=self.ticket.request,
            tenant_id=subject.tenant_id,
            subject=_kind(subject),
            names=max(len(self.names), before.names if before else 0),
            zones=zone_totals(done.objects),
            pinned=self._pinned(done.objects, tables),
            open_runs=self._open_runs(),
            proof=proof,
        )
        self.ports.lake.put(record_key(self.ticket.request), dumps(record.model_dump()))
        return record

    def _pinned(self, objects: Mapping[str, Removal], tables: Iterable[str]) -> dict[str, dict[str, int]]:
        """Return the rows removed from each version of a touched table that a model or a run pins."""
        pinned, _ = pinned_versions(self.ports, self.ticket.moment.date())
        removed: dict[str, dict[str, int]] = {}
        for table in tables:
            for version in sorted(pinned.get(table, ())):
                snapshot = self.ports.tables.snapshot(table, version=version)
                rows = rows_of(objects, snapshot.file_keys()) if snapshot else 0
                if rows:
                    removed.setdefault(table, {})[str(version)] = rows
        return removed

    def _open_runs(self) -> list[str]:
        """Return runs that were planned and have not finished.

        Such a run may hold the subject in memory and write it later.
        """
        keys = list(self.reach.keys("runs/"))
        runs = {key.rpartition("/")[0]: set[str]() for key in keys if key.endswith("/plan.json")}
        for key in keys:
            folder, _, name = key.rpartition("/")
            if folder in runs:
                runs[folder].add(name)
        return sorted(run for run, names in runs.items() if not names & {"receipt.json", "evaluation.json"})


def _kind(subject: Subject) -> Literal["tenant", "customer"]:
    return "tenant" if subject.customer_id is None else "customer"


def _find_record(store: ObjectStore, request: str) -> ErasureRecord | None:
    try:
        return read_record(store, record_key(request), ErasureRecord)
    except NotFoundError:
        return None
