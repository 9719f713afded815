"""The keys of the register of landings, which has the reports of every object that landed, by its day of arrival.

`landings/ingest_date=<d>/tenant_id=<t>/<dataset>/<content_id>.json` is the report of the first validation.
`<content_id>.after<version>.json` is the report of the revalidation that continued from that contract version. An entry
is put only where no entry is. So however many processes work on one content id, it has one chain of reports, and each
report builds on the report before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

LANDINGS = "landings"
NOBODY = "unknown"  # an entry's key has this tenant where the landing key has none
_REPORT = re.compile(
    r"[a-z]+/(?P<dataset>[^/]+)/tenant_id=(?P<tenant>[^/]+)/ingest_date=(?P<day>[0-9-]{10})/(?P<content>[0-9a-f]{32})"
    r"(?:\.c(?P<version>[0-9]+\.[0-9]+\.[0-9]+))?(?:\.after[0-9.]+)?(?P<refused>\.rejected)?\.(?:json|parquet)"
)


def register_of(day: date, tenant_id: str | None = None) -> str:
    """The prefix of the entries of a day. With a tenant, the prefix is that of the tenant's entries of that day."""
    prefix = f"{LANDINGS}/ingest_date={day.isoformat()}/"
    return f"{prefix}tenant_id={tenant_id}/" if tenant_id else prefix


def entry_key(dataset: str, tenant_id: str | None, content: str, day: date, after: str | None = None) -> str:
    """The key of an entry. For a revalidation, `after` is the contract version of the report before it."""
    name = f"{content}.after{after}" if after else content
    return f"{register_of(day, tenant_id or NOBODY)}{dataset}/{name}.json"


def entry_of(key: str) -> tuple[str, str]:
    """The dataset and the content id, from the key of a first validation's entry."""
    dataset, name = key.split("/")[-2:]
    return dataset, name.removesuffix(".json")


def is_first(key: str) -> bool:
    """Whether a key is that of a first validation's entry."""
    return ".after" not in key.rsplit("/", 1)[-1]


def version_of(contract_version: str | None) -> tuple[int, ...]:
    """A contract version as numbers, so that 1.10.0 is newer than 1.9.0. None is older than every version."""
    return tuple(int(part) for part in contract_version.split(".")) if contract_version else ()


@dataclass(frozen=True, slots=True)
class ReportName:
    """The parts of the key of a report or a quarantine file.

    `version` is None for a file that its first validation refused whole.
    """

    dataset: str
    tenant_id: str
    content: str
    day: date
    version: str | None
    refused: bool


def parse_report_key(key: str) -> ReportName | None:
    """Parse the key of a report or a quarantine file into its parts. The result is None for any other key."""
    match = _REPORT.fullmatch(key)
    if match is None:
        return None
    day = date.fromisoformat(match["day"])
    refused = match["refused"] is not None
    return ReportName(match["dataset"], match["tenant"], match["content"], day, match["version"], refused)
