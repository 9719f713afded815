"""Is every row of every landed file where it belongs, and does Silver say what the files say?

The audit lists files and reads them with pyarrow. What they must hold, `plain` works out from the landed bytes. It uses
one thing of the product: the SQL of the views, which is what it tests.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq

from propensity.kernel.sql_text import quote, text
from propensity.lake.domain.as_of_views import SilverShape, current_view, latest_versions
from propensity.lake.silver_tables import shape_of
from propensity.pack.current import contract_of
from propensity.runtime.pack_files import pack_files
from tests.stack.lake import Lake
from tests.stack.plain import DATASETS, Read, Values, as_text, latest, read
from tests.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Arrival:
    """A content under a key, and the second of its arrival: S3 tells a function no finer time."""

    key: str
    at: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What an audit counted. All `differences` are 0 where nothing was lost, doubled or wrong."""

    arrivals: int
    rows_in: int
    bronze: int
    quarantine: int
    refused: int
    views: int
    current: int
    differences: dict[str, int]


class Audit:
    """Compares the lake with the landed files. It reads each file once: landed versions and Bronze never change."""

    def __init__(self, stack: Stack, lake: Lake) -> None:
        self._stack, self._lake = stack, lake
        self._versions: dict[str, Arrival] = {}
        self._reads: dict[Arrival, Read | None] = {}
        self._files: dict[str, Any] = {}

    def arrivals(self) -> set[Arrival]:
        """Every version of every landed object."""
        bucket = self._stack.outputs["LandingBucket"]
        pages = self._stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        for item in (item for page in pages for item in page.get("Versions", ())):
            if item["VersionId"] not in self._versions:
                got = self._stack.s3.get_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
                arrival = Arrival(item["Key"], _second(got["LastModified"]), got["Body"].read())
                self._versions[item["VersionId"]] = arrival
        return set(self._versions.values())

    def reports(self) -> int:
        return len(self._lake.keys("validation/"))

    def look(self, moments: Iterable[str]) -> Found:
        """Compare everything that has landed so far. The views are read as of now, and as of each of the moments."""
        arrivals = self.arrivals()
        for arrival in arrivals - self._reads.keys():
            self._reads[arrival] = read(arrival.key, arrival.body)
        taken = {arrival: found for arrival in arrivals if (found := self._reads[arrival]) is not None}
        refused = [arrival for arrival in arrivals if self._reads[arrival] is None]
        different: dict[str, int] = {}

        bronze = self._bronze()
        different["bronze"] = _apart(
            (_group(arrival.key, arrival.at, found.good) for arrival, found in taken.items() if found.good),
            (_group(key, at, rows) for (key, at, _), rows in bronze.items()),
        )
        quarantine = self._quarantine()
        different["quarantine"] = _apart(
            (_group(arrival.key, arrival.at, found.bad) for arrival, found in taken.items() if found.bad), quarantine
        )
        different["kept copies"] = _apart(
            (hashlib.sha256(arrival.body).hexdigest() for arrival in refused), self._copies()
        )
        different["reports"] = _apart(
            [
                *((arrival.key, arrival.at, len(found.good), len(found.bad)) for arrival, found in taken.items()),
                *((arrival.key, arrival.at, None, None) for arrival in refused),
            ],
            self._reported(),
        )
        views = current = 0
        silver_differences = 0
        view_differences = 0
        for name, dataset in DATASETS.items():
            own = {key: rows for key, rows in bronze.items() if key[0].startswith(f"{name}/")}
            silver_differences += _apart(
                ((content, line, values) for (_, _, content), rows in own.items() for line, values in rows.items()),
                self._silver(name),
            )
            rows_by_tenant = [
                (arrival.key.split("tenant_id=")[1].split("/")[0], arrival.at, values)
                for arrival, found in taken.items()
                if arrival.key.startswith(f"{name}/")
                for values in found.good.values()
            ]
            for before in (None, *moments):
                expected = latest(dataset, rows_by_tenant, before=before)
                view_differences += _apart(expected, self._view(name, before))
                views += 1
                current += len(expected) if before is None else 0
        different["silver"], different["views"] = silver_differences, view_differences
        return Found(
            arrivals=len(arrivals),
            rows_in=sum(len(found.good) + len(found.bad) for found in taken.values()),
            bronze=sum(len(rows) for rows in bronze.values()),
            quarantine=sum(len(rows) for _, _, rows in quarantine),
            refused=len(refused),
            views=views,
            current=current,
            differences=different,
        )

    def _rows(self, key: str) -> list[dict[str, Any]]:
        if key not in self._files:
            self._files[key] = pq.read_table(self._lake.file(key), partitioning=None).to_pylist()
        rows: list[dict[str, Any]] = self._files[key]
        return rows

    def _bronze(self) -> dict[tuple[str, str, str], dict[int, Values]]:
        """For each Bronze file (its source's key and time, and its content id) the rows by line."""
        found: dict[tuple[str, str, str], dict[int, Values]] = {}
        for key in self._lake.keys("bronze/"):
            rows = self._rows(key)
            [source] = {(row["_source_key"], _second(row["_ingested_at"]), row["_content_id"]) for row in rows}
            if source in found or len({row["_line"] for row in rows}) != len(rows):
                raise AssertionError(f"{key}: a second file of one arrival, or a line twice")
            columns = DATASETS[key.split("/")[1]].columns
            found[source] = {row["_line"]: tuple(as_text(column, row[column]) for column in columns) for row in rows}
        return found

    def _quarantine(self) -> list[tuple[str, str, frozenset[tuple[int, object]]]]:
        found = []
        for key in self._lake.keys("quarantine/"):
            if not key.startswith("quarantine/rejected/"):
                rows = self._rows(key)
                [(source, at)] = {(row["_source_key"], _second(row["_ingested_at"])) for row in rows}
                found.append((source, at, frozenset((row["line"], row["raw"]) for row in rows)))
        return found

    def _copies(self) -> list[str]:
        keys = self._lake.keys("quarantine/rejected/")
        return [hashlib.sha256(self._lake.file(key).read_bytes()).hexdigest() for key in keys]

    def _reported(self) -> list[tuple[str, str, int | None, int | None]]:
        found: list[tuple[str, str, int | None, int | None]] = []
        for key in self._lake.keys("validation/"):
            if key not in self._files:
                self._files[key] = self._lake.json(key)
            report = self._files[key]
            counts = (report["bronze"], report["quarantine"]) if report["status"] == "accepted" else (None, None)
            found.append((report["key"], _second(datetime.fromisoformat(report["ingested_at"])), *counts))
        return found

    def _silver(self, dataset: str) -> list[tuple[str, int, Values]]:
        columns = DATASETS[dataset].columns
        rows = self._lake.query(
            f"select _content_id, _line, {_as_text(columns)} from s",
            s=self._lake.table_files(f"silver/{dataset}"),
        )
        return [(content, line, _values(columns, values)) for content, line, *values in rows]

    def _view(self, dataset: str, before: str | None) -> list[tuple[str, Values]]:
        shape, columns = _shape(dataset), DATASETS[dataset].columns
        if before is None:
            view = current_view(shape, "s")
        else:
            view = latest_versions(shape, "s", known_before=f"timestamptz {text(before + '+00')}", valid_before=None)
        rows = self._lake.query(
            f"select tenant_id, {_as_text(columns)} from ({view})",
            s=self._lake.table_files(f"silver/{dataset}"),
        )
        return [(tenant, _values(columns, values)) for tenant, *values in rows]


def _shape(dataset: str) -> SilverShape:
    ports: Any = SimpleNamespace(pack="automotive", pack_files=pack_files("automotive"))
    return shape_of(contract_of(ports, dataset))


def _as_text(columns: Iterable[str]) -> str:
    return ", ".join(f"{quote(column)}::varchar" for column in columns)


def _values(columns: Iterable[str], values: Iterable[object]) -> Values:
    return tuple(as_text(column, value) for column, value in zip(columns, values, strict=True))


def _second(moment: datetime) -> str:
    return moment.replace(microsecond=0, tzinfo=None).isoformat()


def _group(key: str, at: str, rows: dict[int, Any]) -> tuple[str, str, frozenset[tuple[int, object]]]:
    return key, at, frozenset(rows.items())


def _apart(expected: Iterable[object], found: Iterable[object]) -> int:
    """How many stand on one side only. What stands twice on one side and once on the other counts as one."""
    left, right = Counter(expected), Counter(found)
    return (left - right).total() + (right - left).total()
