"""The landed files of a tenant: which versions hold the subject, and which files were not promoted yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from propensity.erasure.domain.subject import of_nobody
from propensity.erasure.rows import RowFinder
from propensity.erasure.texts import NameFinder, is_parquet
from propensity.ingest.domain.budgets import MAX_BYTES
from propensity.ingest.domain.landing_keys import is_marker
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.kernel.errors import RetryableError
from propensity.kernel.tenant import Subject, tenant_of
from propensity.lake.json_objects import read_json
from propensity.lake.silver_tables import silver_table
from propensity.ports import ObjectInfo, Ports, Sql

_PROMOTED_AT_ONCE = 100  # the number of files that one commit promotes


def reports(ports: Ports, tenant_id: str) -> Iterator[dict[str, Any]]:
    """Yield the validation reports of the files that a tenant landed."""
    for key in ports.lake.keys("validation/"):
        if tenant_of(key) == tenant_id or of_nobody(key):
            yield read_json(ports.lake, key)


def outstanding(ports: Ports, tenant_id: str) -> list[BronzeFile]:
    """Return the tenant's Bronze files that no commit of Silver names yet: announced, not promoted."""
    files: defaultdict[str, dict[str, BronzeFile]] = defaultdict(dict)
    for report in reports(ports, tenant_id):
        if report["bronze_key"]:
            file = BronzeFile.parse(report)
            files[file.dataset][file.transaction] = file
    found = []
    for dataset, by_name in sorted(files.items()):
        committed = ports.tables.committed(silver_table(dataset), by_name)
        found += [file for name, file in sorted(by_name.items()) if name not in committed]
    return found


def promote_outstanding(ports: Ports, tenant_id: str) -> None:
    """Promote the tenant's outstanding Bronze files.

    Other promoters may be at work, and win the race for some files. Raises RetryableError where a try brought no
    progress, neither by this function nor by another promoter.
    """
    files = outstanding(ports, tenant_id)
    while files:
        try:
            _promote(ports, files)
            return
        except RetryableError:
            left = outstanding(ports, tenant_id)
            if len(left) >= len(files):
                raise
            files = left


def _promote(ports: Ports, files: Sequence[BronzeFile]) -> None:
    for dataset in sorted({file.dataset for file in files}):
        of_dataset = [file for file in files if file.dataset == dataset]
        for start in range(0, len(of_dataset), _PROMOTED_AT_ONCE):
            promote_silver(ports, of_dataset[start : start + _PROMOTED_AT_ONCE])


class LandingFinder:
    """A finder of the versions of landed objects that hold the subject."""

    def __init__(self, ports: Ports, sql: Sql, subject: Subject, texts: NameFinder, rows: RowFinder) -> None:
        self._ports, self._sql, self._subject, self._texts, self._rows = ports, sql, subject, texts, rows

    def versions(self) -> list[ObjectInfo]:
        """Return every version of every object of the tenant that holds the subject.

        Raises RetryableError where one of the versions was not validated, because other people's rows in that version
        are nowhere else yet. A version over the budget of bytes is left out, because it was refused without a copy:
        other people's rows are nowhere else. The proof names such a version.
        """
        everything = list(self._ports.landing.versions(""))
        if self._subject.customer_id is None:
            return [version for version in everything if tenant_of(version.key) == self._subject.tenant_id]
        # a file whose key names no tenant was refused whole; it may name anybody
        landed = [
            version
            for version in everything
            if (tenant_of(version.key) in (None, self._subject.tenant_id) or of_nobody(version.key))
            and version.size <= MAX_BYTES
        ]
        validated: defaultdict[tuple[str, datetime], set[str]] = defaultdict(set)
        linked: set[tuple[str, datetime]] = set()
        for report in reports(self._ports, self._subject.tenant_id):
            key = self._texts.without_key(report["key"])  # an earlier call may have rewritten the report
            arrived = key, _second(datetime.fromisoformat(report["ingested_at"]))
            validated[arrived].add(report["content_id"])
            if any(self._holds_rows(report[kind]) for kind in ("bronze_key", "quarantine_key")):
                linked.add(arrived)
        named = [version for version in landed if self._arrived(version) in linked or self._names_customer(version)]
        contents: defaultdict[tuple[str, datetime], set[str]] = defaultdict(set)
        for version in landed:
            contents[self._arrived(version)].add(version.etag)
        for version in named:
            if is_marker(version.key, version.size):
                continue  # nobody validates a marker of Hadoop or Spark, and no row is lost with it
            # reports do not tell two contents of one second apart, so both contents are counted
            if len(validated[self._arrived(version)]) < len(contents[self._arrived(version)]):
                shown = self._texts.without_key(version.key)
                raise RetryableError(
                    f"landing {shown}, version {version.version_id}: names the customer and was not validated yet; "
                    "wait until its report is below validation/ (or mend what keeps it from that), then try "
                    "again. Nothing was erased"
                )
        return named

    def _holds_rows(self, key: str | None) -> bool:
        """Whether Bronze or quarantine has rows of the subject, however the landed file itself names them."""
        if key is None or not key.endswith(".parquet") or key.startswith("quarantine/rejected/"):
            return False
        path = self._sql.scratch / "landed"
        self._ports.lake.download(key, path)
        return self._rows.count(path, key) > 0

    def _names_customer(self, version: ObjectInfo) -> bool:
        """Whether a landed version names the customer, or cannot be read.

        A file that cannot be read was refused whole. No good rows are lost with it, and it may name anybody.
        """
        if self._texts.telling.within_text(version.key):
            return True
        path = self._sql.scratch / "landed"
        self._ports.landing.download(version.key, path, version.version_id)
        if is_parquet(path) and tenant_of(version.key) == self._subject.tenant_id:
            return self._rows.named_in(path) is not False
        if tenant_of(version.key) == self._subject.tenant_id:
            return self._texts.within_file(path) is not False
        named = self._rows.named_in(path) if is_parquet(path) else self._texts.telling.within_file(path)
        return named is True

    def _arrived(self, info: ObjectInfo) -> tuple[str, datetime]:
        """Return key and second of arrival, by which a version and its report belong together."""
        return self._texts.without_key(info.key), _second(info.last_modified)


def _second(moment: datetime) -> datetime:
    """Return a time to the second.

    S3 gives an object's time to the second when the object is read, and to the millisecond when it is listed.
    """
    return moment.replace(microsecond=0)
