"""Files are dropped and overwritten, events come twice, late or out of order, and functions die anywhere.

After the queues have run dry, every row of every file is accounted for, and Silver says what a simple model says. The
model knows nothing of SQL, Parquet or queues. It has lists of rows, and takes the latest of each key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.domain.landing_keys import content_id
from propensity.ingest.retract_upload import retract_upload
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import NotFoundError
from propensity.kernel.sql_text import read_files, text
from propensity.lake.domain.as_of_views import current_view, latest_versions
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.retractions import retraction_key
from propensity.lake.session import download
from propensity.lake.silver_tables import shape_of, silver_table
from propensity.lake.taken_back import retracted
from propensity.operations.rebucket_silver import rebucket_silver
from propensity.pack.current import contract_of
from tests.fakes.memory import MemoryMetrics, MemoryQueue, MemoryStore
from tests.fakes.memory_tables import MemoryTables
from tests.kit.drops import PACK, column, contract
from tests.kit.faults import Fuse, Fused
from tests.kit.replays import promote

COLUMNS = (
    column("id", primaryKey=True, unique=True),
    column("pieces", "integer", logicalTypeOptions={"minimum": 0}),
)
FILES = {
    "pack.yaml": PACK.replace("[orders]", "[orders, cards]"),
    "contracts/orders.yaml": contract("orders", "event", *COLUMNS),
    "contracts/cards.yaml": contract("cards", "state", *COLUMNS),
}
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


class Ports:
    pack = "shop"
    pack_files = FILES
    sql = DuckDbSql
    rows_per_item = 4

    def __init__(self, fuse: Fuse) -> None:
        self.store, self.objects, self.queue = MemoryStore(), MemoryStore(), MemoryQueue()
        self.memory_tables = MemoryTables(self.objects)
        self.landing, self.lake = Fused(self.store, fuse), Fused(self.objects, fuse)
        self.tables = Fused(self.memory_tables, fuse)
        self.promote_queue = Fused(self.queue, fuse)
        self.metrics = MemoryMetrics()


@dataclass(frozen=True)
class Row:
    id: str
    day: int
    pieces: int

    @property
    def good(self) -> bool:
        return self.pieces >= 0

    def line(self) -> str:
        return f"{self.id},{(FIRST + timedelta(days=self.day)).date()},{self.pieces}\n"


@dataclass(frozen=True)
class Landed:
    """One version of one object. `arrived` is its LastModified."""

    dataset: str
    upload: Upload
    rows: tuple[Row, ...]
    arrived: datetime


ROWS = st.lists(
    st.builds(Row, st.sampled_from("abcdef"), st.integers(0, 5), st.integers(-1, 9)),
    min_size=1,
    max_size=5,
    unique_by=lambda row: row.id,
)
FUSE = st.none() | st.integers(0, 24)


class Lake(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.fuse = Fuse()
        self.ports: Any = Ports(self.fuse)  # only the ports that ingestion uses
        self.landed: list[Landed] = []
        self.waiting: list[int] = []
        self.unpromoted: list[int] = []
        self.seen = 0
        self.retracted: dict[int, datetime] = {}  # when each landed file that was taken back was

    @rule(dataset=st.sampled_from(["orders", "cards"]), name=st.sampled_from("12"), rows=ROWS)
    def put(self, dataset: str, name: str, rows: list[Row]) -> None:
        """Put a file, also over another one: each put makes a version of the key and an event."""
        key = f"{dataset}/tenant_id=t1/{name}.csv"
        self.ports.store.put(key, ("id,day,pieces\n" + "".join(row.line() for row in rows)).encode())
        info = self.ports.store.head(key)
        upload = Upload("landing", key, info.version_id, info.etag)
        self.waiting.append(len(self.landed))
        self.landed.append(Landed(dataset, upload, tuple(rows), info.last_modified))

    @rule(data=st.data(), fuse=FUSE)
    @precondition(lambda self: self.landed)
    def deliver(self, data: st.DataObject, fuse: int | None) -> None:
        """Deliver any event; an old one may come again."""
        number = data.draw(st.integers(0, len(self.landed) - 1))
        if self.fuse.spares(lambda: validate_upload(self.ports, self.landed[number].upload), fuse):
            self.waiting = [one for one in self.waiting if one != number]

    @rule(buckets=st.integers(1, 5), fuse=FUSE)
    def rebucket(self, buckets: int, fuse: int | None) -> None:
        self.fuse.spares(lambda: rebucket_silver(self.ports, buckets=buckets), fuse)

    @rule(data=st.data(), fuse=FUSE)
    @precondition(lambda self: self.ports.queue.messages)
    def promote(self, data: st.DataObject, fuse: int | None) -> None:
        """Promote any messages in any order; old ones may come again."""
        self._look()
        count = len(self.ports.queue.messages)
        numbers = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4, unique=True))
        if self.fuse.spares(lambda: self._promote(numbers), fuse):
            self.unpromoted = [one for one in self.unpromoted if one not in numbers]

    @rule(data=st.data(), fuse=FUSE)
    @precondition(lambda self: self.landed)
    def retract(self, data: st.DataObject, fuse: int | None) -> None:
        """Take back any file, before or after it came to Silver, perhaps for a second time."""
        number = data.draw(st.integers(0, len(self.landed) - 1))
        one, at = self.landed[number], self.ports.store.touch()
        content = content_id("landing", one.upload.key, one.upload.etag, one.arrived)
        told = [key for key in self.ports.objects.keys("validation/") if f"/{content}.c" in key]
        body = {"content_id": content, "why": "another dealer's"}
        if not told:
            with pytest.raises(NotFoundError):
                retract_upload(self.ports, "t1", body, by="anna", at=at.isoformat())
        else:
            self.fuse.spares(lambda: retract_upload(self.ports, "t1", body, by="anna", at=at.isoformat()), fuse)
            if list(self.ports.objects.keys(retraction_key(one.dataset, content))):
                self.retracted.setdefault(number, at)

    def _look(self) -> None:
        self.unpromoted += range(self.seen, len(self.ports.queue.messages))
        self.seen = len(self.ports.queue.messages)

    def _promote(self, numbers: list[int]) -> None:
        promote(self.ports, [self.ports.queue.messages[number] for number in numbers])

    @contextmanager
    def _silver(self, dataset: str) -> Iterator[DuckDbSql | None]:
        """A session with the dataset's rows in `s`; None where there is no table yet."""
        snapshot = self.ports.memory_tables.snapshot(silver_table(dataset))
        if snapshot is None:
            yield None
            return
        with DuckDbSql() as session:
            paths = download(session, self.ports.objects, snapshot.file_keys(), "s")
            session.execute(f"create table s as from {read_files(paths, filename=True)}")
            yield session

    def teardown(self) -> None:
        if not hasattr(self, "ports"):
            return
        for number in self.waiting:
            validate_upload(self.ports, self.landed[number].upload)
        self._look()
        self._promote(self.unpromoted)
        self._every_row_is_accounted_for()
        times = [None, *(one.arrived for one in self.landed), *self.retracted.values()]
        for dataset in ("orders", "cards"):
            with self._silver(dataset) as session:
                if session is not None:
                    self._every_row_lies_in_its_bucket(session, dataset)
                    assert session.rows("select count(*) - count(distinct (_content_id, _line)) from s") == [(0,)]
                for time in times:
                    self._silver_says_what_the_model_says(session, dataset, time)

    def _every_row_lies_in_its_bucket(self, session: DuckDbSql, dataset: str) -> None:
        """The bucket that any reader computes with the number of buckets that the table tells."""
        snapshot = self.ports.memory_tables.snapshot(silver_table(dataset))
        assert snapshot is not None
        assert snapshot.buckets is not None
        told = [file.partition["bucket"] for file in snapshot.files]
        found = session.rows(
            f"select parse_filename(_file, true)::integer, {bucket_of('tenant_id', snapshot.buckets)} from s"
        )
        assert all(told[number] == str(bucket) for number, bucket in found)

    def _every_row_is_accounted_for(self) -> None:
        reports = [json.loads(self.ports.objects.get(key)) for key in self.ports.objects.keys("validation/")]
        told = sorted((one["key"], one["rows_in"], one["bronze"], one["quarantine"]) for one in reports)
        counted = sorted(
            (one.upload.key, len(one.rows), sum(row.good for row in one.rows), sum(not row.good for row in one.rows))
            for one in self.landed
        )
        assert told == counted

    def _silver_says_what_the_model_says(
        self, session: DuckDbSql | None, dataset: str, known_by: datetime | None
    ) -> None:
        """The current view, or the view as known just after a moment."""
        shape = shape_of(contract_of(self.ports, dataset), retracted(self.ports.objects, dataset))
        cut = None
        if known_by is not None:
            cut = f"timestamptz {text((known_by + timedelta(milliseconds=1)).isoformat())}"
        view = latest_versions(shape, "s", known_before=cut, valid_before=None) if cut else current_view(shape, "s")
        columns = f"id, day, pieces, epoch_ms({shape.time_column})"
        found = sorted(session.rows(f"select {columns} from ({view})")) if session else []
        latest: dict[str, tuple[Any, Row]] = {}
        for number, one in enumerate(self.landed):
            if one.dataset != dataset:
                continue
            if known_by is not None and one.arrived > known_by:
                continue
            if number in self.retracted and (known_by is None or self.retracted[number] <= known_by):
                continue
            for row in one.rows:
                rank = (row.day if dataset == "cards" else 0, one.arrived)
                if row.good and (row.id not in latest or latest[row.id][0] < rank):
                    latest[row.id] = (rank, row)
        days = {row.id: (FIRST + timedelta(days=row.day)) for _, row in latest.values()}
        expected = sorted(
            (row.id, days[row.id].date(), row.pieces, int(days[row.id].timestamp() * 1000))
            for _, row in latest.values()
        )
        assert found == expected, (dataset, known_by)


EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "300"))
Lake.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLake = Lake.TestCase
