"""validate_upload: writes a landed file's good rows to Bronze, its bad rows to quarantine, and a report of both.

For every file, rows in = rows in Bronze + rows in quarantine, or the file is refused whole and kept. All keys come from
the object's content and all times from the object, so a second call writes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity.ingest.domain.budgets import MAX_BYTES, MAX_SECONDS, over_budget
from propensity.ingest.domain.file_report import AcceptedReport, FileReport, RejectedReport
from propensity.ingest.domain.landing_keys import (
    Landed,
    content_id,
    entry_key,
    is_marker,
    outputs,
    parse_landing_key,
    rejected_outputs,
)
from propensity.ingest.files.checking import PARQUET_OPTIONS
from propensity.ingest.files.reading import Read, read_upload
from propensity.ingest.healing import Earlier, heal, load_earlier
from propensity.ingest.promote_silver import announcement
from propensity.ingest.register import find_report, register_report
from propensity.kernel.errors import BadInputError, ConflictError, IncompleteRunError, NotFoundError
from propensity.kernel.sql_text import quote, text
from propensity.lake.domain.erasure_records import removed_key
from propensity.lake.json_objects import dumps
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.contract import Contract
from propensity.pack.taken_contracts import taken_contract
from propensity.ports import ObjectInfo, Ports, Sql
from propensity.tenants.domain.record import text_form_for
from propensity.tenants.record_lines import refuse_closed


@dataclass(frozen=True, slots=True)
class Upload:
    """An object as its event names it.

    `version_id` is the version to read, because the key may have a newer version by now.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One arrival of one object. All keys come from the arrival.

    For a revalidation, `after` is the contract version of the report before.
    """

    upload: Upload
    modified: datetime
    after: str | None = None

    @property
    def content(self) -> str:
        return content_id(self.upload.bucket, self.upload.key, self.upload.etag, self.modified)

    def entry(self, datasets: Sequence[str]) -> str:
        """The key of the arrival's entry in the register of landings."""
        place = rejected_outputs(self.upload.key, self.content, self.modified, datasets)
        return entry_key(place.dataset, place.tenant_id, self.content, self.modified.date(), self.after)


def validate_upload(ports: Ports, upload: Upload) -> dict[str, Any]:
    """Validate one object against its dataset's contract. Returns the report in the register.

    A file that cannot be read is copied to quarantine/rejected, and its report says why. This is an outcome, not an
    error. An object version that was erased meanwhile is an outcome too: the status is `erased`, without a report.
    A file that was validated before, by any contract version, is not validated again; `replay_quarantine` does that.
    A marker of Hadoop or Spark is no data: the status is `ignored`, without a report.
    The call raises an error where a retry or an engineer has to help.
    """
    with ports.sql(seconds=MAX_SECONDS) as sql:
        local = sql.scratch / "upload"
        try:
            info = fetch_landed(ports, upload, local)
        except NotFoundError:
            return _erased(ports, upload)
        if is_marker(upload.key, info.size):
            return {"status": "ignored", "key": upload.key, "rows_in": 0, "bronze": 0, "quarantine": 0}
        if upload.version_id is None and info.etag != upload.etag:
            raise ConflictError(
                f"{upload.key}: holds etag {info.etag}, the event says {upload.etag}; it was overwritten since, "
                "and the event of what is there now will bring it"
            )
        arrival = Arrival(replace(upload, version_id=info.version_id), info.last_modified)
        entry = arrival.entry(pack_info(ports).datasets)
        report = find_report(ports.lake, entry)
        if report is None:
            report = register_report(ports.lake, entry, validate_file(ports, sql, local, arrival))
    announce(ports, report)
    ports.metrics.count("RowsIn", report.rows_in, dataset=report.dataset)
    ports.metrics.count("RowsQuarantined", report.quarantine, dataset=report.dataset)
    ports.metrics.count("FilesRejected", int(report.status == "rejected"), dataset=report.dataset)
    return report.model_dump(mode="json")


def fetch_landed(ports: Ports, upload: Upload, local: Path) -> ObjectInfo:
    """Download a landed object. An object over the budget of bytes stays where it is, and `local` is not written."""
    info = ports.landing.head(upload.key, upload.version_id)
    return info if info.size > MAX_BYTES else ports.landing.download(upload.key, local, upload.version_id)


def _erased(ports: Ports, upload: Upload) -> dict[str, Any]:
    """The answer to an event that comes again after its object was erased. Nothing is left to do for such an event.

    Raises NotFoundError where no erasure removed the object, because somebody must find out why the object is gone.
    """
    try:
        ports.lake.head(removed_key(upload.key, upload.etag))
    except NotFoundError:
        raise NotFoundError(
            f"landing {upload.key}, version {upload.version_id}: is not there (or this function may not read it), and "
            "no erasure removed it; send the file again"
        ) from None
    return {"status": "erased", "key": upload.key, "rows_in": 0, "bronze": 0, "quarantine": 0}


def announce(ports: Ports, report: FileReport) -> None:
    """Tell the promote queue of the Bronze file, then write the report below validation/.

    The queue is told even of an old Bronze file, because the first message may have been lost. The report comes last:
    where the report exists, nothing is left to do.
    """
    if report.bronze:
        ports.promote_queue.send(announcement(report))
    ports.lake.put_new(report.report_key, dumps(report.model_dump(mode="json")))


