"""What the Tables port promises where several processes commit to one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema
from deltalake.table import TableOptimizer

from propensity.adapters import delta_tables
from propensity.adapters.delta_tables import DeltaTables
from propensity.kernel.errors import RetryableError
from propensity.ports import ArrowStream, DataFile
from tests.kit import processes
from tests.kit.tables import rows, written


def values_of(root: Path) -> list[int]:
    found = DeltaTables(str(root)).snapshot("t")
    assert found is not None
    return sorted(v for file in found.files for v in pq.ParquetFile(root / "t" / file.path).read()["n"].to_pylist())


def _append_plainly(root: str, number: int) -> None:
    """Append in a process of its own, as a queue would: again, until it succeeds."""
    tables = DeltaTables(root)
    for _ in range(200):
        try:
            tables.append("t", rows(number), partition_by=["bucket"], transactions=[f"file-{number}"])
        except RetryableError:
            if tables.committed("t", [f"file-{number}"]):
                return
            continue
        return
    raise AssertionError("200 races lost")


def test_nothing_of_the_others_is_lost_while_files_are_replaced(tmp_path: Path) -> None:
    tables = DeltaTables(str(tmp_path))
    tables.append("t", rows(-1), partition_by=["bucket"])
    with processes.pool(8) as pool:
        working = [pool.submit(_append_plainly, str(tmp_path), number) for number in range(40)]
        replaced = 0
        while not all(one.done() for one in working) or replaced < 5:
            found = tables.snapshot("t")
            assert found is not None
            [held] = [file for file in found.files if "new" in file.path or replaced == 0][:1]
            fresh = written(
                tmp_path,
                f"new-{replaced}",
                pq.ParquetFile(tmp_path / "t" / held.path).read().append_column("bucket", pa.array(["0"])),
            )
            tables.replace_files("t", [held.path], [fresh])
            replaced += 1
        for one in working:
            one.result()
    assert values_of(tmp_path) == [-1, *range(40)]


class Overtaken(DeltaTables):
    """Tables: another process makes the table, with a transaction, just after this one has seen that there is none."""

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


class Slowest:
    """The same between the rows, when delta-rs too has seen that there is no table."""

    def __init__(self, root: Path, transaction: str) -> None:
        self._root, self._transaction = root, transaction

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return pa.RecordBatchReader.from_batches(rows(1).schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        # in another process, for delta-rs waits for this thread
        processes.alone(_append_once, str(self._root), self._transaction)
        yield from rows(1).to_batches()


def _append_once(root: str, transaction: str) -> None:
    tables = DeltaTables(root)
    if not tables.committed("t", [transaction]):
        tables.append("t", rows(1), partition_by=["bucket"], transactions=[transaction])


WHEN = ["after the look", "before the first row", "amid the rows"]


@pytest.mark.parametrize("when", WHEN)
def test_who_is_overtaken_in_making_a_table_looks_again_for_its_transactions(tmp_path: Path, when: str) -> None:
    late, data = late_comer(tmp_path, when, "a")
    with pytest.raises(RetryableError, match=r"t: .*again"):
        late.append("t", data, partition_by=["bucket"], transactions=["a"])
    found = late.snapshot("t")
    assert found is not None
    assert found.rows() == 1
    assert late.committed("t", ["a", "b"]) == {"a"}


@pytest.mark.parametrize("when", WHEN)
def test_who_is_overtaken_by_a_stranger_in_making_a_table_appends_to_it(tmp_path: Path, when: str) -> None:
    late, data = late_comer(tmp_path, when, "b")
    late.append("t", data, partition_by=["bucket"], transactions=["a"])
    found = late.snapshot("t")
    assert found is not None
    assert found.rows() == 2
    assert late.committed("t", ["a", "b"]) == {"a", "b"}


def late_comer(root: Path, when: str, other: str) -> tuple[DeltaTables, ArrowStream]:
    """The tables and rows of a process that another one overtakes at this moment, with this transaction."""
    if when == "after the look":
        return Overtaken(root, other), rows(1)
    return DeltaTables(str(root)), (Slow if when == "before the first row" else Slowest)(root, other)


@pytest.mark.parametrize("when", WHEN)
def test_a_table_is_made_once(tmp_path: Path, when: str) -> None:
    """A second first commit would give the table another identity, and rows that no transaction keeps out."""
    late, data = late_comer(tmp_path, when, "b")
    late.append("t", data, partition_by=["bucket"], transactions=["a"])
    made = [
        path.name for path in sorted((tmp_path / "t/_delta_log").glob("*.json")) if '"metaData"' in path.read_text()
    ]
    assert made == ["00000000000000000000.json"]


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


def test_who_is_overtaken_while_columns_are_added_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DeltaTables(str(tmp_path)).add_files(
        "t", [written(tmp_path, "0", rows(0))], schema=rows(0), partition_by=["bucket"]
    )
    wider = rows(1).append_column("added", pa.array(["x"]))
    late, other = DeltaTables(str(tmp_path)), DeltaTables(str(tmp_path))
    add = delta_tables._add_columns

    def overtaken(opened: DeltaTable, schema: Schema) -> None:
        monkeypatch.setattr(delta_tables, "_add_columns", add)
        other.append("t", rows(1), partition_by=["bucket"], transactions=["run"])
        add(opened, schema)

    monkeypatch.setattr(delta_tables, "_add_columns", overtaken)
    with pytest.raises(RetryableError, match=r"t: .*again"):
        late.add_files(
            "t", [written(tmp_path, "1", wider)], schema=wider, partition_by=["bucket"], transactions=["run"]
        )
    found = DeltaTables(str(tmp_path)).snapshot("t")
    assert found is not None
    assert found.rows() == 2


class Outrun(DeltaTables):
    """Tables: another process acts just after this one has looked at the table."""

    def __init__(self, root: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(str(root))
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def _open(self, table: str) -> DeltaTable | None:
        found = super()._open(table)
        if self._meanwhile:
            self._meanwhile.pop()()
        return found


@pytest.fixture
def small_files(tmp_path: Path) -> DeltaTables:
    tables = DeltaTables(str(tmp_path))
    for number in range(4):
        tables.append("t", rows(number), partition_by=["bucket"])
    return tables


def test_of_two_compactions_at_once_one_is_refused(tmp_path: Path, small_files: DeltaTables) -> None:
    late = Outrun(tmp_path, lambda: small_files.compact("t"))
    with pytest.raises(RetryableError, match=r"t: .*again"):
        late.compact("t")
    assert values_of(tmp_path) == [0, 1, 2, 3]
    assert late.compact("t") == 0


def test_rows_that_are_appended_while_files_are_joined_stay(
    tmp_path: Path, small_files: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact = TableOptimizer.compact

    def slow(optimizer: TableOptimizer, **options: Any) -> dict[str, Any]:
        DeltaTables(str(tmp_path)).append("t", rows(9), partition_by=["bucket"])
        return compact(optimizer, **options)

    monkeypatch.setattr(TableOptimizer, "compact", slow)
    assert small_files.compact("t") == 3
    assert values_of(tmp_path) == [0, 1, 2, 3, 9]


def test_a_compaction_that_was_killed_keeps_others_away_for_a_while(
    tmp_path: Path, small_files: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = delta_tables._milliseconds()
    delta_tables._say(DeltaTable(str(tmp_path / "t")), now)
    with pytest.raises(RetryableError, match=r"t: another compaction began \d+ s ago; try again .* 16 minutes"):
        small_files.compact("t")
    monkeypatch.setattr(delta_tables, "_milliseconds", lambda: now + 16 * 60 * 1000)
    assert small_files.compact("t") == 3
    assert values_of(tmp_path) == [0, 1, 2, 3]


def test_a_compaction_that_failed_keeps_nobody_away(
    tmp_path: Path, small_files: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact = TableOptimizer.compact

    def slow(optimizer: TableOptimizer, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(TableOptimizer, "compact", compact)
        others = DeltaTables(str(tmp_path))
        found = others.snapshot("t")
        assert found is not None
        others.replace_files("t", [found.files[0].path], [])
        return compact(optimizer, **options)

    monkeypatch.setattr(TableOptimizer, "compact", slow)
    with pytest.raises(RetryableError, match=r"(?s)t: .*a concurrent commit won, try again"):
        small_files.compact("t")
    assert DeltaTables(str(tmp_path)).compact("t") == 2
    assert len(values_of(tmp_path)) == 3


def _compact(root: str, _: int) -> int:
    try:
        return DeltaTables(root).compact("t")
    except RetryableError:
        return 0


def test_processes_that_compact_at_once_double_nothing(tmp_path: Path, small_files: DeltaTables) -> None:
    with processes.pool(6) as pool:
        for start in range(10, 60, 10):
            for number in range(start, start + 4):
                small_files.append("t", rows(number), partition_by=["bucket"])
            assert sum(pool.map(_compact, [str(tmp_path)] * 6, range(6))) >= 3
    assert values_of(tmp_path) == [0, 1, 2, 3, *(n for start in range(10, 60, 10) for n in range(start, start + 4))]


def _append(root: str, number: int) -> str:
    """Append in a process of its own the rows of a transaction that another process appends too."""
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
    with processes.pool(8) as pool:
        said = list(pool.map(_append, [str(tmp_path)] * 24, range(24)))
    assert sorted(said) == ["appended"] * 12 + ["was there"] * 12
    assert values_of(tmp_path) == [*range(12), *([99] if made else [])]
