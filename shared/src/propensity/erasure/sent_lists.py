"""The lists that have a person: who was sent to which destination, and the files that an erasure removes.

The file of a list may name a person by a hash, or by nothing that is only theirs. gold/exports says who is on which
list, so the files of these lists go whole. It is read before any row of it is erased.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from propensity.delivery.domain.identifiers import written_value
from propensity.delivery.domain.order import ExportOrder, export_folder, is_list_file
from propensity.delivery.domain.receipt import FilesErased, erased_key, receipt_key
from propensity.erasure.domain.erasure_report import Removal
from propensity.erasure.domain.subject import Ticket
from propensity.erasure.zones import Reach
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.gold_tables import EXPORTS
from propensity.lake.json_objects import dumps, find_record
from propensity.pack.domain.list_rules import destination_names, parse_destination
from propensity.ports import Ports, Sql

LISTS = "lists"  # the zone's name


def hashed_names(ports: Ports, sql: Sql, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as the pack's destinations hash them, each by each rule. A rule passes over what is not of its kind."""
    found = []
    for destination in destination_names(ports.pack_files):
        for column in parse_destination(ports.pack_files, destination, ports.pack).columns:
            for name in names if column.hash else ():
                [(value,)] = sql.rows(f"select {written_value(column, text(name))}")
                found += [str(value)] if value is not None else []
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Membership:
    """The lists that have the subject in a file, by id, and the last day of an export to each destination, by name."""

    lists: frozenset[str] = frozenset()
    sent_to: Mapping[str, str] = field(default_factory=dict)


def membership(reach: Reach) -> Membership:
    """Read gold/exports for the subject. A list has the person where it exported them, or where it may remove them."""
    snapshot = reach.ports.tables.snapshot(EXPORTS)
    sql, subject = reach.sql, reach.subject
    sql.execute(
        "create or replace temp table on_list (model varchar, export varchar, destination varchar, arm varchar, "
        "exported_at timestamptz)"
    )
    mine = f"tenant_id = {text(subject.tenant_id)}"
    if subject.customer_id is not None:
        mine += f" and customer_id = {text(subject.customer_id)}"
    for file in snapshot.files if snapshot else ():
        path, _ = reach.fetch(f"{EXPORTS}/{file.path}")
        model = text(file.partition["model"]) if "model" in file.partition else quote("model")
        sql.execute(
            f"insert into on_list select {model}, export, destination, arm, exported_at from {read_files([str(path)])} "
            f"where {mine}"
        )
    # a later list for the same destination may take the person off again, and its file then names them
    lists = sql.rows(
        "select distinct export from on_list o where arm = 'exported' or exists (select 1 from on_list e where "
        "e.arm = 'exported' and (e.model, e.destination) = (o.model, o.destination) and e.exported_at < o.exported_at)"
    )
    sent = sql.rows(
        "select destination, strftime(max(exported_at), '%Y-%m-%d') from on_list where arm = 'exported' group by 1"
    )
    of_person = {str(export) for (export,) in lists}
    return Membership(frozenset(of_person | _recalls_of(reach, of_person)), dict(sorted(sent)))


def _recalls_of(reach: Reach, lists: Collection[str]) -> set[str]:
    """The recalls of lists: their files have everybody who was on the list, taken back or not."""
    lake = reach.ports.lake
    keys = [key for key in lake.keys(export_folder(reach.subject.tenant_id, "")) if key.endswith("/request.json")]
    orders = [find_record(lake, key, ExportOrder) for key in keys]
    return {order.export for order in orders if order and order.recall and order.recall.export in lists}


def open_lists(reach: Reach) -> list[str]:
    """The tenant's lists that were planned and have no receipt: one that is being made may still have the subject."""
    root = export_folder(reach.subject.tenant_id, "")
    keys = set(reach.keys(root))
    folders = {key.rpartition("/")[0] for key in keys if key.endswith("/plan.json")}
    return sorted(folder for folder in folders if receipt_key(folder) not in keys)


@dataclass(frozen=True, slots=True)
class SentLists:
    """The zone of the files of lists that have the person, and of lists that nobody has finished.

    Each list that was finished gets a mark, so that whoever asks for it is told that its files are gone. A file goes
    with all its versions, so that a link from before finds nothing.
    """

    reach: Reach
    ticket: Ticket
    lists: frozenset[str]
    name: str = LISTS

    def find(self) -> dict[str, Removal]:
        if self.reach.of_tenant:
            return {}  # all that lies below the tenant's keys goes
        root = export_folder(self.reach.subject.tenant_id, "")
        there = set(self.reach.keys(root))
        return {
            key: Removal(rows=None, how="removed")
            for key, folder in self._files(root)
            if folder.removeprefix(root) in self.lists
            or erased_key(folder) in there
            or receipt_key(folder) not in there
        }

    def erase(self, key: str) -> None:
        lake, folder = self.reach.ports.lake, key.rpartition("/")[0]
        if receipt_key(folder) in set(lake.keys(f"{folder}/")):
            lake.put_new(erased_key(folder), dumps(FilesErased(at=self.ticket.at)))
        self.reach.remove(key)

    def _files(self, root: str) -> Iterator[tuple[str, str]]:
        """The files of lists with their folders, also those of which only an old version is left."""
        for info in self.reach.ports.lake.versions(root):
            if is_list_file(info.key):
                yield info.key, info.key.rpartition("/")[0]
