"""Keys of the landing zone, and the names of what a landed file becomes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from propensity.domain.errors import BadInputError

FORMATS = (".csv", ".csv.gz", ".parquet")
_KEY = re.compile(r"^(?P<dataset>[^/]+)/tenant_id=(?P<tenant>[^/]+)/(?P<file>(?:.*/)?[^/]+)$", re.DOTALL)
_TENANT = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")


@dataclass(frozen=True, slots=True)
class Landed:
    """A file in the landing bucket: `<dataset>/tenant_id=<tenant>/…/<file>`. The key's tenant is the authority."""

    key: str
    dataset: str
    tenant_id: str
    suffix: str

    @property
    def file_name(self) -> str:
        return self.key.rsplit("/", 1)[1]


def parse_landing_key(key: str, datasets: tuple[str, ...]) -> Landed:
    """Raises BadInputError naming the key's part that is wrong."""
    match = _KEY.match(key)
    if not match:
        raise BadInputError(f"{key}: expected <dataset>/tenant_id=<tenant>/<file>; put the file under such a key")
    if match["dataset"] not in datasets:
        raise BadInputError(
            f"{key}: unknown dataset {match['dataset']!r}; this pack takes {', '.join(datasets)}"
        )
    if not _TENANT.match(match["tenant"]):
        raise BadInputError(f"{key}: tenant_id: expected 1 to 64 letters, digits, dots, - or _")
    suffix = next((one for one in sorted(FORMATS, key=len, reverse=True) if key.lower().endswith(one)), None)
    if suffix is None:
        raise BadInputError(f"{key}: unknown kind of file; expected one of {', '.join(FORMATS)}")
    return Landed(key, match["dataset"], match["tenant"], suffix)


def content_id(bucket: str, key: str, etag: str) -> str:
    """Names one content of one object: 32 hex digits."""
    # lengths in front, so that no two triples read the same
    joined = "".join(f"{len(part)}:{part}" for part in (bucket, key, etag))
    return hashlib.sha256(joined.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where one landed content's rows and report go; determined by content and contract version alone."""

    bronze: str
    quarantine: str
    report: str


def outputs(landed: Landed, content: str, contract_version: str, modified: datetime) -> Outputs:
    place = f"{landed.dataset}/tenant_id={landed.tenant_id}/ingest_date={modified.date().isoformat()}/{content}"
    name = f"{place}.c{contract_version}"
    return Outputs(f"bronze/{name}.parquet", f"quarantine/{name}.parquet", f"validation/{name}.json")


def rejected_outputs(key: str, content: str, modified: datetime) -> Outputs:
    """For a file refused whole: a copy of the file, and its report. The key may be no landing key at all."""
    day = modified.date().isoformat()
    parts = key.split("/")
    dataset = parts[0] if re.fullmatch(r"[a-z][a-z0-9_]*", parts[0]) and len(parts) > 1 else "unknown"
    file = re.sub(r"[^A-Za-z0-9_.=-]", "_", parts[-1])[-120:] or "file"
    return Outputs(
        bronze="",
        quarantine=f"quarantine/rejected/{dataset}/ingest_date={day}/{content}/{file}",
        report=f"validation/rejected/{dataset}/ingest_date={day}/{content}.json",
    )
