"""File reports as the plain JSON objects that tests index and shorten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from propensity.ingest import promote_silver, register
from propensity.ingest.domain import file_report
from propensity.ingest.domain.file_report import FileReport, FileStanding, parse_report
from propensity.lake.json_objects import dumps
from propensity.ports import ObjectStore

_ORDINARY: dict[str, Any] = {
    "key": "orders/tenant_id=t1/1.csv",
    "bucket": "landing",
    "version_id": None,
    "etag": "e",
    "content_id": "c",
    "ingested_at": "2026-01-01T00:00:00+00:00",
    "after": None,
    "dataset": "orders",
    "tenant_id": "t1",
    "contract_version": "1.0.0",
    "known_from": None,
    "rows_in": 0,
    "earlier": 0,
    "bronze": 0,
    "quarantine": 0,
    "bronze_key": None,
    "quarantine_key": None,
    "report_key": "validation/c.json",
}
_ACCEPTED: dict[str, Any] = {"blank_lines": 0, "warnings": [], "refused_now": 0}
_RULE = {"column": None, "rule": "json", "message": "m", "severity": "reject_row", "rows": 1, "first_lines": [2]}


def whole(report: Mapping[str, Any]) -> FileReport:
    """A report from those of its fields that matter; the others are ordinary."""
    fields = {**_ORDINARY, **report}
    if report["status"] == "accepted":
        fields = {**_ACCEPTED, **fields, "reasons": [{**_RULE, **broken} for broken in report["reasons"]]}
    return parse_report(dumps(fields))


def history(store: ObjectStore, dataset: str, tenant_id: str | None, content: str, day: date) -> list[dict[str, Any]]:
    return [report.model_dump(mode="json") for report in register.history(store, dataset, tenant_id, content, day)]


def file_standing(reports: Sequence[Mapping[str, Any]]) -> FileStanding:
    return file_report.file_standing([whole(report) for report in reports])


def announcement(report: Mapping[str, Any]) -> dict[str, Any]:
    return promote_silver.announcement(whole(report))
