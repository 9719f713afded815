"""Reading the register of landings."""

from __future__ import annotations

from datetime import date
from typing import Any

from propensity.ingest.domain.register_keys import entry_key
from propensity.lake.json_objects import find_json
from propensity.ports import ObjectStore


def history(lake: ObjectStore, dataset: str, tenant_id: str | None, content: str, day: date) -> list[dict[str, Any]]:
    """A content's reports, the first validation first; none for a content that was never validated."""
    reports: list[dict[str, Any]] = []
    report = find_json(lake, entry_key(dataset, tenant_id, content, day))
    while report is not None:
        reports.append(report)
        after = report["contract_version"]
        report = find_json(lake, entry_key(dataset, tenant_id, content, day, after)) if after else None
    return reports