def validate_file(
    ports: Ports, sql: Sql, local: Path, arrival: Arrival, history: Sequence[FileReport] = ()
) -> FileReport:
    """Write the Bronze and quarantine files of a local file. Returns its report, which is not in the register yet.

    For a revalidation, `history` has the file's reports so far. Rows that these reports put into Bronze stay there, and
    only the other rows are checked.
    """
    key, datasets = arrival.upload.key, pack_info(ports).datasets
    try:
        landed = parse_landing_key(key, datasets, arrived=arrival.modified)
        contract = taken_contract(ports, landed.dataset)
        line = refuse_closed(ports.lake, landed.tenant_id, arrival.modified, landed.key)
        contract = text_form_for(contract, line)
        if not local.exists():
            raise over_budget(f"{key}: file", "bytes", f"more than {MAX_BYTES:,} bytes")
        earlier = load_earlier(ports, sql, contract, history)
        read = read_upload(ports, sql, local, landed, contract, earlier.relation if earlier else None)
        if earlier:
            checked, earlier = heal(sql, landed, contract, earlier, read.checked)
            read = replace(read, checked=checked)
        return _accepted(ports, sql, landed, contract, arrival, read, earlier)
    except BadInputError as error:
        return _rejected(ports, local, arrival, str(error), datasets, history)


def _accepted(
    ports: Ports,
    sql: Sql,
    landed: Landed,
    contract: Contract,
    arrival: Arrival,
    read: Read,
    earlier: Earlier | None,
) -> FileReport:
    checked, content, modified = read.checked, arrival.content, arrival.modified
    out = outputs(landed, content, contract.version, modified, arrival.after)
    origin = f"{text(landed.key)} as _source_key"
    arrived = f"{text(modified.isoformat())}::timestamptz as _ingested_at"
    if checked.bad:
        path = sql.scratch / "quarantine.parquet"
        _copy(sql, f"select line, raw, reasons, {origin}, {arrived} from ({checked.bad_rows})", path, checked.bad)
        ports.lake.upload_new(out.quarantine, path)
    known_from = None
    if checked.good:
        path = sql.scratch / "bronze.parquet"
        columns = ", ".join(quote(column.name) for column in contract.columns)
        stamps = f"{origin}, _line, {arrived}, {text(content)} as _content_id"
        _copy(sql, f"select {columns}, {stamps} from ({checked.good_rows})", path, checked.good)
        ports.lake.upload_new(out.bronze, path)
        if arrival.after:
            # the store's time for the healed rows' file, which is the same for every caller and every call
            known_from = ports.lake.head(out.bronze).last_modified.isoformat()
    return AcceptedReport(
        status="accepted",
        **_origin(arrival),
        dataset=landed.dataset,
        tenant_id=landed.tenant_id,
        contract_version=contract.version,
        known_from=known_from,
        **dict(read.counts()),
        earlier=earlier.rows if earlier else 0,
        refused_now=earlier.refused if earlier else 0,
        bronze_key=out.bronze if checked.good else None,
        quarantine_key=out.quarantine if checked.bad else None,
        report_key=out.report,
    )


def _origin(arrival: Arrival) -> dict[str, Any]:
    """The fields of a report that name the object, so that it can be read again."""
    return {
        "key": arrival.upload.key,
        "bucket": arrival.upload.bucket,
        "version_id": arrival.upload.version_id,
        "etag": arrival.upload.etag,
        "content_id": arrival.content,
        "ingested_at": arrival.modified.isoformat(),
        "after": arrival.after,
    }


def _copy(sql: Sql, query: str, path: Path, rows: int) -> None:
    options = f"format parquet, compression zstd, compression_level 1, {PARQUET_OPTIONS}"
    sql.execute(f"copy ({query}) to {text(str(path))} ({options})")
    [(written,)] = sql.rows(f"select count(*) from read_parquet({text(str(path))})")
    if written != rows:
        raise IncompleteRunError(f"{path.name}: {written} rows written, expected {rows}; nothing was put, a defect")


def _rejected(
    ports: Ports,
    local: Path,
    arrival: Arrival,
    why: str,
    datasets: Sequence[str],
    history: Sequence[FileReport],
) -> FileReport:
    out = rejected_outputs(arrival.upload.key, arrival.content, arrival.modified, datasets)
    version = contract_of(ports, out.dataset).version if out.dataset in datasets else None
    kept = local.exists() and all(report.status == "rejected" for report in history)
    if kept:
        # a file that was accepted in part needs no copy, because quarantine has its bad rows; a file over the budget
        # of bytes was not downloaded, and the landing bucket keeps it
        ports.lake.upload_new(out.copy, local)
    return RejectedReport(
        status="rejected",
        **_origin(arrival),
        dataset=out.dataset,
        tenant_id=out.tenant_id,
        contract_version=version,
        known_from=None,
        why=why,
        rows_in=0,
        earlier=0,
        bronze=0,
        quarantine=0,
        bronze_key=None,
        quarantine_key=out.copy if kept else None,
        report_key=out.report(version if arrival.after else None),
    )
