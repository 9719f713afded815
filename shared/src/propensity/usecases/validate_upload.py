"""validate_upload: one landed file into Bronze, what is bad into quarantine, and a report of both.

Rows in = rows in Bronze + rows in quarantine, for every file, or the file is refused whole and kept. All names
are determined by the object's content, all times by the object, so doing it twice writes the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.domain.contract import Contract
from propensity.domain.erasure import removed_key
from propensity.domain.errors import BadInputError, ConflictError, IncompleteRunError, NotFoundError, SqlError
from propensity.domain.landing import JSON_FORMATS, Landed, content_id, outputs, parse_landing_key, rejected_outputs
from propensity.domain.views import quote, text
from propensity.ports import ObjectInfo, Ports, Sql
from propensity.usecases.checking import Checked, check_contract, check_rows
from propensity.usecases.json_lines import json_source
from propensity.usecases.planning import contract_of, pack_info
from propensity.usecases.run_files import dumps
from propensity.usecases.sources import Source, csv_source, parquet_source


@dataclass(frozen=True, slots=True)
class Upload:
    """What the event says of an object. `version_id` is the one to read: the key may hold another by now."""

    bucket: str
    key: str
    version_id: str | None
    etag: str


def validate_upload(ports: Ports, upload: Upload) -> dict[str, Any]:
    """Validate one object against its dataset's contract; the report that was written.

    A file that cannot be read is copied to quarantine/rejected and its report says why; that is an outcome, not an
    error. So is a version that was erased since (status `erased`, and no report). Raises for what a retry or an
    engineer must mend.
    """
    datasets = pack_info(ports).datasets
    sql = ports.sql()
    try:
        local = sql.scratch / "upload"
        try:
            info = ports.landing.download(upload.key, local, upload.version_id)
        except NotFoundError:
            return _erased(ports, upload)
        if upload.version_id is None and info.etag != upload.etag:
            raise ConflictError(
                f"{upload.key}: holds etag {info.etag}, the event says {upload.etag}; it was overwritten since, "
                "and the event of what is there now will bring it"
            )
        content = content_id(upload.bucket, upload.key, upload.etag, info.last_modified)
        try:
            landed = parse_landing_key(upload.key, datasets, arrived=info.last_modified)
            contract = contract_of(ports, landed.dataset)
            source, checked = _read(sql, local, landed, contract)
            report = _accepted(ports, sql, landed, contract, info, content, source, checked)
        except BadInputError as error:
            report = _rejected(ports, local, upload.key, info, content, str(error), datasets)
    finally:
        sql.close()
    _tell(ports, report)
    return report


def _erased(ports: Ports, upload: Upload) -> dict[str, Any]:
    """The outcome for an event that comes again after its object was erased: nothing is left to do.

    Raises NotFoundError where no erasure removed it: a file that is gone otherwise is somebody's to look at.
    """
    try:
        ports.lake.head(removed_key(upload.key, upload.etag))
    except NotFoundError:
        raise NotFoundError(
            f"landing {upload.key}, version {upload.version_id}: is not there (or this function may not read it), and "
            "no erasure removed it; send the file again"
        ) from None
    return {"status": "erased", "key": upload.key, "rows_in": 0, "bronze": 0, "quarantine": 0}


def _tell(ports: Ports, report: dict[str, Any]) -> None:
    """Announce Bronze, also where it was there already: the first announcement may have been lost."""
    if report["bronze"]:
        ports.promote_queue.send(
            {
                "dataset": report["dataset"],
                "tenant_id": report["tenant_id"],
                "bronze_key": report["bronze_key"],
                "content_id": report["content_id"],
                "rows": report["bronze"],
            }
        )
    ports.metrics.count("RowsIn", report["rows_in"], dataset=report["dataset"])
    ports.metrics.count("RowsQuarantined", report["quarantine"], dataset=report["dataset"])
    ports.metrics.count("FilesRejected", int(report["status"] == "rejected"), dataset=report["dataset"])


def _read(sql: Sql, local: Path, landed: Landed, contract: Contract) -> tuple[Source, Checked]:
    """Read and check the file; what the engine reads must be what was counted without it.

    Plain text that the engine refuses or counts otherwise (very long lines, empty ones) is read with care.
    """
    if landed.suffix in JSON_FORMATS:
        source = json_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract)
    elif landed.suffix == ".parquet":
        source = parquet_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract)
        if checked is None:
            raise BadInputError(
                f"{landed.key}: file: its schema can be read, its rows cannot, expected a whole Parquet file; "
                "send it again"
            )
    else:
        source = csv_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract)
        if checked is None or not _agree(source, checked):
            source = csv_source(sql, local, landed, contract, careful=True)
            checked = _checked(sql, source, landed, contract)
    if checked is None or not _agree(source, checked):
        read = f"{checked.lines} lines, {checked.good} good + {checked.bad} bad rows" if checked else "refused to read"
        raise IncompleteRunError(
            f"{landed.key}: counted {source.lines} lines and {source.records} rows, the engine: {read}; "
            "nothing was written: a defect of the reader, keep the file"
        )
    return source, checked


def _agree(source: Source, checked: Checked) -> bool:
    return (checked.lines, checked.good + checked.bad) == (source.lines, source.records)


def _checked(sql: Sql, source: Source, landed: Landed, contract: Contract) -> Checked | None:
    """None where the engine refuses; its words may quote values, so they go no further."""
    try:
        return check_rows(sql, source, landed, contract)
    except SqlError:
        check_contract(sql, landed, contract)
        return None


def _accepted(
    ports: Ports,
    sql: Sql,
    landed: Landed,
    contract: Contract,
    info: ObjectInfo,
    content: str,
    source: Source,
    checked: Checked,
) -> dict[str, Any]:
    out = outputs(landed, content, contract.version, info.last_modified)
    origin = f"{text(landed.key)} as _source_key"
    arrival = f"{text(info.last_modified.isoformat())}::timestamptz as _ingested_at"
    if checked.bad:
        path = sql.scratch / "quarantine.parquet"
        _copy(sql, f"select line, raw, reasons, {origin}, {arrival} from ({checked.bad_rows})", path, checked.bad)
        ports.lake.upload_new(out.quarantine, path)
    if checked.good:
        path = sql.scratch / "bronze.parquet"
        columns = ", ".join(quote(column.name) for column in contract.columns)
        stamps = f"{origin}, _line, {arrival}, {text(content)} as _content_id"
        _copy(sql, f"select {columns}, {stamps} from ({checked.good_rows})", path, checked.good)
        ports.lake.upload_new(out.bronze, path)
    report = {
        "status": "accepted",
        "key": landed.key,
        "dataset": landed.dataset,
        "tenant_id": landed.tenant_id,
        "content_id": content,
        "contract_version": contract.version,
        "ingested_at": info.last_modified.isoformat(),
        "rows_in": source.records,
        "bronze": checked.good,
        "quarantine": checked.bad,
        "blank_lines": source.blank,
        "warnings": [*source.warnings, *checked.warnings],
        "reasons": checked.reasons,
        "bronze_key": out.bronze if checked.good else None,
        "quarantine_key": out.quarantine if checked.bad else None,
    }
    ports.lake.put_new(out.report, dumps(report))
    return {**report, "report_key": out.report}


def _copy(sql: Sql, query: str, path: Path, rows: int) -> None:
    sql.execute(f"copy ({query}) to {text(str(path))} (format parquet, compression zstd, compression_level 1)")
    [(written,)] = sql.rows(f"select count(*) from read_parquet({text(str(path))})")
    if written != rows:
        raise IncompleteRunError(f"{path.name}: {written} rows written, expected {rows}; nothing was put, a defect")


def _rejected(
    ports: Ports, local: Path, key: str, info: ObjectInfo, content: str, why: str, datasets: tuple[str, ...]
) -> dict[str, Any]:
    out = rejected_outputs(key, content, info.last_modified, datasets)
    ports.lake.upload_new(out.copy, local)
    report = {
        "status": "rejected",
        "key": key,
        "dataset": out.dataset,
        "tenant_id": out.tenant_id,
        "content_id": content,
        "ingested_at": info.last_modified.isoformat(),
        "why": why,
        "rows_in": 0,
        "bronze": 0,
        "quarantine": 0,
        "bronze_key": None,
        "quarantine_key": out.copy,
    }
    ports.lake.put_new(out.report, dumps(report))
    return {**report, "report_key": out.report}
