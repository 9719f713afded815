"""A person in a lake: what names them, where it stands, and the rows of everybody else."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from propensity.erasure.erase_customer import erase_customer
from tests.kit.world import World

TICKET = {"request": "T-1", "why": "asked", "by": "support", "at": "2026-11-21T09:00:00Z"}
CUSTOMERS = "customer_id,email,phone,postcode,consent,valid_from,recorded_at\n"


@dataclass(frozen=True)
class Person:
    tenant: str
    id: str
    email: str
    phone: str

    @property
    def names(self) -> tuple[str, ...]:
        return self.id, self.email, self.phone

    def erase(self, world: World, **other: Any) -> dict[str, Any]:
        return erase_customer(world, **{"tenant_id": self.tenant, "customer_id": self.id, **TICKET, **other})


@cache
def shown(body: bytes) -> str:
    """All text of an object, in lower case. Of Parquet: the values that are no numbers, and the bytes as they lie."""
    if body.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(body))
        texts = [name for name, kind in zip(table.column_names, table.schema.types, strict=True) if is_text(kind)]
        text = "\n".join(str(value) for name in texts for value in table[name].to_pylist()) + body.decode("latin-1")
    elif body.startswith(b"\x1f\x8b"):
        try:
            text = gzip.decompress(body).decode(errors="replace")
        except EOFError:
            text = "cut"
    else:
        text = body.decode(errors="replace") + body.decode("utf-16-le", errors="replace")
    return text.lower()


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def naming(world: World, names: tuple[str, ...]) -> list[str]:
    """The objects, landed versions and online scores in which one of the names stands, anywhere."""
    bodies = {key: world.lake.get(key) for key in world.lake.keys("")}
    bodies |= {f"{info.key}@{info.version_id}": world.landing.get(info.key, info.version_id) for info in landed(world)}
    found = [key for key, body in bodies.items() if any(name.lower() in shown(body) for name in names)]
    return found + [str(key) for key in world.online.items if set(names) & set(map(str, key))]


def landed(world: World) -> Iterator[Any]:
    return world.landing.versions("")


def contents(world: World, person: Person) -> dict[str, list[str]]:
    """For each Parquet file outside of tables, the rows that are not the person's, in order."""
    tables = roots(world)
    found = {}
    for key in world.lake.keys(""):
        if key.endswith(".parquet") and not key.startswith((*tables, "quarantine/rejected/")):
            found[key] = _rows_of_others(world.lake.get(key), person)
    return found


# cached, for most of a lake is the same in each test and after each erasure


@cache
def _rows_of_others(body: bytes, person: Person) -> list[str]:
    texts = map(repr, pq.read_table(io.BytesIO(body)).to_pylist())
    return [text for text in texts if not says(text, person)]


@cache
def says(row: str, person: Person) -> bool:
    """Whether a row names the person; a phone number also where it is written with spaces or hyphens."""
    text = row.lower()
    digits = text.replace(" ", "").replace("-", "")
    return any(name.lower() in text for name in person.names) or person.phone[-8:] in digits


def roots(world: World) -> tuple[str, ...]:
    """The folders of all tables."""
    return tuple(sorted({key.split("/_delta_log/")[0] + "/" for key in world.lake.keys("") if "/_delta_log/" in key}))


def newest(world: World) -> dict[str, int]:
    """The newest version of each table."""
    return {root: DeltaTable(str(world.folder / root)).version() for root in roots(world)}


def versions(world: World, person: Person, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
    """For each wanted version of a table, the rows that are not the person's, as delta-rs reads them."""
    found = {}
    for root, version in wanted:
        texts = map(repr, pa.table(DeltaTable(str(world.folder / root), version=version).scan()).to_pylist())
        found[root, version] = sorted(text for text in texts if not says(text, person))
    return found


@dataclass(frozen=True)
class Others:
    """The rows of the others: those of files, and those of each table's first, pinned and newest version."""

    files: dict[str, list[str]]
    versions: dict[tuple[str, int], list[str]]
    newest: dict[str, int]

    def stay(self, world: World, person: Person) -> None:
        """Assert that an erasure of the person left every row of the others."""
        assert contents(world, person) == self.files
        assert versions(world, person, self.versions) == self.versions
        after = versions(world, person, newest(world).items())
        # the newest version is now the one that was newest before, without the person
        assert {root: rows for (root, _), rows in after.items()} == {
            root: self.versions[root, version] for root, version in self.newest.items()
        }
