"""replay_quarantine: what a newer contract version makes of files that an older one refused, whole or in part.

What was good before stays where it is; what was not and is now goes to Bronze beside it, and to Silver from there,
known from the moment it was healed. Rows in = rows in Bronze, of all versions + rows in the newest quarantine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity.ingest.domain.register_keys import ReportName, parse_report_key, standing, version_of
from propensity.ingest.register import history
from propensity.ingest.validate_upload import Arrival, Upload, committed, settle, validated
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.pack.current import contract_of, pack_info
from propensity.ports import Ports

LIMIT = 200  # files of one call: a large one takes seconds, and a function has 15 minutes


def replay_quarantine(
    ports: Ports, *, dataset: str, tenant_id: str | None = None, limit: int = LIMIT
) -> dict[str, Any]:
    """Validate again what the pack's contract is newer for, of one tenant or of all; at most `limit` files.

    `left` says how many files are still to be looked at, `gone` which contents cannot be read any more. Doing it again
    goes on, or changes nothing. Raises BadInputError for a dataset that the pack does not have.
    """
    datasets = pack_info(ports).datasets
    if dataset not in datasets:
        raise BadInputError(f"dataset is {dataset!r}, expected one of {', '.join(datasets)}")
    version = contract_of(ports, dataset).version
    place = f"{dataset}/tenant_id={tenant_id}/" if tenant_id else f"{dataset}/tenant_id="
    there = set(ports.lake.keys(f"validation/{place}"))
    waiting = _waiting(there, set(ports.lake.keys(f"quarantine/{place}")), version)
    made: list[dict[str, Any]] = []
    gone: list[str] = []
    looked_at = 0
    for name in waiting:
        if len(made) >= limit:
            break
        looked_at += 1
        try:
            made += _replay(ports, name, version, there)
        except NotFoundError:
            # told in the answer: one file that is gone must not keep the others from theirs
            gone.append(name.content)
    healed = sum(report["bronze"] for report in made)
    ports.metrics.count("RowsHealed", healed, dataset=dataset)
    return {
        "dataset": dataset,
        "contract_version": version,
        "files": len(made),
        "healed": healed,
        "quarantine": sum(report["quarantine"] for report in made),
        "rejected": sum(report["status"] == "rejected" for report in made),
        "gone": gone,
        "left": len(waiting) - looked_at,
    }


def _waiting(reports: Collection[str], quarantined: Collection[str], version: str) -> list[ReportName]:
    """The contents whose newest report is by an older version and which were refused, whole or in part; oldest first.

    Told by names alone, so that the millions of files that were good are never read.
    """
    bad = {name.content for name in map(parse_report_key, quarantined) if name}
    newest: dict[str, ReportName] = {}
    for name in filter(None, map(parse_report_key, reports)):
        if name.refused:
            bad.add(name.content)
        if name.content not in newest or _age(newest[name.content]) < _age(name):
            newest[name.content] = name
    found = [name for name in newest.values() if name.content in bad and _age(name) < version_of(version)]
    return sorted(found, key=lambda name: (name.day, name.content))


def _age(name: ReportName) -> tuple[int, ...]:
    """A file that was refused at first has no version in its name: its report says which."""
    return version_of(name.version) if name.version else ()


def _replay(ports: Ports, name: ReportName, version: str, there: Collection[str]) -> list[dict[str, Any]]:
    """The reports that were made, or that a replay which died had not come to announce."""
    reports = history(ports.lake, name.dataset, name.tenant_id, name.content, name.day)
    if not reports:
        raise NotFoundError(f"{name.content}: not in the register of landings; put the file into the landing bucket")
    made = [report for report in reports if report["report_key"] not in there]
    while standing(reports).status != "accepted" and version_of(reports[-1]["contract_version"]) < version_of(version):
        # whoever else goes on from the same report: one of us is put, and both go on from that
        reports.append(_again(ports, reports))
        made.append(reports[-1])
    for report in made:
        settle(ports, report)
    return made


def _again(ports: Ports, reports: list[dict[str, Any]]) -> dict[str, Any]:
    first = reports[0]
    upload = Upload(first["bucket"], first["key"], first["version_id"], first["etag"])
    modified = datetime.fromisoformat(first["ingested_at"])
    arrival = Arrival(upload, modified, after=reports[-1]["contract_version"])
    sql = ports.sql()
    try:
        local = sql.scratch / "upload"
        _fetch(ports, first, arrival, local)
        report = validated(ports, sql, local, arrival, reports)
        return committed(ports, arrival.entry(pack_info(ports).datasets), report)
    finally:
        sql.close()


def _fetch(ports: Ports, first: Mapping[str, Any], arrival: Arrival, local: Path) -> None:
    """The original object as it was; of a file that was refused whole, else the copy that was kept of it."""
    upload = arrival.upload
    try:
        info = ports.landing.download(upload.key, local, upload.version_id)
        if (info.etag, info.last_modified) == (upload.etag, arrival.modified):
            return
    except NotFoundError:
        if first["status"] != "rejected":
            raise
    if first["status"] != "rejected":
        raise NotFoundError(
            f"{upload.key}: the landing bucket holds another object under this key; send the file again"
        )
    ports.lake.download(first["quarantine_key"], local)
