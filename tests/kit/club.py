"""A pack of the tests' own, whose members are known by name and postcode as well, over a lake in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from propensity.adapters.calamine_workbooks import CalamineWorkbooks
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.identity.identities import current_identities
from propensity.identity.resolve_identities import resolve_identities
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.sql_text import read_files
from propensity.lake.session import download
from tests.fakes.memory import MemoryMetrics, MemoryQueue, MemoryStore
from tests.fakes.memory_tables import MemoryTables
from tests.kit.drops import column, contract
from tests.kit.faults import Fuse, Fused

PACK = """
name: club
description: A pack for tests.
entity: member
partition_key: {key}
buckets: 3
datasets: [people, cars, visits]
models: []
"""


def keyed(name: str, kind: str, key: str, *columns: str) -> str:
    """A contract whose columns are texts. A row is known from its own day on."""
    texts = [column(key, primaryKey=True), *(column(other) for other in columns)]
    return contract(name, kind, *texts, knownAt={"column": "day"}, partitionKey="member")


RULES = """
person:
  - name: email
    description: One e-mail address.
    parts: [{columns: [people.email], normalise: [lower], ignore: ['no-?reply@.*']}]
    max_customers: 3
  - name: name_postcode
    description: One name at one postcode.
    parts:
      - {columns: [people.name], normalise: [no_accents, lower, letters_and_digits]}
      - {columns: [people.postcode], normalise: [digits], ignore: ['0+']}
    max_customers: 9
household:
  - name: phone
    description: One telephone number.
    parts: [{columns: [people.phone], normalise: [digits]}]
    max_customers: 300
  - name: car
    description: One car, kept or brought lately, at one postcode.
    parts:
      - {columns: [cars.plate, visits.plate], within_days: 90}
      - {columns: [people.postcode]}
    max_customers: 9
"""
FILES = {
    "pack.yaml": PACK.format(key="tenant"),
    "identity.yaml": RULES,
    "contracts/people.yaml": keyed("people", "state", "member", "email", "phone", "name", "postcode"),
    "contracts/cars.yaml": keyed("cars", "state", "plate", "member"),
    "contracts/visits.yaml": keyed("visits", "event", "visit", "plate", "member"),
}
HEADERS = {
    "people": "member,email,phone,name,postcode,day",
    "cars": "plate,member,day",
    "visits": "visit,plate,member,day",
}
Identity = dict[str, tuple[str, str]]


class Club:
    """Ports, and the steps from a file to identities. A row is known from its own day on."""

    pack = "club"
    sql = DuckDbSql
    workbooks = CalamineWorkbooks()
    rows_per_item = 1_000

    def __init__(self, **files: str) -> None:
        self.pack_files = {**FILES, **{f"{name}.yaml": text for name, text in files.items()}}
        self.fuse = Fuse()
        self.store = MemoryStore()
        self.memory_tables = MemoryTables(self.store)
        self.landing, self.promote_queue, self.metrics = MemoryStore(), MemoryQueue(), MemoryMetrics()
        self.lake, self.tables = Fused(self.store, self.fuse), Fused(self.memory_tables, self.fuse)
        self.ports: Any = self  # only the ports that these use cases use
        self.files = 0

    def put(self, dataset: str, *lines: str, tenant: str = "t1") -> None:
        self.files += 1
        key = f"{dataset}/tenant_id={tenant}/{self.files}.csv"
        self.landing.put(key, "".join(f"{line}\n" for line in (HEADERS[dataset], *lines)).encode())
        info = self.landing.head(key)
        report = validate_upload(self.ports, Upload("landing", key, info.version_id, info.etag))
        assert report["quarantine"] == 0, report
        promote_silver(self.ports, [BronzeFile.parse(message) for message in self.promote_queue.messages])
        self.promote_queue.messages.clear()

    def people(self, *lines: str, tenant: str = "t1") -> None:
        """Lines of member,email,phone,name,postcode,day."""
        self.put("people", *lines, tenant=tenant)

    def resolve(self, slot: str) -> dict[str, Any]:
        return resolve_identities(self.ports, slot=slot)

    def rows(self, select: str = "*", order: str = "all") -> list[tuple[Any, ...]]:
        """Rows of gold/identities, of all slots."""
        with DuckDbSql() as sql:
            snapshot = self.memory_tables.snapshot("gold/identities")
            assert snapshot is not None
            paths = download(sql, self.store, snapshot.file_keys(), "identities")
            return sql.rows(f"select {select} from {read_files(paths)} order by {order}")

    def current(self, tenant: str = "t1") -> Identity:
        """(person, household) by member."""
        with DuckDbSql() as sql:
            current_identities(self.ports, sql, "i")
            query = "select customer_id, person_id, household_id from i where tenant_id = ?"
            return {member: (person, household) for member, person, household in sql.rows(query, [tenant])}

    def lake_content(self) -> dict[str, bytes]:
        return {key: self.store.get(key) for key in self.store.keys("")}


def groups(found: Identity, level: int) -> set[frozenset[str]]:
    """Members that share an id; level 0 is persons, 1 households."""
    by_id: dict[str, set[str]] = {}
    for member, ids in found.items():
        by_id.setdefault(ids[level], set()).add(member)
    return {frozenset(members) for members in by_id.values()}


def sets(*groups: str) -> set[frozenset[str]]:
    """`sets("a b", "c")`: a and b together, c alone."""
    return {frozenset(group.split()) for group in groups}


def union_find(nodes: Iterable[Any], links: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """For each node the smallest of its group, found without any code of the product: tests check the product by it."""
    parent = {node: node for node in nodes}

    def find(node: Any) -> Any:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in links:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {node: find(node) for node in parent}
