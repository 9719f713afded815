"""The engine of erase_customer and erase_tenant: the order of the zones, the notes and the record.

With this order another call can finish the erasure, wherever a crash stopped it:

1. Texts go first. E-mail addresses and telephone numbers are searched for in texts, and only Silver and Bronze say
   which addresses and numbers are the person's.
2. Bronze goes before Silver, and announced files are promoted in between. Silver's log then names these files, so that
   a promotion that had read the rows before cannot bring them back.
3. Tables that are computed from Silver go after Silver.
4. Old versions of objects go last, because the bucket of the lake keeps what the zones before have overwritten.

A zone that fails does not keep the others. The record names such zones, the call ends with an error that names them
too, and another call goes on. The person's names wait for that call (erasure/sealed_names.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
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
from propensity.erasure.sealed_names import forget, keep, recall
from propensity.erasure.sent_lists import LISTS, Membership, SentLists, hashed_names, membership, open_lists
from propensity.erasure.texts import NameFinder
from propensity.erasure.zones import (
    LOG,
    GoldenCases,
    LandedVersions,
    OldVersions,
    ParquetFiles,
    Reach,
    ReportFiles,
    RestOfTenant,
    TableFiles,
    TextFiles,
    Zone,
)
from propensity.kernel.errors import ConflictError, NotFoundError, PropensityError, RetryableError
from propensity.kernel.tenant import Subject
from propensity.lake.gold_tables import EXPORTS
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.silver_tables import SILVER
from propensity.ports import ObjectStore, Ports, Sql
from propensity.registry.pinned import pinned_versions

_SHOWN = 20
_LEFT = (
    "What was removed stays removed; a run or an upload may have been under way, so try again; where the same objects "
    "are named again, look into them"
)
_ROUNDS = 5  # tries at a table; a try is lost where a compaction came in between


def erase(ports: Ports, subject: Subject, ticket: Ticket) -> dict[str, Any]:
    """Remove the subject everywhere, search for what is left, write the record, and return its key and figures.

    A second call finds nothing more and answers with the record as it is. Raises ConflictError where something is left
    or a zone failed, and RetryableError where another call can go on.
    """
    with ports.sql() as sql:
        record = _Erasure(ports, sql, subject, ticket).run()
    # the answer leaves the objects out: there may be thousands, and an answer holds 6 MB
    return {"record": record_key(ticket.request), **record.model_dump(exclude={"objects"})}


class _Erasure:
    def __init__(self, ports: Ports, sql: Sql, subject: Subject, ticket: Ticket) -> None:
        self.ports, self.ticket = ports, ticket
        self.people = people_columns(ports)
        self.failed: dict[str, str] = {}
        self.retryable = True
        told = names_of(ports, sql, subject)
        before = recall(ports.lake, subject, ticket.request) if told else ()
        told = tuple(dict.fromkeys((*told, *before)))
        # what stands in the files of lists as a hash is searched for like a name
        self.names = tuple(dict.fromkeys((*told, *hashed_names(ports, sql, told))))
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
        if len(self.names) > 1:
            keep(self.ports.lake, subject, request, self.names)
        self._erase(self._lists())
        self._erase(TextFiles(reach))
        self._erase(ParquetFiles(reach, "quarantine", "quarantine/"))
        self._erase(LandedVersions.of(reach, request, versions))
        bronze = ParquetFiles(reach, "bronze", "bronze/")
        if reach.of_tenant:
            self._guard("promotion", lambda: promote_outstanding(self.ports, subject.tenant_id))
            self._erase(bronze)
        else:
            self._erase(bronze)
            self._guard("promotion", lambda: promote_outstanding(self.ports, subject.tenant_id))
        roots = {key.split(LOG)[0] for key in reach.keys("") if LOG in key}
        for root in sorted(roots, key=lambda root: (not root.startswith(f"{SILVER}/"), root)):
            if root == EXPORTS and LISTS in self.failed:
                continue  # the next call must still know which lists have the subject
            table = TableFiles(reach, root, request)
            self._guard(table.name, partial(self._erase_table, table))
        searched = ("quarantine/", "bronze/", *(f"{root}/" for root in roots))
        self._erase(GoldenCases(reach))
        self._erase(ParquetFiles(reach, "files", "", besides=searched))
        if reach.of_tenant:
            self._erase(RestOfTenant(reach))
        else:
            self._erase(ReportFiles(reach))
        self._guard("online", self._erase_online)
        self._erase(OldVersions(reach))
        proof, hits = search(self.ports, reach.sql, subject, self.names, self.people)
        if hits and not self.failed:
            raise ConflictError(f"{_listed(hits, reach.texts)}. {_LEFT}")
        record = self._finish(proof)
        if self.failed:
            raise self._failure(hits)
        forget(self.ports.lake, request)
        return record

    def _lists(self) -> SentLists:
        """The lists that have the subject. To whom they were sent is noted before any row that says so goes."""
        found = [Membership()]

        def read() -> None:
            found.append(membership(self.reach))
            self._note(LISTS, {}, sent_to=found[-1].sent_to)

        self._guard(LISTS, read)
        return SentLists(self.reach, self.ticket, found[-1].lists)

    def _guard(self, zone: str, act: Callable[[], None]) -> None:
        """Do a zone's work. Where it fails, keep the reason, and let the other zones go on."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - the reason is in the record and in the error that ends the call
            self.failed.setdefault(zone, _reason(error, self.reach.texts))
            self.retryable &= isinstance(error, RetryableError)

    def _failure(self, hits: Sequence[str]) -> PropensityError:
        told = "; ".join(f"{zone}: {why}" for zone, why in sorted(self.failed.items()))
        left = f" {_listed(hits, self.reach.texts)}." if hits else ""
        message = (
            f"{len(self.failed)} zones failed: {told}.{left} The other zones are done. "
            f"{record_key(self.ticket.request)} names the zones; mend the cause, then call again with the same request"
        )
        return RetryableError(message) if self.retryable else ConflictError(message)

    def _erase(self, zone: Zone) -> None:
        self._guard(zone.name, lambda: self._erase_zone(zone))

    def _erase_zone(self, zone: Zone) -> None:
        found = zone.find()
        self._note(zone.name, found)
        failed: Exception | None = None
        for key in found:
            try:
                zone.erase(key)
            except Exception as error:  # noqa: BLE001 - raised once the zone's other objects are done
                failed = failed or error
        if failed is not None:
            raise failed

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

    def _note(
        self,
        zone: str,
        objects: Mapping[str, Removal],
        tables: Mapping[str, TableChange] | None = None,
        sent_to: Mapping[str, str] | None = None,
    ) -> None:
        """Write a note of what is about to be done in a zone."""
        if not objects and not sent_to:
            return
        # a key can hold the person's name, and notes and record name no person
        shown = {self.reach.texts.without_key(key): removal for key, removal in objects.items()}
        note = Note(
            attempt=self.attempt,
            zone=zone,
            call=self._call(),
            objects=shown,
            tables=tables or {},
            sent_to=sent_to or {},
        )
        folder = notes_folder(self.ticket.request)
        number = sum(1 for _ in self.ports.lake.keys(f"{folder}{self.attempt:04d}-"))
        self.ports.lake.put(f"{folder}{self.attempt:04d}-{number:04d}.json", dumps(note.model_dump()))

    def _finish(self, proof: Proof) -> ErasureRecord:
        """Write one record of all attempts, because a later attempt did what an earlier one had noted and not done."""
        subject = self.reach.subject
        before = self.record.closed if self.record else None
        done = merge_notes(before, self._notes())
        if before is not None and before.attempts == done.attempts and not self.failed:
            if self.record is not before:
                self.ports.lake.put(record_key(self.ticket.request), dumps(before.model_dump()))
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
            sent_to=done.sent_to,
            proof=proof,
            failed=self.failed,
            last=before if self.failed else None,
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
        ended = {"receipt.json", "evaluation.json", "judged.json"}
        unfinished = [run for run, names in runs.items() if not names & ended]
        return sorted([*unfinished, *open_lists(self.reach)])


def _listed(hits: Sequence[str], texts: NameFinder) -> str:
    shown = ", ".join(map(texts.without_key, hits[:_SHOWN]))
    return f"{len(hits)} objects still hold the subject: {shown}"


def _reason(error: Exception, texts: NameFinder) -> str:
    """Return why a zone failed: the error's class and, where the text is safe and names no person, its text."""
    kind = type(error).__name__
    # an AWS error says in `operation_name` which call failed, and in its text which permission is missing
    safe = isinstance(error, PropensityError) or hasattr(error, "operation_name")
    return f"{kind}: {texts.without_key(str(error))}" if safe else kind


def _kind(subject: Subject) -> Literal["tenant", "customer"]:
    return "tenant" if subject.customer_id is None else "customer"


def _find_record(store: ObjectStore, request: str) -> ErasureRecord | None:
    try:
        return read_record(store, record_key(request), ErasureRecord)
    except NotFoundError:
        return None
