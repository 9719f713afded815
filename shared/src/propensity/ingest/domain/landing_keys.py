"""The keys in the landing bucket, and the keys in the lake that a landed file's rows and report get.

The register of landings has the reports of every object that landed, by its day of arrival:
`landings/ingest_date=<d>/tenant_id=<t>/<dataset>/<content_id>.json` is the report of the first validation.
`<content_id>.after<version>.json` is the report of the revalidation that continued from that contract version. An entry
is put only where no entry is. So however many processes work on one content id, it has one chain of reports, and each
report builds on the report before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import TENANT_NAME, TENANT_RULE

JSON_FORMATS = (".jsonl", ".jsonl.gz")
WORKBOOK = ".xlsx"
FORMATS = (".csv", ".csv.gz", *JSON_FORMATS, ".parquet", WORKBOOK)
CONTENT_TYPES = {
    ".csv": "text/csv",
    ".csv.gz": "application/gzip",
    ".jsonl": "application/jsonl",
    ".jsonl.gz": "application/gzip",
    ".parquet": "application/vnd.apache.parquet",
    WORKBOOK: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
LANDINGS = "landings"
NOBODY = "unknown"  # an entry's key has this tenant where the landing key has none
_MAX_KEY = 1024  # S3's own limit, in bytes
_KEY = re.compile(r"(?P<dataset>[^/]+)/tenant_id=(?P<tenant>[^/]*)/(?P<file>(?:.*/)?[^/]+)", re.DOTALL)
_BRONZE = re.compile(
    r"bronze/(?P<dataset>[^/]+)/tenant_id=(?P<tenant>[^/]+)/ingest_date=(?P<day>\d{4}-\d\d-\d\d)/"
    r"(?P<content>[^/.]+)\.c(?P<version>\d+\.\d+\.\d+)(?P<healed>\.after[\d.]+)?\.parquet"
)
_REPORT = re.compile(
    r"[a-z]+/(?P<dataset>[^/]+)/tenant_id=(?P<tenant>[^/]+)/ingest_date=(?P<day>[0-9-]{10})/(?P<content>[0-9a-f]{32})"
    r"(?:\.c(?P<version>[0-9]+\.[0-9]+\.[0-9]+))?(?:\.after[0-9.]+)?(?P<refused>\.rejected)?\.(?:json|parquet)"
)


@dataclass(frozen=True, slots=True)
class Landed:
    """A file in the landing bucket: `<dataset>/tenant_id=<tenant>/…/<file>`.

    The tenant in the key owns every row of the file, whatever a row says.
    """

    key: str
    dataset: str
    tenant_id: str
    suffix: str
    arrived: str  # the object's LastModified, as RFC 3339


def is_marker(key: str, size: int) -> bool:
    """Whether an object is no data by the conventions of Hadoop and Spark, so that nobody validates it.

    These are names and folders that begin with `_` or `.` (`_SUCCESS`, `_temporary/`), checksums (`.crc`), and the
    empty objects that stand for a folder.
    """
    match = _KEY.fullmatch(key)
    # a folder's own object ends in a slash, so that no file is named after the tenant
    parts = (match["file"] if match else key.partition("/tenant_id=")[2].partition("/")[2]).split("/")
    hidden = any(part.startswith(("_", ".")) for part in parts)
    return hidden or parts[-1].endswith(".crc") or (size == 0 and key.endswith(("/", "_$folder$")))


def parse_landing_key(key: str, datasets: Sequence[str], *, arrived: datetime) -> Landed:
    """Parse a landing key into its parts. `key` is the raw key, because EventBridge does not encode it.

    Raises BadInputError naming the part that is wrong.
    """
    match = _KEY.fullmatch(key)
    if not match:
        raise BadInputError(f"{key}: expected <dataset>/tenant_id=<tenant>/<file>; put the file under such a key")
    if match["dataset"] not in datasets:
        raise BadInputError(
            f"{key}: unknown dataset, expected one of {', '.join(datasets)}; put the file under one of these"
        )
    if not TENANT_NAME.fullmatch(match["tenant"]):
        raise BadInputError(f"{key}: tenant_id: expected {TENANT_RULE}; mend the key")
    suffix = _suffix(key)
    if suffix is None:
        raise BadInputError(f"{key}: unknown kind of file, expected {', '.join(FORMATS)}; send it as one of these")
    return Landed(key, match["dataset"], match["tenant"], suffix, arrived.isoformat())


def _suffix(key: str) -> str | None:
    """The ending of a key that says the kind of file; None for any other ending."""
    # the longest endings stand first, so that .csv.gz is found before any shorter ending
    return next((ending for ending in sorted(FORMATS, key=len, reverse=True) if key.lower().endswith(ending)), None)


def landing_key(dataset: str, tenant_id: str, file: str, datasets: Sequence[str], *, arrived: datetime) -> Landed:
    """The landing key that a file is to be put under. `parse_landing_key` accepts the key later.

    Raises BadInputError naming the part that is wrong. The function also refuses names that a URL would change: control
    characters, empty parts, `.` and `..`.
    """
    if not file.isprintable() or any(part in ("", ".", "..") for part in file.split("/")):
        raise BadInputError("file: expected a name, or names joined by /, printable, none of them empty, . or ..")
    if is_marker(f"{dataset}/tenant_id={tenant_id}/{file}", 1):
        raise BadInputError("file: names that begin with _ or . and checksums (.crc) are no data; name it otherwise")
    if "/" in dataset:
        raise BadInputError(f"dataset: expected one of {', '.join(datasets)}")
    key = f"{dataset}/tenant_id={tenant_id}/{file}"
    if len(key.encode()) > _MAX_KEY:
        raise BadInputError(f"file: its key has {len(key.encode())} bytes, expected at most {_MAX_KEY}; shorten it")
    return parse_landing_key(key, datasets, arrived=arrived)


def content_id(bucket: str, key: str, etag: str, modified: datetime) -> str:
    """The content id: 32 hex digits that name one arrival. It is the same for every delivery of the arrival's event.

    The time of arrival is part of the content id. For example, file A is put, file B corrects it, and A is put again.
    The second A is an arrival of its own. So the second A overrides B, and its rows are known from the second arrival
    on.
    """
    # each part's length stands before the part, so that no two tuples join to the same text
    joined = "".join(f"{len(part)}:{part}" for part in (bucket, key, etag, modified.isoformat()))
    return hashlib.sha256(joined.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The keys of one arrival's Bronze file, quarantine file and report.

    Content id and contract versions fix the keys.
    """

    bronze: str
    quarantine: str
    report: str


