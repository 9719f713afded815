"""report_landings: which files of a tenant landed on a day, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from propensity.ingest.domain.breaches import rhythm
from propensity.ingest.domain.file_report import AcceptedReport, FileReport, file_standing
from propensity.ingest.domain.landing_keys import content_id, entry_of, is_first, is_marker, register_of
from propensity.ingest.promote_silver import promotion
from propensity.ingest.register import history
from propensity.kernel.tenant import parse_tenant
from propensity.lake.domain.run_names import parse_day
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import pack_info
from propensity.ports import ObjectInfo, Ports

type History = Sequence[FileReport]  # The first validation of a file comes first among the file's reports.


def report_landings(ports: Ports, *, tenant_id: str, day: str) -> dict[str, Any]:
    """Return per dataset the files that came on a day, and whether the tenant's own rhythm before expected a file.

    A file is `waiting` until it is validated, then `accepted`, `accepted_in_part` or `rejected`. Raises BadInputError
    for a name that is no tenant's, or a text that is no day.
    """
    tenant, asked = parse_tenant(tenant_id), parse_day(day, "day")
    came: dict[str, list[History]] = {dataset: [] for dataset in pack_info(ports).datasets}
    for key in filter(is_first, ports.lake.keys(register_of(asked, tenant))):
        dataset, content = entry_of(key)
        reports = history(ports.lake, dataset, tenant, content, asked)
        if reports[0].tenant_id == tenant:
            came.setdefault(dataset, []).append(reports)
    return {
        "tenant_id": tenant,
        "day": asked.isoformat(),
        "datasets": [_dataset(ports, tenant, asked, dataset, found) for dataset, found in came.items()],
    }


def _dataset(ports: Ports, tenant: str, day: date, dataset: str, came: Sequence[History]) -> dict[str, Any]:
    landed = list(ports.landing.versions(f"{dataset}/tenant_id={tenant}/"))
    arrivals = [info for info in landed if not is_marker(info.key, info.size)]
    usual = rhythm([info.last_modified.date() for info in arrivals], day, pack_info(ports).quarantine)
    names = {_promotion(report) for reports in came for report in reports if report.bronze}
    promoted = ports.tables.committed(silver_table(dataset), names) if names else set()
    seen = {(reports[0].key, reports[0].version_id) for reports in came}
    waiting = [
        info for info in arrivals if info.last_modified.date() == day and (info.key, info.version_id) not in seen
    ]
    files = [
        *(_file(reports, promoted, _superseded(ports, tenant, arrivals, reports)) for reports in came),
        *(
            {"key": info.key, "content_id": None, "arrived": info.last_modified.isoformat(), "status": "waiting"}
            for info in waiting
        ),
    ]
    return {
        "dataset": dataset,
        "expected": usual.expected(day) if usual else None,
        "usual_gap_days": usual.usual_gap if usual else None,
        "longest_gap_days": usual.longest_gap if usual else None,
        "gaps": usual.gaps if usual else 0,
        "last_day_before": usual.last.isoformat() if usual else None,
        "received": len(files),
        "files": sorted(files, key=lambda file: (file["arrived"], file["key"])),
    }


def _promotion(report: FileReport) -> str:
    return promotion(report.content_id, report.contract_version if report.known_from else None)


def _file(reports: History, promoted: set[str], superseded: bool) -> dict[str, Any]:
    names = {_promotion(report) for report in reports if report.bronze}
    standing = file_standing(reports)
    return {
        "key": reports[0].key,
        "content_id": reports[0].content_id,
        "arrived": reports[0].ingested_at,
        "contract_version": reports[-1].contract_version,
        **asdict(standing),
        "why": list(standing.why),
        "assumed": list(reports[-1].assumed) if isinstance(reports[-1], AcceptedReport) else [],
        "promoted": bool(names) and names <= promoted,
        "superseded": superseded,
    }


def _superseded(ports: Ports, tenant: str, arrivals: Sequence[ObjectInfo], reports: History) -> bool:
    """Whether a later file with the same key was accepted, whole or in part."""
    first = reports[0]
    arrived = datetime.fromisoformat(first.ingested_at)
    # a listing may give an object's time more finely or more coarsely than the object itself: only `head` has the time
    # that the report has, and the file itself is no later one
    others = [info for info in arrivals if info.key == first.key and info.version_id != first.version_id]
    later = [info for info in others if info.last_modified > arrived - timedelta(seconds=1)]
    for listed in sorted(later, key=lambda info: info.last_modified, reverse=True):
        info = ports.landing.head(listed.key, listed.version_id)
        if info.last_modified <= arrived:
            continue
        content = content_id(first.bucket, info.key, info.etag, info.last_modified)
        later_reports = history(ports.lake, first.dataset, tenant, content, info.last_modified.date())
        if later_reports and file_standing(later_reports).status != "rejected":
            return True
    return False
