"""The register of landings in the lake: reads and writes its reports."""

from __future__ import annotations

from datetime import date

from propensity.ingest.domain.file_report import FileReport, parse_report
from propensity.ingest.domain.landing_keys import entry_key
from propensity.kernel.errors import NotFoundError
from propensity.lake.json_objects import dumps, write_once
from propensity.ports import ObjectStore


def read_report(lake: ObjectStore, key: str) -> FileReport:
    return parse_report(lake.get(key))


def find_report(lake: ObjectStore, key: str) -> FileReport | None:
    """The report under a key. None where there is nothing under the key."""
    try:
        return read_report(lake, key)
    except NotFoundError:
        return None


def register_report(lake: ObjectStore, entry: str, report: FileReport) -> FileReport:
    """Put a report where no report is.

    Returns the report that the register then has: this one, or an earlier process's.
    """
    return parse_report(write_once(lake, entry, dumps(report.model_dump(mode="json"))))


def history(lake: ObjectStore, dataset: str, tenant_id: str | None, content: str, day: date) -> list[FileReport]:
    """The reports of one content id, the first validation first.

    The list is empty where the file was never validated.
    """
    reports: list[FileReport] = []
    report = find_report(lake, entry_key(dataset, tenant_id, content, day))
    while report is not None:
        reports.append(report)
        after = report.contract_version
        report = find_report(lake, entry_key(dataset, tenant_id, content, day, after)) if after else None
    return reports
