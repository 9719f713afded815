"""What the Tables port promises, over a folder and over S3."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from propensity.adapters.delta_tables import DeltaTables
from propensity.adapters.memory import MemoryStore
from propensity.adapters.memory_tables import MemoryTables
from propensity.domain.errors import ConflictError, NotFoundError, RetryableError
from propensity.ports import ArrowStream, DataFile, Tables


@pytest.fixture(params=["memory", "folder", "s3"])
def open_tables(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Tables]:
    """A maker of fresh adapters over one lake, each as a new process would have it."""
    if request.param == "memory":
        held = MemoryTables(MemoryStore())
        return lambda: held
    if request.param == "folder":
        return lambda: DeltaTables(str(tmp_path))
    address = request.getfixturevalue("moto")
    boto3.client("s3").create_bucket(Bucket="lake")
    return lambda: DeltaTables("s3://lake", {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"})


def rows(*numbers: int, bucket: str = "0") -> pa.Table:
    return pa.table({"n": pa.array(numbers, pa.int64()), "bucket": [bucket] * len(numbers)})


def test_a_table_that_nobody_made_is_none(open_tables: Callable[[], Tables]) -> None:
    tables = open_tables()
    assert tables.snapshot("silver/x") is None
    assert tables.committed("silver/x", ["a"]) == set()


def test_an_append_is_seen_by_others_with_its_transactions(open_tables: Callable[[], Tables]) -> None:
    writer, reader = open_tables(), open_tables()
    first = writer.append("t", rows(1, 2), partition_by=["bucket"], transactions=["a", "b"])
    assert reader.committed("t", ["a", "b", "c"]) == {"a", "b"}
    second = writer.append("t", rows(3, bucket="7"), partition_by=["bucket"], transactions=["c"])
    assert second == first + 1
    assert reader.committed("t", ["c"]) == {"c"}
    found = reader.snapshot("t")
    assert found is not None
    assert (found.version, found.rows()) == (second, 3)
    [key] = found.file_keys(bucket="7")
    assert key.startswith("t/bucket=7/")
    assert found.file_keys(bucket="8") == []


def test_a_version_is_read_as_it_was(open_tables: Callable[[], Tables]) -> None:
    tables = open_tables()
    first = tables.append("t", rows(1))
    tables.append("t", rows(2, 3))
    pinned = tables.snapshot("t", version=first)
    assert pinned is not None
    assert (pinned.version, pinned.rows()) == (first, 1)
    with pytest.raises(NotFoundError, match="99"):
        tables.snapshot("t", version=99)


def test_a_time_gives_the_newest_version_not_after_it(tmp_path: Path) -> None:
    tables = DeltaTables(str(tmp_path))
    for number in (1, 2):
        tables.append("t", rows(*range(number)))
        log = tmp_path / f"t/_delta_log/{number - 1:020d}.json"
        committed = datetime(2026, 1, number, tzinfo=UTC).timestamp()
        os.utime(log, (committed, committed))
    for day, expected in ((datetime(2026, 1, 1, 12, tzinfo=UTC), 1), (datetime(2026, 2, 1, tzinfo=UTC), 3)):
        found = DeltaTables(str(tmp_path)).snapshot("t", as_of_time=day)
        assert found is not None
        assert found.rows() == expected


def test_a_new_nullable_column_is_added_and_another_type_is_refused(open_tables: Callable[[], Tables]) -> None:
    tables = open_tables()
    tables.append("t", rows(1))
    wider = rows(2).append_column("added", pa.array(["x"]))
    version = tables.append("t", wider)
    with pytest.raises(ConflictError, match=r"t: .*do not fit"):
        tables.append("t", pa.table({"n": [["no number"]], "bucket": ["0"]}))
    found = tables.snapshot("t")
    assert found is not None
    assert (found.version, found.rows()) == (version, 2)


def test_compaction_and_vacuum_lose_no_row_and_no_version_that_is_kept(open_tables: Callable[[], Tables]) -> None:
    tables = open_tables()
    for number in range(6):
        tables.append("t", rows(number, bucket=str(number % 2)), partition_by=["bucket"], transactions=[f"f{number}"])
    before = tables.snapshot("t", version=3)
    assert tables.compact("t") == 4
    assert tables.compact("t") == 0
    tables.vacuum("t", keep_versions=[3], retention=timedelta(0))
    found = open_tables().snapshot("t")
    assert found is not None
    assert (found.rows(), len(found.files)) == (6, 2)
    assert open_tables().snapshot("t", version=3) == before
    assert open_tables().committed("t", ["f0", "f5"]) == {"f0", "f5"}
    tables.vacuum("nothing", keep_versions=[], retention=timedelta(0))
    assert tables.compact("nothing") == 0


def test_files_that_are_there_become_part_of_a_table_in_one_commit(tmp_path: Path) -> None:
    tables = DeltaTables(str(tmp_path))
    files = []
    for number, table in enumerate((rows(1, 2), rows(3, bucket="4"))):
        path = f"bucket={'04'[number]}/part-{number}.parquet"
        (tmp_path / "t" / path).parent.mkdir(parents=True)
        pq.write_table(table.drop(["bucket"]), tmp_path / "t" / path)
        size = (tmp_path / "t" / path).stat().st_size
        files.append(DataFile(path, table.num_rows, size, {"bucket": "04"[number]}))
    schema = rows().cast(pa.schema([("n", pa.int64()), ("bucket", pa.string())]))
    tables.add_files("t", files, schema=schema, partition_by=["bucket"], transactions=["run"])
    with pytest.raises(RetryableError, match="another commit carried this"):
        DeltaTables(str(tmp_path)).add_files("t", files, schema=schema, partition_by=["bucket"], transactions=["run"])
    # the same path under another name stays one file
    tables.add_files("t", files[:1], schema=schema, partition_by=["bucket"], transactions=["again"])
    found = DeltaTables(str(tmp_path)).snapshot("t")
    assert found is not None
    assert (found.rows(), [file.path for file in found.files]) == (3, sorted(file.path for file in files))
    assert tables.committed("t", ["run", "again", "never"]) == {"run", "again"}


class Overtaken(DeltaTables):
    """Another process makes the table, with a transaction, just after this one has seen that there is none."""

    def __init__(self, root: Path, transaction: str) -> None:
        super().__init__(str(root))
        self._other, self._transaction = DeltaTables(str(root)), transaction

    def _open(self, table: str) -> DeltaTable | None:
        found = super()._open(table)
        if found is None:
            self._other.append(table, rows(1), partition_by=["bucket"], transactions=[self._transaction])
        return found


class Slow:
    """A stream before whose first row another process makes the table, with a transaction."""

    def __init__(self, root: Path, transaction: str) -> None:
        self._root, self._transaction = root, transaction

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        other = DeltaTables(str(self._root))
        if not other.committed("t", [self._transaction]):
            other.append("t", rows(1), partition_by=["bucket"], transactions=[self._transaction])
        return rows(1).__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("other", ["a", "b"], ids=["with this transaction", "with another"])
@pytest.mark.parametrize("when", ["after the look", "before the first row"])
def test_who_is_overtaken_in_making_a_table_must_look_again(tmp_path: Path, when: str, other: str) -> None:
    late = Overtaken(tmp_path, other) if when == "after the look" else DeltaTables(str(tmp_path))
    data: ArrowStream = rows(1) if when == "after the look" else Slow(tmp_path, other)
    with pytest.raises(RetryableError, match=r"t: .*again"):
        late.append("t", data, partition_by=["bucket"], transactions=["a"])
    found = late.snapshot("t")
    assert found is not None
    assert found.rows() == 1
    assert late.committed("t", ["a", "b"]) == {other}


def test_who_is_overtaken_in_adding_files_to_no_table_must_look_again(tmp_path: Path) -> None:
    file = tmp_path / "t/bucket=0/part.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(rows(1).drop(["bucket"]), file)
    files = [DataFile("bucket=0/part.parquet", 1, file.stat().st_size, {"bucket": "0"})]
    late = Overtaken(tmp_path, "run")
    with pytest.raises(RetryableError, match=r"t: .*again"):
        late.add_files("t", files, schema=rows(), partition_by=["bucket"], transactions=["run"])
    found = late.snapshot("t")
    assert found is not None
    assert found.rows() == 1


def _append(root: str, number: int) -> str:
    """In a process of its own: the rows of one transaction, which another process has too."""
    name = f"file-{number % 12}"
    tables = DeltaTables(root)
    for _ in range(50):
        if tables.committed("t", [name]):
            return "was there"
        try:
            tables.append("t", rows(number % 12), transactions=[name])
        except RetryableError:
            continue
        return "appended"
    return "gave up"


@pytest.mark.parametrize("made", [True, False], ids=["to a table", "to none yet"])
def test_of_processes_that_append_one_transaction_at_once_one_does(tmp_path: Path, made: bool) -> None:
    if made:
        DeltaTables(str(tmp_path)).append("t", rows(99))
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
        said = list(pool.map(_append, [str(tmp_path)] * 24, range(24)))
    assert sorted(said) == ["appended"] * 12 + ["was there"] * 12
    found = DeltaTables(str(tmp_path)).snapshot("t")
    assert found is not None
    values = sorted(
        value for file in found.files for value in pq.read_table(tmp_path / "t" / file.path)["n"].to_pylist()
    )
    assert values == [*range(12), *([99] if made else [])]
