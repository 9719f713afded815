"""A landing zone in memory with a real DuckDB behind it: drop a file, get its report, look at what it became."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from propensity.adapters.calamine_workbooks import CalamineWorkbooks
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.validate_upload import Upload, validate_upload
from tests.fakes.memory import MemoryMetrics, MemoryQueue, MemoryStore

BUCKET = "landing"

PACK = """
name: shop
description: A pack for tests.
entity: customer
partition_key: tenant
buckets: 2
datasets: [orders]
models: []
"""

ORDERS = """
apiVersion: v3.1.0
kind: DataContract
id: orders
name: Orders
version: 1.2.0
status: active
schema:
  - name: orders
    logicalType: object
    customProperties:
      - {property: kind, value: event}
      - {property: eventTime, value: ordered_at}
    properties:
      - {name: order_id, logicalType: string, primaryKey: true, unique: true}
      - {name: customer, logicalType: string, customProperties: [{property: normalise, value: [integer_text]}]}
      - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 200}}
      - {name: ordered_at, logicalType: timestamp, required: true}
      - {name: pieces, logicalType: integer, required: true, logicalTypeOptions: {minimum: 1, maximum: 99}}
      - {name: amount, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0}}
      - name: channel
        logicalType: string
        quality: [{type: library, metric: invalidValues, arguments: {validValues: [web, shop]}, mustBe: 0}]
"""


def contract(name: str, kind: str, *columns: dict[str, Any], version: str = "1.0.0", **custom: Any) -> str:
    """A contract in YAML with these columns and `day`: when an event happened, or from when a state holds."""
    moment = "eventTime" if kind == "event" else "validFrom"
    table = {
        "name": name,
        "logicalType": "object",
        "customProperties": listed({"kind": kind, moment: "day", **custom}),
        "properties": [*columns, column("day", "date", required=True)],
    }
    head = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": name, "name": name, "version": version}
    return yaml.safe_dump({**head, "status": "active", "schema": [table]}, sort_keys=False)


def column(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "logicalType": kind, **more}


def listed(properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    """customProperties in the form of the contract standard."""
    return [{"property": name, "value": value} for name, value in properties.items()]


HEADER = "order_id,customer,note,ordered_at,pieces,amount,channel"
GOOD = "{id},17850.0,thanks,2026-03-01 10:00:00,2,9.50,web"


def csv_file(*lines: str, header: str = HEADER) -> bytes:
    return "".join(f"{line}\n" for line in (header, *lines)).encode()


def good(number: int) -> str:
    return GOOD.format(id=f"A{number}")


class Drops:
    """The ports that validate_upload uses, over memory and DuckDB."""

    pack = "shop"

    def __init__(self, files: Mapping[str, str] | None = None) -> None:
        self.pack_files = files or {"pack.yaml": PACK, "contracts/orders.yaml": ORDERS}
        self.landing, self.lake = MemoryStore(), MemoryStore()
        self.promote_queue, self.metrics = MemoryQueue(), MemoryMetrics()
        self.sql = DuckDbSql
        self.workbooks = CalamineWorkbooks()

    def drop(self, body: bytes, name: str = "a.csv", *, tenant: str = "t1", dataset: str = "orders") -> dict[str, Any]:
        return self.drop_at(body, f"{dataset}/tenant_id={tenant}/{name}")

    def drop_at(self, body: bytes, key: str) -> dict[str, Any]:
        self.landing.put(key, body)
        return self.announce(key)

    def announce(self, key: str) -> dict[str, Any]:
        info = self.landing.head(key)
        return self.validate(Upload(BUCKET, key, info.version_id, info.etag))

    def validate(self, upload: Upload) -> dict[str, Any]:
        ports: Any = self  # only the ports that validation uses
        return validate_upload(ports, upload)

    def rows(self, key: str | None, select: str = "*", order: str = "1") -> list[tuple[Any, ...]]:
        """The rows of a Parquet object in the lake; no rows where the key is None."""
        if key is None:
            return []
        with DuckDbSql() as sql:
            path: Path = sql.scratch / "object.parquet"
            self.lake.download(key, path)
            return sql.rows(f"select {select} from read_parquet('{path}') order by {order}")

    def bronze(self, report: Mapping[str, Any], select: str) -> list[tuple[Any, ...]]:
        return self.rows(report["bronze_key"], select, "_line")

    def quarantine(self, report: Mapping[str, Any]) -> list[tuple[int, str, list[tuple[str | None, str]]]]:
        """(line, raw line, [(column, rule), …]) of each bad row."""
        found = self.rows(report["quarantine_key"], "line, raw, reasons", "line")
        return [(line, raw, [(reason["column"], reason["rule"]) for reason in reasons]) for line, raw, reasons in found]
