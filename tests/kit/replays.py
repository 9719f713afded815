"""A lake whose quarantine is revalidated, and a simple model of what it should hold.

The model reads which contract versions a file met, and judges each row. It knows nothing of SQL, Parquet or queues.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from propensity.adapters.calamine_workbooks import CalamineWorkbooks
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import Upload
from propensity.kernel.sql_text import read_files, text
from propensity.lake.domain.as_of_views import current_view, latest_versions
from propensity.lake.session import download
from propensity.lake.silver_tables import shape_of, silver_table
from propensity.pack.current import contract_of
from tests.fakes.memory import MemoryMetrics, MemoryQueue, MemoryStore
from tests.fakes.memory_tables import MemoryTables
from tests.kit.drops import PACK, column, contract, csv_file, listed
from tests.kit.faults import Fuse, Fused
from tests.kit.reports import history

# per contract version: the fewest and the most pieces, and whether a file may lack the column.
# 2.0.0 takes more pieces than the others, and refuses the fewest that they take
RULES = {"1.9.0": (0, 5, False), "1.10.0": (-2, 6, False), "2.0.0": (2, 9, True)}
KINDS = {"orders": "event", "cards": "state"}
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def files_of(version: str, **custom: Any) -> dict[str, str]:
    least, most, optional = RULES[version]
    columns = (
        column("id", primaryKey=True, unique=True),
        column(
            "pieces",
            "integer",
            logicalTypeOptions={"minimum": least, "maximum": most},
            customProperties=listed({"optional": optional}),
        ),
    )
    files = {"pack.yaml": PACK.replace("[orders]", "[orders, cards]")}
    for name, kind in KINDS.items():
        files[f"contracts/{name}.yaml"] = contract(name, kind, *columns, version=version, **custom)
    return files


class Leader(MemoryStore):
    """A store whose clock can be set."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def touch(self) -> datetime:
        self._writes += 1
        self.now += timedelta(seconds=1)
        return self.now


class Follower(MemoryStore):
    """A store on another's clock."""

    def __init__(self, leader: MemoryStore) -> None:
        super().__init__()
        self._leader = leader

    def touch(self) -> datetime:
        return self._leader.touch()


class Meeting:
    """A fuse that does not end the process: where it has burnt down, another process acts once."""

    def __init__(self, left: int, act: Any) -> None:
        self.left, self._act = left, act

    def burn(self) -> None:
        self.left -= 1
        if self.left == -1:
            self._act()


class Ports:
    """The ports of ingestion over memory. Each call of one burns the fuse."""

    pack = "shop"
    sql = DuckDbSql
    workbooks = CalamineWorkbooks()

    def __init__(self, fuse: Any, version: str = "1.9.0") -> None:
        self.pack_files = files_of(version)
        self.store, self.queue, self.metrics = Leader(), MemoryQueue(), MemoryMetrics()
        self.objects = Follower(self.store)
        self.memory_tables = MemoryTables(self.objects)
        self.burn_by(fuse)

    def burn_by(self, fuse: Any) -> None:
        self.landing, self.lake = Fused(self.store, fuse), Fused(self.objects, fuse)
        self.tables, self.promote_queue = Fused(self.memory_tables, fuse), Fused(self.queue, fuse)

    def beside(self) -> Any:
        """Another process over the same lake."""
        other = Ports(Fuse())
        other.pack_files = dict(self.pack_files)
        other.store, other.objects, other.queue = self.store, self.objects, self.queue
        other.memory_tables = self.memory_tables
        other.burn_by(Fuse())
        return other

    def deploy(self, version: str, **custom: Any) -> None:
        """Put a contract version in force."""
        self.pack_files = files_of(version, **custom)


@dataclass(frozen=True)
class Row:
    id: str
    day: int
    pieces: int


@dataclass(frozen=True)
class Landed:
    """One version of one object. Where `pieces` is False, the file lacks that column. `arrived` is its LastModified."""

    dataset: str
    upload: Upload
    rows: tuple[Row, ...]
    pieces: bool
    arrived: datetime


@dataclass
class Account:
    """What the model says of one file: the lines in Bronze and from when each is known, and those in quarantine."""

    bronze: dict[int, datetime]
    quarantine: set[int]


def put(ports: Any, dataset: str, name: str, rows: Sequence[Row], pieces: bool = True) -> Landed:
    key = f"{dataset}/tenant_id=t1/{name}.csv"
    lines = []
    for row in rows:
        day = (FIRST + timedelta(days=row.day)).date()
        lines.append(f"{row.id},{day},{row.pieces}" if pieces else f"{row.id},{day}")
    ports.store.put(key, csv_file(*lines, header="id,day,pieces" if pieces else "id,day"))
    info = ports.store.head(key)
    return Landed(dataset, Upload("landing", key, info.version_id, info.etag), tuple(rows), pieces, info.last_modified)


def put_at_four(ports: Any, day: date, key: str, pieces: Sequence[int], header: str = "id,day,pieces") -> Upload:
    """Put a file of rows R0, R1, … at four in the morning, or just after the last write; what its event names."""
    ports.store.now = max(ports.store.now, datetime(day.year, day.month, day.day, 4, tzinfo=UTC))
    lines = [f"R{number},2026-01-01,{value}" for number, value in enumerate(pieces)]
    ports.store.put(key, csv_file(*lines, header=header))
    info = ports.store.head(key)
    return Upload("landing", key, info.version_id, info.etag)


