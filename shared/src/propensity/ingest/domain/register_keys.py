"""The register of landings: what became of every object that landed, by the day it arrived.

`landings/ingest_date=<d>/tenant_id=<t>/<dataset>/<content_id>.json` is the report of a content's first validation,
`<content_id>.after<version>.json` that of the replay which went on from that contract version. Each is put only where
nothing is: whoever works on a content at once, it has one history, in which each report rests on those before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

ROOT = "landings"
NOBODY = "unknown"  # stands in the names of files whose key tells no tenant
_REPORT = re.compile(
    r"[a-z]+/(?P<dataset>[^/]+)/tenant_id=(?P<tenant>[^/]+)/ingest_date=(?P<day>[0-9-]{10})/(?P<content>[0-9a-f]{32})"
    r"(?:\.c(?P<version>[0-9]+\.[0-9]+\.[0-9]+))?(?:\.after[0-9.]+)?(?P<refused>\.rejected)?\.(?:json|parquet)"
)


def register_of(day: date, tenant_id: str | None = None) -> str:
    """Prefix of a day's entries, or of one tenant's."""
    prefix = f"{ROOT}/ingest_date={day.isoformat()}/"
    return f"{prefix}tenant_id={tenant_id}/" if tenant_id else prefix


def entry_key(dataset: str, tenant_id: str | None, content: str, day: date, after: str | None = None) -> str:
    name = f"{content}.after{after}" if after else content
    return f"{register_of(day, tenant_id or NOBODY)}{dataset}/{name}.json"


def entry_of(key: str) -> tuple[str, str]:
    """Dataset and content of an entry that is that of a first validation."""
    dataset, name = key.split("/")[-2:]
    return dataset, name.removesuffix(".json")


def is_first(key: str) -> bool:
    """Whether an entry is that of a first validation."""
    return ".after" not in key.rsplit("/", 1)[-1]


def version_of(contract_version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in contract_version.split("."))


@dataclass(frozen=True, slots=True)
class ReportName:
    """What the key of a report, or of a quarantine file, says. `version` is None for a file refused at first."""

    dataset: str
    tenant_id: str
    content: str
    day: date
    version: str | None
    refused: bool


def parse_report_key(key: str) -> ReportName | None:
    """None for a key that is no report's."""
    match = _REPORT.fullmatch(key)
    if match is None:
        return None
    day = date.fromisoformat(match["day"])
    refused = match["refused"] is not None
    return ReportName(match["dataset"], match["tenant"], match["content"], day, match["version"], refused)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a landed file stands, by all of its reports: rows_in = bronze + quarantine, unless it is refused whole.

    `why` has an entry per column and rule with rows and first lines, or the sentence that refused the file.
    """

    status: Literal["accepted", "accepted_in_part", "rejected"]
    rows_in: int
    bronze: int
    quarantine: int
    healed: int
    why: tuple[Mapping[str, Any], ...]


def standing(history: Sequence[Mapping[str, Any]]) -> Standing:
    """`history`: a content's reports, the first validation first. A replay that refuses takes nothing back."""
    accepted = [report for report in history if report["status"] == "accepted"]
    refused = () if history[-1]["status"] == "accepted" else ({"message": history[-1]["why"]},)
    if not accepted:
        return Standing("rejected", 0, 0, 0, 0, refused)
    newest = accepted[-1]
    bronze = newest["earlier"] + newest["bronze"]
    status: Literal["accepted", "accepted_in_part", "rejected"] = "accepted"
    if newest["quarantine"]:
        status = "accepted_in_part" if bronze else "rejected"
    return Standing(
        status,
        newest["rows_in"],
        bronze,
        newest["quarantine"],
        sum(report["bronze"] for report in accepted if report["known_from"]),
        (*newest["reasons"], *refused),
    )
