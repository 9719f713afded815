"""What every adapter of Tables promises, over a folder and over S3."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from propensity.adapters.delta_tables import DeltaTables
from propensity.kernel.errors import ConflictError, NotFoundError, RetryableError
from propensity.ports import DataFile, Snapshot, Tables
from tests.fakes.memory import MemoryStore
from tests.fakes.memory_tables import MemoryTables
from tests.kit.tables import rows, written


@pytest.fixture(params=["memory", "folder", "s3"])
def open_tables(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Tables]:
    """Makes adapters over one lake, each like that of a new process."""
    if request.param == "memory":
        held = MemoryTables(MemoryStore())
        return lambda: held
    if request.param == "folder":
        return lambda: DeltaTables(str(tmp_path))
    address = request.getfixturevalue("moto")
    boto3.client("s3").create_bucket(Bucket="lake")
    return lambda: DeltaTables("s3://lake", {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"})


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
        log.write_text(re.sub(r'"createdTime":[0-9]+', f'"createdTime":{int(committed * 1000)}', log.read_text()))
        os.utime(log, (committed, committed))
    assert DeltaTables(str(tmp_path)).snapshot("t", as_of_time=datetime(2025, 12, 31, tzinfo=UTC)) is None
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


def test_a_time_before_the_table_was_made_gives_none(open_tables: Callable[[], Tables]) -> None:
    open_tables().append("t", rows(1))
    assert open_tables().snapshot("t", as_of_time=datetime(2000, 1, 1, tzinfo=UTC)) is None
    found = open_tables().snapshot("t", as_of_time=datetime(2100, 1, 1, tzinfo=UTC))
    assert found is not None
    assert found.rows() == 1


def spread(tables: Tables, number: int, buckets: int | None) -> int:
    """Append rows, and say over how many buckets they are spread."""
    return tables.append("t", rows(number), partition_by=["bucket"], transactions=[f"f{number}"], buckets=buckets)


def another(found: Snapshot, name: str) -> DataFile:
    """The first file of a snapshot under another name, as if it lay in another bucket."""
    return replace(found.files[0], path=f"bucket=5/{name}.parquet", partition={"bucket": "5"})


def newest(open_tables: Callable[[], Tables]) -> Snapshot:
    found = open_tables().snapshot("t")
    assert found is not None
    return found


def test_a_table_remembers_how_many_buckets_its_rows_are_spread_over(open_tables: Callable[[], Tables]) -> None:
    writer = open_tables()
    assert writer.buckets("t") is None
    spread(writer, 1, 4)
    assert (open_tables().buckets("t"), newest(open_tables).buckets) == (4, 4)
    with pytest.raises(RetryableError, match="spread over 4 buckets, the rows over 7"):
        spread(open_tables(), 2, 7)
    # one more column, a compaction, and an append that says no number leave it as it is
    writer.append("t", rows(3).append_column("added", pa.array(["x"])), partition_by=["bucket"])
    writer.compact("t")
    assert newest(open_tables).buckets == 4
    spread(open_tables(), 2, 4)
    assert newest(open_tables).rows() == 3


def test_a_table_that_never_said_takes_rows_and_says_so_once_it_is_replaced(open_tables: Callable[[], Tables]) -> None:
    spread(open_tables(), 1, None)
    spread(open_tables(), 2, 4)
    before = newest(open_tables)
    assert before.buckets is None
    open_tables().replace("t", [another(before, "x")], version=before.version, buckets=7)
    assert open_tables().buckets("t") == 7


def test_a_replaced_table_holds_the_new_files_and_remembers_names_and_versions(
    open_tables: Callable[[], Tables],
) -> None:
    old = open_tables()
    for number in range(3):
        spread(old, number, 4)
    before = newest(open_tables)
    version = open_tables().replace("t", [another(before, "x")], version=before.version, buckets=7)
    after = newest(open_tables)
    assert (after.version, after.buckets, [file.path for file in after.files]) == (version, 7, ["bucket=5/x.parquet"])
    assert open_tables().committed("t", ["f0", "f1", "f2", "f3"]) == {"f0", "f1", "f2"}
    assert open_tables().snapshot("t", version=before.version) == before
    # an adapter that opened the table before computes the buckets anew
    with pytest.raises(RetryableError, match="spread over 7 buckets"):
        spread(old, 3, 4)
    spread(old, 3, 7)
    with pytest.raises(RetryableError, match="not its newest"):
        open_tables().replace("t", [another(before, "y")], version=before.version, buckets=9)


def test_commits_that_began_before_a_replacement_fail_and_it_fails_after_any_commit(tmp_path: Path) -> None:
    """delta-rs alone, by handles that do not know each other: commits that our own looks would see too late."""
    open_tables = partial(DeltaTables, str(tmp_path))
    for number in range(3):
        spread(open_tables(), number, 4)
    where = str(tmp_path / "t")
    appending, compacting = DeltaTable(where), DeltaTable(where)
    before = newest(open_tables)
    open_tables().replace("t", [another(before, "x")], version=before.version, buckets=7)
    with pytest.raises(CommitFailedError, match="Metadata changed"):
        write_deltalake(appending, rows(9), mode="append", schema_mode="merge")
    with pytest.raises(CommitFailedError, match="Metadata changed"):
        compacting.optimize.compact()

    # and the other way round: another commit comes after the replacement's handle was opened
    class Late(DeltaTables):
        def _open(self, table: str) -> DeltaTable | None:
            opened = super()._open(table)
            open_tables().append("t", rows(10), partition_by=["bucket"])
            return opened

    found = newest(open_tables)
    with pytest.raises(RetryableError, match="try again"):
        Late(str(tmp_path)).replace("t", [another(found, "y")], version=found.version, buckets=9)
    assert newest(open_tables).buckets == 7


def test_a_transaction_name_is_never_forgotten(tmp_path: Path) -> None:
    tables = DeltaTables(str(tmp_path))
    tables.append("t", rows(1), transactions=["long ago"])
    DeltaTable(str(tmp_path / "t")).alter.set_table_properties(
        {"delta.setTransactionRetentionDuration": "interval 0 seconds"}
    )
    tables.compact("t")
    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    assert DeltaTables(str(tmp_path)).committed("t", ["long ago", "never"]) == {"long ago"}


def test_files_are_replaced_in_one_commit_and_earlier_versions_keep_theirs(
    open_tables: Callable[[], Tables], tmp_path: Path
) -> None:
    tables = open_tables()
    first = tables.append("t", rows(1, 2), partition_by=["bucket"])
    second = tables.append("t", rows(3), partition_by=["bucket"])
    before = tables.snapshot("t", version=second)
    assert before is not None
    [of_first] = [file for file in before.files if file.rows == 2]
    version = open_tables().replace_files("t", [of_first.path], [written(tmp_path, "new", rows(2))])
    found = tables.snapshot("t")
    assert found is not None
    assert (found.version, found.rows(), version) == (second + 1, 2, second + 1)
    assert "bucket=0/new.parquet" in {file.path for file in found.files}
    assert open_tables().snapshot("t", version=second) == before
    with pytest.raises(RetryableError, match="has left the table"):
        tables.replace_files("t", [of_first.path], [written(tmp_path, "newer", rows(2))])
    tables.replace_files("t", ["bucket=0/new.parquet"], [])
    left = open_tables().snapshot("t")
    assert left is not None
    assert left.rows() == 1
    assert open_tables().snapshot("t", version=first) is not None
    with pytest.raises(RetryableError):
        tables.replace_files("nothing", ["a"], [])


def test_a_replacement_that_a_compaction_overtook_is_refused(tmp_path: Path) -> None:
    """delta-rs itself would rebase the replacement, and so double the rows."""
    slow, fast = DeltaTables(str(tmp_path)), DeltaTables(str(tmp_path))
    for number in range(3):
        slow.append("t", rows(number), partition_by=["bucket"])
    found = slow.snapshot("t")
    assert found is not None
    assert fast.compact("t") == 2
    with pytest.raises(RetryableError, match="has left the table"):
        slow.replace_files("t", [found.files[0].path], [written(tmp_path, "new", rows(9))])
    now = fast.snapshot("t")
    assert now is not None
    assert now.rows() == 3


def test_no_value_of_a_row_stands_in_a_log_or_in_its_checkpoints(tmp_path: Path) -> None:
    tables = DeltaTables(str(tmp_path))
    for number in range(23):
        person = pa.table({"customer_id": [f"C00{number:05d}"], "email": [f"p{number}@example.com"], "bucket": ["0"]})
        tables.append("t", person, partition_by=["bucket"], transactions=[f"f{number}"])
    tables.compact("t")
    logs = list((tmp_path / "t/_delta_log").iterdir())
    assert [path for path in logs if path.name.endswith(".checkpoint.parquet")]
    for path in logs:
        text = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text()
        assert "C000" not in text, path.name
        assert "@example" not in text, path.name


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
    # one path written in two ways stays one file
    tables.add_files("t", files[:1], schema=schema, partition_by=["bucket"], transactions=["again"])
    found = DeltaTables(str(tmp_path)).snapshot("t")
    assert found is not None
    assert (found.rows(), [file.path for file in found.files]) == (3, sorted(file.path for file in files))
    assert tables.committed("t", ["run", "again", "never"]) == {"run", "again"}


def test_files_with_a_new_column_give_it_to_the_table_and_compaction_keeps_it(tmp_path: Path) -> None:
    tables = DeltaTables(str(tmp_path))
    wider = rows(2).append_column("added", pa.array(["x"]))
    for number, table in enumerate((rows(1), wider, rows(3))):
        files = [written(tmp_path, str(number), table)]
        DeltaTables(str(tmp_path)).add_files(
            "t", files, schema=table, partition_by=["bucket"], transactions=[f"{number}"]
        )
    tables.compact("t")
    found = DeltaTable(str(tmp_path / "t")).to_pyarrow_table().to_pylist()
    assert sorted((row["n"], row["added"]) for row in found) == [(1, None), (2, "x"), (3, None)]
