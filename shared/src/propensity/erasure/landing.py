"""What a tenant landed: which versions name the customer, and whether all of them were validated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder, is_parquet
from propensity.ingest.promote_silver import BronzeFile
from propensity.kernel.errors import RetryableError
from propensity.kernel.tenant import Subject, tenant_of
from propensity.lake.json_objects import read_json
from propensity.lake.silver_tables import silver_table
from propensity.ports import ObjectInfo, Ports, Sql

_UNKNOWN = "unknown"  # as validate_upload files what it cannot place


def reports(ports: Ports, tenant_id: str) -> Iterator[dict[str, Any]]:
    """The validation reports of what a tenant landed."""
    for key in ports.lake.keys("validation/"):
        if tenant_of(key) in (tenant_id, _UNKNOWN):
            yield read_json(ports.lake, key)


def outstanding(ports: Ports, tenant_id: str) -> list[BronzeFile]:
    """The tenant's Bronze files that no commit of Silver names yet."""
    files: defaultdict[str, dict[str, BronzeFile]] = defaultdict(dict)
    for report in reports(ports, tenant_id):
        if report["bronze_key"]:
            file = BronzeFile.parse(report)
            files[file.dataset][file.transaction] = file
    found = []
    for dataset, by_name in sorted(files.items()):
        there = ports.tables.committed(silver_table(dataset), by_name)
        found += [file for name, file in sorted(by_name.items()) if name not in there]
    return found


class LandingFinder:
    def __init__(self, ports: Ports, sql: Sql, subject: Subject, texts: NameFinder, rows: RowFinder) -> None:
        self._ports, self._sql, self._subject, self._texts, self._rows = ports, sql, subject, texts, rows

    def versions(self) -> list[ObjectInfo]:
        """Every version of every object of the tenant that holds the subject.

        Raises RetryableError where one was not validated: other people's rows are only in there.
        """
        mine = [one for one in self._ports.landing.versions("") if tenant_of(one.key) == self._subject.tenant_id]
        if self._subject.customer_id is None:
            return mine
        validated: defaultdict[tuple[str, datetime], set[str]] = defaultdict(set)
        linked: set[tuple[str, datetime]] = set()
        for report in reports(self._ports, self._subject.tenant_id):
            arrived = report["key"], _second(datetime.fromisoformat(report["ingested_at"]))
            validated[arrived].add(report["content_id"])
            if any(self._holds_rows(report[kind]) for kind in ("bronze_key", "quarantine_key")):
                linked.add(arrived)
        named = [one for one in mine if _arrived(one) in linked or self._names(one)]
        contents: defaultdict[tuple[str, datetime], set[str]] = defaultdict(set)
        for one in mine:
            contents[_arrived(one)].add(one.etag)
        for one in named:
            # contents of one second cannot be told apart by their reports, only counted
            if len(validated[_arrived(one)]) < len(contents[_arrived(one)]):
                raise RetryableError(
                    f"landing {one.key}, version {one.version_id}: names the customer and was not validated yet; "
                    "wait until its report is below validation/ (or mend what keeps it from that), then try again. "
                    "Nothing was erased"
                )
        return named

    def _holds_rows(self, key: str | None) -> bool:
        """Whether the rows of a landed file are the subject's, whatever the file itself called them."""
        if key is None or not key.endswith(".parquet") or key.startswith("quarantine/rejected/"):
            return False
        path = self._sql.scratch / "landed"
        self._ports.lake.download(key, path)
        return self._rows.count(path, key) > 0

    def _names(self, one: ObjectInfo) -> bool:
        """A file that cannot be read was refused whole: it holds nobody's good rows, and may hold anybody."""
        path = self._sql.scratch / "landed"
        self._ports.landing.download(one.key, path, one.version_id)
        named = self._rows.named_in(path) if is_parquet(path) else self._texts.within_file(path)
        return named is not False


def _arrived(info: ObjectInfo) -> tuple[str, datetime]:
    return info.key, _second(info.last_modified)


def _second(moment: datetime) -> datetime:
    """S3 tells an object's time to the second, its listings to the millisecond."""
    return moment.replace(microsecond=0)