def model(landed: Landed, versions: Sequence[tuple[str, datetime | None]]) -> Account:
    """The account of a file that met these contract versions, in this order.

    Beside each version stands when the rows that it healed became known; the first one healed none.
    """
    account = Account({}, set())
    for number, (version, healed_at) in enumerate(versions):
        least, most, optional = RULES[version]
        if not landed.pieces and not optional:
            continue
        lines = dict(enumerate(landed.rows, start=2))
        fine = {line for line, row in lines.items() if not landed.pieces or least <= row.pieces <= most}
        taken = {lines[line].id for line in account.bronze}
        good = set()
        for line in sorted(fine - set(account.bronze)):
            if lines[line].id not in taken:
                taken.add(lines[line].id)
                good.add(line)
        for line in good:
            assert number == 0 or healed_at is not None
            account.bronze[line] = healed_at or landed.arrived
        account.quarantine = set(lines) - set(account.bronze)
    return account


def versions_met(ports: Any, landed: Landed, content: str) -> list[dict[str, Any]]:
    return history(ports.objects, landed.dataset, "t1", content, landed.arrived.date())


def rows_of(ports: Any, keys: Sequence[str], columns: str) -> list[tuple[Any, ...]]:
    if not keys:
        return []
    with DuckDbSql() as sql:
        return sql.rows(f"select {columns} from {read_files(download(sql, ports.objects, keys, 'rows'))}")


def check(ports: Any, landed: Sequence[Landed], moments: Sequence[datetime] = ()) -> None:
    """Assert every law, once all queues have run dry."""
    accounts = []
    for one in landed:
        [content] = {content for content, arrived in contents(ports, one.upload.key) if arrived == one.arrived}
        reports = versions_met(ports, one, content)
        known = [
            (report["contract_version"], datetime.fromisoformat(report["known_from"]) if report["known_from"] else None)
            for report in reports
        ]
        account = model(one, known)
        accounts.append((one, content, account))
        accepted = [report for report in reports if report["status"] == "accepted"]
        bronze = rows_of(ports, [report["bronze_key"] for report in accepted if report["bronze"]], "_line")
        assert sorted(line for (line,) in bronze) == sorted(account.bronze), one
        if accepted:
            newest = accepted[-1]
            bad = rows_of(ports, [newest["quarantine_key"]] if newest["quarantine"] else [], "line")
            assert sorted(line for (line,) in bad) == sorted(account.quarantine), one
            assert newest["rows_in"] == len(one.rows) == len(bronze) + len(bad)
            assert newest["rows_in"] == newest["earlier"] + newest["bronze"] + newest["quarantine"]
    for dataset in KINDS:
        silver(ports, dataset, [one for one in accounts if one[0].dataset == dataset], moments)


def contents(ports: Any, key: str) -> list[tuple[str, datetime]]:
    found = []
    for name in ports.objects.keys("landings/"):
        if ".after" not in name:
            report = json.loads(ports.objects.get(name))
            if report["key"] == key:
                found.append((report["content_id"], datetime.fromisoformat(report["ingested_at"])))
    return found


def silver(
    ports: Any, dataset: str, accounts: Sequence[tuple[Landed, str, Account]], moments: Sequence[datetime]
) -> None:
    expected = sorted((content, line) for _, content, account in accounts for line in account.bronze)
    snapshot = ports.memory_tables.snapshot(silver_table(dataset))
    keys = snapshot.file_keys() if snapshot else []
    assert sorted(rows_of(ports, keys, "_content_id, _line")) == expected
    for moment in [None, *moments]:
        assert view(ports, dataset, moment) == latest(dataset, accounts, moment), (dataset, moment)


def view(ports: Any, dataset: str, known_before: datetime | None = None) -> list[tuple[Any, ...]]:
    """(id, day, pieces, line, content) of the current view, or of the view as known before a moment."""
    snapshot = ports.memory_tables.snapshot(silver_table(dataset))
    if snapshot is None:
        return []
    with DuckDbSql() as sql:
        sql.execute(f"create table s as from {read_files(download(sql, ports.objects, snapshot.file_keys(), 's'))}")
        shape = shape_of(contract_of(ports, dataset))
        cut = f"timestamptz {text(known_before.isoformat())}" if known_before else None
        rows = latest_versions(shape, "s", known_before=cut, valid_before=None) if cut else current_view(shape, "s")
        return sorted(sql.rows(f"select id, day, pieces, _line, _content_id from ({rows})"))


def latest(
    dataset: str, accounts: Sequence[tuple[Landed, str, Account]], moment: datetime | None
) -> list[tuple[Any, ...]]:
    """What `view` should find: per key the row of the latest file, or for a state of the latest day."""
    best: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    for landed, content, account in accounts:
        for line, known in account.bronze.items():
            row = landed.rows[line - 2]
            rank = (row.day if dataset == "cards" else 0, landed.arrived)
            if (moment is None or known < moment) and (row.id not in best or best[row.id][0] < rank):
                day = (FIRST + timedelta(days=row.day)).date()
                best[row.id] = (rank, (row.id, day, row.pieces if landed.pieces else None, line, content))
    return sorted(row for _, row in best.values())


def promote(ports: Any, messages: Sequence[Any]) -> None:
    files = [BronzeFile.parse(message) for message in messages]
    for dataset in sorted({file.dataset for file in files}):
        promote_silver(ports, [file for file in files if file.dataset == dataset])


def run_dry(ports: Any) -> None:
    """Revalidate all that is left, and promote each message twice. A second revalidation changes nothing."""
    ports.deploy("2.0.0")
    for dataset in KINDS:
        assert replay_quarantine(ports, dataset=dataset)["left"] == 0
    before = {key: ports.objects.get(key) for key in ports.objects.keys("")}
    for dataset in KINDS:
        again = replay_quarantine(ports, dataset=dataset)
        assert (again["files"], again["healed"], again["gone"]) == (0, 0, [])
    assert {key: ports.objects.get(key) for key in ports.objects.keys("")} == before
    promote(ports, ports.queue.messages)
    promote(ports, ports.queue.messages)
