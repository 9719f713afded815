"""What the Tables port promises where several processes commit to one table."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from propensity.adapters.delta_tables import DeltaTables
from propensity.domain.errors import RetryableError
from propensity.ports import ArrowStream, DataFile
from tests.contract.tables import rows, written


def _append_plainly(root: str, number: int) -> None:
    """In a process of its own, as a queue would have it: again until it is in."""
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
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
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
    now = DeltaTables(str(tmp_path)).snapshot("t")
    assert now is not None
    values = [v for file in now.files for v in pq.ParquetFile(tmp_path / "t" / file.path).read()["n"].to_pylist()]
    assert sorted(values) == [-1, *range(40)]


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


@pytest.mark.parametrize("when", ["after the look", "before the first row"])
def test_who_is_overtaken_in_making_a_table_looks_again_for_its_transactions(tmp_path: Path, when: str) -> None:
    late, data = late_comer(tmp_path, when, "a")
    with pytest.raises(RetryableError, match=r"t: .*again"):
        late.append("t", data, partition_by=["bucket"], transactions=["a"])
    found = late.snapshot("t")
    assert found is not None
    assert found.rows() == 1
    assert late.committed("t", ["a", "b"]) == {"a"}


@pytest.mark.parametrize("when", ["after the look", "before the first row"])
def test_who_is_overtaken_by_a_stranger_in_making_a_table_appends_to_it(tmp_path: Path, when: str) -> None:
    late, data = late_comer(tmp_path, when, "b")
    late.append("t", data, partition_by=["bucket"], transactions=["a"])
    found = late.snapshot("t")
    assert found is not None
    assert found.rows() == 2
    assert late.committed("t", ["a", "b"]) == {"a", "b"}


def late_comer(root: Path, when: str, other: str) -> tuple[DeltaTables, ArrowStream]:
    """Tables and rows of one who is overtaken at that moment, by somebody with that transaction."""
    if when == "after the look":
        return Overtaken(root, other), rows(1)
    return DeltaTables(str(root)), Slow(root, other)


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
