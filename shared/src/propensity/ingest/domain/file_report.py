"""The report of one validation of one landed file, and the standing of a file by all of its reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from propensity.kernel.spec import Record
from propensity.pack.domain.quality import Severity


class BrokenRule(Record):
    """A rule that rows of the file break: the number of the rows and their first lines, but never values.

    `column` is None for a rule over a whole line or over several columns.
    """

    column: str | None
    rule: str
    message: str
    severity: Severity
    rows: int
    first_lines: tuple[int, ...]


class RowCounts(Record):
    """The rows of a file that could be read: `bronze` good rows, `quarantine` bad rows, and why the bad rows are bad.

    In a first validation rows_in = bronze + quarantine. `assumed` has what the reader took from the file itself or from
    the tenant's record: the delimiter, the decimal sign, date formats, lines before the header.
    """

    rows_in: int
    bronze: int
    quarantine: int
    blank_lines: int
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...]
    reasons: tuple[BrokenRule, ...]


class _Report(Record):
    """The fields of every report.

    The first six fields name the object, so that it can be read again; `ingested_at` is its RFC 3339 time of arrival.
    For a revalidation, `after` is the contract version of the report before. For rows that a revalidation healed,
    `known_from` is the RFC 3339 instant from which they are known. `earlier` counts the rows that reports before put
    into Bronze.
    """

    key: str
    bucket: str
    version_id: str | None
    etag: str
    content_id: str
    ingested_at: str
    after: str | None
    dataset: str
    tenant_id: str | None
    contract_version: str | None
    known_from: str | None
    rows_in: int
    earlier: int
    bronze: int
    quarantine: int
    bronze_key: str | None
    quarantine_key: str | None
    report_key: str


class AcceptedReport(_Report, RowCounts):
    """The report of a file that could be read. rows_in = earlier + bronze + quarantine.

    `refused_now` counts the rows among `earlier` that today's contract would refuse. Such rows stay in Bronze.
    """

    status: Literal["accepted"]
    tenant_id: str
    contract_version: str
    refused_now: int


class RejectedReport(_Report):
    """The report of a file that was refused whole. `why` is the sentence that refused the file.

    `contract_version` is None where the key names no dataset of the pack.
    """

    status: Literal["rejected"]
    why: str


type Status = Literal["accepted", "accepted_in_part", "rejected"]
type FileReport = AcceptedReport | RejectedReport
_REPORT: TypeAdapter[FileReport] = TypeAdapter(Annotated[FileReport, Field(discriminator="status")])


def parse_report(body: bytes) -> FileReport:
    return _REPORT.validate_json(body)


@dataclass(frozen=True, slots=True)
class FileStanding:
    """The standing of a landed file by all of its reports. rows_in = bronze + quarantine, unless it is refused whole.

    `why` has an entry per broken rule with rows and first lines. If the newest report refused the file, `why` also has
    that report's message.
    """

    status: Status
    rows_in: int
    bronze: int
    quarantine: int
    healed: int
    why: tuple[Mapping[str, Any], ...]


def status_of(good: int, bad: int) -> Status:
    """The status of a file that could be read, by its good and bad rows."""
    if not bad:
        return "accepted"
    return "accepted_in_part" if good else "rejected"


def file_standing(reports: Sequence[FileReport]) -> FileStanding:
    """The standing of a file. `reports` are those of one content id, the first validation first.

    A revalidation that refuses the file takes back nothing that is in Bronze.
    """
    accepted = [report for report in reports if isinstance(report, AcceptedReport)]
    last = reports[-1]
    refused = ({"message": last.why},) if isinstance(last, RejectedReport) else ()
    if not accepted:
        return FileStanding("rejected", 0, 0, 0, 0, refused)
    newest = accepted[-1]
    bronze = newest.earlier + newest.bronze
    return FileStanding(
        status_of(bronze, newest.quarantine),
        newest.rows_in,
        bronze,
        newest.quarantine,
        sum(report.bronze for report in accepted if report.known_from),
        (*(broken.model_dump(mode="json") for broken in newest.reasons), *refused),
    )
