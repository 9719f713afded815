"""The Frames and FrameStreams ports over pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propensity.ports import Coded, Frame, FrameWriter, ListColumn, PartedWriter


class ArrowFrames:
    def read(self, path: Path, columns: Sequence[str] | None = None) -> Mapping[str, Any]:
        table = pq.read_table(path, columns=list(columns) if columns is not None else None, partitioning=None)
        return {name: _values(table.column(name)) for name in table.column_names}

    def matrix(self, path: Path, columns: Sequence[str]) -> Any:
        return _matrix(pq.read_table(path, columns=list(columns), partitioning=None), columns)

    def write(self, path: Path, columns: Mapping[str, Any]) -> None:
        pq.write_table(arrow_table(columns), path, compression="zstd")

    def batches(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Frame]:
        # without pre_buffer the file's bytes are not all read ahead: memory stays flat
        with pq.ParquetFile(path, pre_buffer=False) as file:
            if file.metadata.num_rows == 0:
                # the reader of no rows still learns the columns and their types
                yield ArrowFrame(file.schema_arrow.empty_table().select(list(columns)))
                return
            waiting: list[pa.RecordBatch] = []
            count = 0
            for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
                waiting.append(batch)
                count += len(batch)
                if count >= rows:
                    table = pa.Table.from_batches(waiting)
                    whole = count - count % rows
                    for start in range(0, whole, rows):
                        yield ArrowFrame(table.slice(start, rows))
                    waiting, count = table.slice(whole).to_batches(), count - whole
            if count:
                yield ArrowFrame(pa.Table.from_batches(waiting))

    def writer(self, path: Path) -> FrameWriter:
        return _ArrowWriter(path)

    def parted_writer(self, folder: Path) -> PartedWriter:
        return _ArrowPartedWriter(folder)


class ArrowFrame:
    """The Frame port over a table of pyarrow."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def values(self, name: str) -> Any:
        return _values(self._table.column(name))

    def coded(self, name: str) -> Coded:
        found = self._table.column(name).combine_chunks().dictionary_encode()
        return Coded(found.indices.to_numpy(zero_copy_only=False), found.dictionary.to_pylist())

    def as_read(self, name: str) -> Any:
        return self._table.column(name)

    def matrix(self, names: Sequence[str]) -> Any:
        return _matrix(self._table, names)


class _ArrowWriter:
    """Each `write` becomes a row group. The schema is that of the first rows that are written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pq.ParquetWriter | None = None

    def write(self, columns: Mapping[str, Any]) -> None:
        self.add(arrow_table(columns))

    def add(self, table: pa.Table) -> None:
        if self._file is None:
            # the Arrow schema is left out, so that readers see text and not the dictionaries that it was written from
            self._file = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", store_schema=False, use_dictionary=_repeated(table)
            )
        self._file.write_table(table)

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def _repeated(table: pa.Table) -> list[str]:
    """The columns whose values repeat, as Parquet names them.

    A dictionary of values that hardly repeat, such as scores and ids, takes half of the time of writing, and the file
    becomes a third larger.
    """
    found: list[str] = []
    for column in table.schema:
        values = table.column(column.name)
        if pa.types.is_list(column.type):
            fields = column.type.value_type
            found += [f"{column.name}.list.element.{one.name}" for one in fields if not pa.types.is_floating(one.type)]
        elif pa.types.is_floating(column.type):
            continue
        elif not pa.types.is_string(column.type) or 2 * pc.count_distinct(values).as_py() <= len(values):
            found.append(column.name)
    return found


class _ArrowPartedWriter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[int, _ArrowWriter] = {}
        self._rows: dict[int, int] = {}

    @property
    def files(self) -> Mapping[int, tuple[Path, int]]:
        return {key: (self._path(key), rows) for key, rows in sorted(self._rows.items())}

    def write(self, keys: Any, columns: Mapping[str, Any]) -> None:
        table = arrow_table(columns)
        for key in np.unique(keys).tolist():
            rows = np.flatnonzero(keys == key)
            first, count = int(rows[0]), len(rows)
            together = rows[-1] - first + 1 == count
            writer = self._writers.setdefault(key, _ArrowWriter(self._path(key)))
            writer.add(table.slice(first, count) if together else table.take(rows))
            self._rows[key] = self._rows.get(key, 0) + count

    def _path(self, key: int) -> Path:
        return self._folder / f"{key}.parquet"

    def __enter__(self) -> PartedWriter:
        return self

    def __exit__(self, *error: object) -> None:
        for writer in self._writers.values():
            writer.__exit__(*error)


def _matrix(table: pa.Table, columns: Sequence[str]) -> Any:
    out = np.empty((table.num_rows, len(columns)), dtype=np.float32)
    for number, name in enumerate(columns):
        # to_numpy writes NaN where Arrow has null
        out[:, number] = table.column(name).to_numpy()
    return out


def arrow_table(columns: Mapping[str, Any]) -> pa.Table:
    """Return the table of columns as `FrameStreams.writer` takes them."""
    return pa.table({name: _array(values) for name, values in columns.items()})


def _array(values: Any) -> Any:
    match values:
        case pa.ChunkedArray():
            return values
        case Coded():
            return pa.DictionaryArray.from_arrays(_codes(values), pa.array(values.texts, type=pa.string()))
        case ListColumn():
            entries = pa.StructArray.from_arrays(
                [_plain(entry) for entry in values.fields.values()], names=list(values.fields)
            )
            return pa.ListArray.from_arrays(pa.array(values.offsets, type=pa.int32()), entries)
    # pyarrow writes a masked value as null
    return pa.array(values, type=pa.string() if values.dtype == object else None)


def _codes(values: Coded) -> Any:
    return pa.array(values.codes, type=pa.int32(), mask=values.codes < 0)


def _plain(values: Any) -> Any:
    if isinstance(values, Coded):
        # dictionaries inside lists are not written as such, so the text is copied out
        return pa.array(values.texts, type=pa.string()).take(_codes(values))
    return pa.array(values)


def _values(column: Any) -> Any:
    if pa.types.is_date(column.type):
        return column.to_numpy().astype("datetime64[D]")
    return column.to_numpy()