def outputs(
    landed: Landed, content: str, contract_version: str, modified: datetime, after: str | None = None
) -> Outputs:
    """The keys of the objects that a validation writes.

    For a revalidation, `after` is the contract version of the report before it.
    """
    place = f"{landed.dataset}/tenant_id={landed.tenant_id}/ingest_date={modified.date().isoformat()}/{content}"
    name = f"{place}.c{contract_version}"
    rows = f"{name}.after{after}" if after else name
    return Outputs(f"bronze/{rows}.parquet", f"quarantine/{rows}.parquet", f"validation/{name}.json")


@dataclass(frozen=True, slots=True)
class BronzeName:
    """The parts of a Bronze file's key.

    `healed_by` is the contract version of the revalidation that wrote the file. It is None for a first validation.
    """

    dataset: str
    tenant_id: str
    day: date
    content_id: str
    healed_by: str | None


def parse_bronze_key(key: str) -> BronzeName:
    """Parse a Bronze file's key into its parts. Raises BadInputError for any other key."""
    match = _BRONZE.fullmatch(key)
    if not match:
        raise BadInputError(
            f"{key}: no name of a Bronze file, expected "
            "bronze/<dataset>/tenant_id=<tenant>/ingest_date=<day>/<content id>.c<contract version>.parquet; "
            "move it away"
        )
    healed_by = match["version"] if match["healed"] else None
    day = date.fromisoformat(match["day"])
    return BronzeName(match["dataset"], match["tenant"], day, match["content"], healed_by)


@dataclass(frozen=True, slots=True)
class RejectedOutputs:
    """The keys of a file that was refused whole. `tenant_id` is None where the landing key has no tenant."""

    dataset: str
    tenant_id: str | None
    place: str
    file: str

    @property
    def copy(self) -> str:
        return f"quarantine/rejected/{self.place}/{self.file}"

    def report(self, replayed_by: str | None = None) -> str:
        """The key of the report.

        `replayed_by` is the contract version of a revalidation that refused the file again.
        """
        by = f".c{replayed_by}" if replayed_by else ""
        return f"validation/{self.place}{by}.rejected.json"


def rejected_outputs(key: str, content: str, modified: datetime, datasets: Sequence[str]) -> RejectedOutputs:
    """The keys for any refused file. `key` need not be a landing key.

    A part of `key` that cannot be read becomes `unknown`.
    """
    match = _KEY.fullmatch(key)
    dataset = match["dataset"] if match and match["dataset"] in datasets else "unknown"
    tenant = match["tenant"] if match and TENANT_NAME.fullmatch(match["tenant"]) else None
    place = f"{dataset}/tenant_id={tenant or 'unknown'}/ingest_date={modified.date().isoformat()}/{content}"
    # the copy does not have the file's own name, which may be a person's
    file = f"file{_suffix(key) or ''}"
    return RejectedOutputs(dataset, tenant, place, file)


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
