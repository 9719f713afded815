"""replay_quarantine: revalidates, by a newer contract version, files that an older version refused whole or in part.

Good rows in Bronze stay there. Rows that are good only now go to Bronze in a file of their own, and on to Silver, known
from the moment they were healed. Rows in = rows in Bronze by all contract versions + rows in the newest quarantine.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity.ingest.domain.budgets import MAX_SECONDS
from propensity.ingest.domain.file_report import FileReport, file_standing
from propensity.ingest.domain.landing_keys import ReportName, parse_report_key, version_of
from propensity.ingest.register import history, register_report
from propensity.ingest.validate_upload import Arrival, Upload, announce, fetch_landed, validate_file
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.pack.current import contract_of, pack_info
from propensity.ports import Ports

LIMIT = 200  # files per call: a large file takes seconds, and a function has 15 minutes


def replay_quarantine(
    ports: Ports, *, dataset: str, tenant_id: str | None = None, limit: int = LIMIT
) -> dict[str, Any]:
    """Revalidate the refused files of a dataset that an older contract version validated last, at most `limit` files.

    `tenant_id` limits the call to one tenant. In the answer `left` counts the files that still wait, and `gone` lists
    the content ids whose files cannot be read any more. A second call continues, or changes nothing.
    Raises BadInputError for a dataset that the pack does not have.
    """
    datasets = pack_info(ports).datasets
    if dataset not in datasets:
        raise BadInputError(f"dataset is {dataset!r}, expected one of {', '.join(datasets)}")
    version = contract_of(ports, dataset).version
    place = f"{dataset}/tenant_id={tenant_id}/" if tenant_id else f"{dataset}/tenant_id="
    there = set(ports.lake.keys(f"validation/{place}"))
    waiting = _waiting(there, set(ports.lake.keys(f"quarantine/{place}")), version)
    made: list[FileReport] = []
    gone: list[str] = []
    looked_at = 0
    for name in waiting:
        if len(made) >= limit:
            break
        looked_at += 1
        try:
            made += _replay(ports, name, version, there)
        except NotFoundError:
            # the answer names the file: a file that is gone must not stop the others
            gone.append(name.content)
    healed = sum(report.bronze for report in made)
    ports.metrics.count("RowsHealed", healed, dataset=dataset)
    return {
        "dataset": dataset,
        "contract_version": version,
        "files": len(made),
        "healed": healed,
        "quarantine": sum(report.quarantine for report in made),
        "rejected": sum(report.status == "rejected" for report in made),
        "gone": gone,
        "left": len(waiting) - looked_at,
    }


def _waiting(reports: Collection[str], quarantined: Collection[str], version: str) -> list[ReportName]:
    """The files that were refused, whole or in part, and whose newest report is by an older version.

    The oldest comes first. The keys of the reports alone decide, so that the millions of good files are never read.
    """
    bad = {name.content for name in map(parse_report_key, quarantined) if name}
    newest: dict[str, ReportName] = {}
    for name in filter(None, map(parse_report_key, reports)):
        if name.refused:
            bad.add(name.content)
        if name.content not in newest or version_of(newest[name.content].version) < version_of(name.version):
            newest[name.content] = name
    # a file that was refused at first has a report without a version in its key: it counts as older than all
    waiting = [
        name for name in newest.values() if name.content in bad and version_of(name.version) < version_of(version)
    ]
    return sorted(waiting, key=lambda name: (name.day, name.content))


def _replay(ports: Ports, name: ReportName, version: str, there: Collection[str]) -> list[FileReport]:
    """Revalidate one file. Returns its new reports, and the reports that an earlier call wrote but did not announce."""
    reports = history(ports.lake, name.dataset, name.tenant_id, name.content, name.day)
    if not reports:
        raise NotFoundError(f"{name.content}: not in the register of landings; put the file into the landing bucket")
    made = [report for report in reports if report.report_key not in there]
    newest = version_of(version)
    while file_standing(reports).status != "accepted" and version_of(reports[-1].contract_version) < newest:
        # where two calls continue from one report, one call puts its own report, and both continue from that one
        reports.append(_again(ports, reports))
        made.append(reports[-1])
    for report in made:
        announce(ports, report)
    return made


def _again(ports: Ports, reports: list[FileReport]) -> FileReport:
    first = reports[0]
    upload = Upload(first.bucket, first.key, first.version_id, first.etag)
    modified = datetime.fromisoformat(first.ingested_at)
    arrival = Arrival(upload, modified, after=reports[-1].contract_version)
    with ports.sql(seconds=MAX_SECONDS) as sql:
        local = sql.scratch / "upload"
        _fetch(ports, first, arrival, local)
        report = validate_file(ports, sql, local, arrival, reports)
        return register_report(ports.lake, arrival.entry(pack_info(ports).datasets), report)


def _fetch(ports: Ports, first: FileReport, arrival: Arrival, local: Path) -> None:
    """Download the landed object as it was.

    Where the object is gone, the copy of a file that was refused whole serves too.
    """
    upload = arrival.upload
    if arrival.content != first.content_id:
        # an erasure wrote a hash over the key, which named a person; the rest of the file is in Bronze and quarantine
        raise NotFoundError(f"{first.content_id}: its key was erased with a person's name; send the file again")
    try:
        info = fetch_landed(ports, upload, local)
        if (info.etag, info.last_modified) == (upload.etag, arrival.modified):
            return
    except NotFoundError:
        if first.status != "rejected":
            raise
    if first.status != "rejected" or first.quarantine_key is None:
        raise NotFoundError(
            f"{upload.key}: the landing bucket holds another object under this key; send the file again"
        )
    ports.lake.download(first.quarantine_key, local)
