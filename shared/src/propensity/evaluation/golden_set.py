"""A model's golden set: rows that are frozen once and never change, and the edge cases that the business adds.

`registry/<model>/golden/base.parquet` is frozen by the first training whose gates all pass. People write `cases.json`,
a list of {tenant_id, customer_id, as_of, why}. Every training whose gates all pass looks the open cases up. A case is
open until such a training has a row of the customer on a date not after the case's date. The training then freezes that
row as `cases/<id>.parquet`.

A frozen row holds the features by name, what each feature meant, and the label and date. It also holds tenant and
customer, so that an erasure finds the row.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from propensity.evaluation.golden_cases import GoldenCase, golden_root
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.stats.sampling import spread
from propensity.training.data import TrainingData

FROZEN_ROWS = 2_000  # the base has at most this many rows
# no feature's name begins with an underscore, so these columns cannot be taken for features
_LABEL, _DAY, _WHY, _MEANINGS = "_label", "_as_of", "_why", "_meanings"
_BASE = "base.parquet"


@dataclass(frozen=True, slots=True)
class Golden:
    """The n frozen rows of a golden set.

    `labels`, `days` and `tenants` are (n,) each, and `matrix` is float32 (n, k). `missing` has the features of the
    definition that some rows lack, or have with another meaning. If there are any, `matrix` is None.
    """

    labels: Any
    days: tuple[str, ...]
    tenants: Any
    matrix: Any = None
    missing: tuple[str, ...] = ()


def freeze_golden(ports: Ports, definition: Definition, data: TrainingData, cases: Sequence[GoldenCase]) -> None:
    """Freeze the base where there is none yet, and every open case of which this training set has a row.

    Frozen rows never change, so this function may be called only for a training whose gates all passed.
    """
    root = golden_root(definition.model.name)
    there = set(ports.lake.keys(f"{root}/"))
    if f"{root}/{_BASE}" not in there:
        newest = np.flatnonzero(data.validated & (data.as_of == data.dates[-1]))
        some = newest[spread(len(newest), FROZEN_ROWS)]
        why = "newest date of the first training whose gates passed"
        _freeze(ports, f"{root}/{_BASE}", definition, data, some, why)
    for case in cases:
        key = f"{root}/cases/{case.id}.parquet"
        row = None if key in there else _find(data, case)
        if row is not None:
            _freeze(ports, key, definition, data, np.array([row]), case.why)


def _find(data: TrainingData, case: GoldenCase) -> int | None:
    """Return the customer's newest row that is not after the case's date; None where there is none."""
    mine = (data.columns[TENANT] == case.tenant_id) & (data.columns[CUSTOMER] == case.customer_id)
    rows = np.flatnonzero(mine & (data.as_of <= np.datetime64(case.as_of, "D")))
    return int(rows[np.argmax(data.as_of[rows])]) if len(rows) else None


def _freeze(ports: Ports, key: str, definition: Definition, data: TrainingData, rows: Any, why: str) -> None:
    names = definition.feature_names
    columns: dict[str, Any] = {
        name: np.ascontiguousarray(data.matrix[rows, number]) for number, name in enumerate(names)
    }
    columns |= {
        TENANT: data.columns[TENANT][rows].astype(object),
        CUSTOMER: data.columns[CUSTOMER][rows].astype(object),
        _LABEL: data.labels[rows].astype(np.int64),
        _DAY: data.as_of[rows],
        _WHY: np.array([why] * len(rows), dtype=object),
        _MEANINGS: np.array([json.dumps(definition.meanings, sort_keys=True)] * len(rows), dtype=object),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "golden.parquet"
        ports.frames.write(path, columns)
        ports.lake.upload_new(key, path)


def golden_rows(ports: Ports, definition: Definition) -> Golden | None:
    """Return all frozen rows, the rows of the base first; None where nothing is frozen."""
    names, parts = definition.feature_names, list(_frozen(ports, golden_root(definition.model.name)))
    if not parts:
        return None
    ours, theirs = definition.meanings, [_meanings(part) for part in parts]
    missing = tuple(name for name in names if any(meant.get(name) != ours.get(name) for meant in theirs))

    def joined(name: str) -> Any:
        return np.concatenate([part[name] for part in parts])

    matrix = None if missing else np.stack([joined(name) for name in names], axis=1).astype(np.float32)
    days = tuple(str(day) for day in joined(_DAY))
    return Golden(joined(_LABEL), days, joined(TENANT), matrix, missing)


def _meanings(part: Mapping[str, Any]) -> dict[str, str]:
    """Return the meaning of each feature of a frozen file, by name; empty for files that are older than this record."""
    meanings: dict[str, str] = json.loads(str(part[_MEANINGS][0])) if _MEANINGS in part else {}
    return meanings


def _frozen(ports: Ports, root: str) -> Iterator[Mapping[str, Any]]:
    """Return the frozen files' columns by name, file by file, without the files that an erasure emptied."""
    for key in ports.lake.keys(f"{root}/"):
        if key.endswith(".parquet"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "golden.parquet"
                ports.lake.download(key, path)
                part = ports.frames.read(path)
                if len(part[_LABEL]):
                    yield part
