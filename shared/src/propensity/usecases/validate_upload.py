"""validate_upload: one landed file into Bronze, what is bad into quarantine, and a report of both.

Rows in = rows in Bronze + rows in quarantine, for every file, or the file is refused whole and kept. All names
are determined by the object's content, all times by the object, so doing it twice writes the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.domain.contract import Contract
from propensity.domain.errors import BadInputError, IncompleteRunError
from propensity.domain.landing import Landed, Outputs, content_id, outputs, parse_landing_key, rejected_outputs
from propensity.domain.views import quote, text
from propensity.ports import ObjectInfo, Ports, Sql
from propensity.usecases.checking import Checked, check_rows
from propensity.usecases.planning import contract_of, pack_info
from propensity.usecases.run_files import dumps
from propensity.usecases.sources import csv_source, parquet_source


@dataclass(frozen=True, slots=True)
class Upload:
    """What the event says of an object. `version_id` is the one to read: the key may hold another by now."""

    bucket: str
    key: str
    version_id: str | None
    etag: str


def validate_upload(ports: Ports, upload: Upload) -> dict[str, Any]:
    """Validate one object against its dataset's contract; the report that was written.

    A file that cannot be read is copied to quarantine/rejected and its report says why; that is an outcome,
    not an error. Raises for what a retry or an engineer must mend.
    """
    content = content_id(upload.bucket, upload.key, upload.etag)
    sql = ports.sql()
    try:
        local = sql.scratch / "upload"
        info = ports.landing.download(upload.key, local, upload.version_id)
        try:
            landed = parse_landing_key(upload.key, pack_info(ports).datasets)
            contract = contract_of(ports, landed.dataset)
            report = _validated(ports, sql, local, landed, contract, info, content)
        except BadInputError as error:
            report = _rejected(ports, local, upload.key, info, content, str(error))
    finally:
        sql.close()
    if report["bronze"]:
        ports.promote_queue.send(
            {name: report[name] for name in ("dataset", "tenant_id", "bronze_key", "content_id", "bronze")}
        )
    ports.metrics.count("RowsIn", report["rows_in"], dataset=report["dataset"])
    ports.metrics.count("RowsQuarantined", report["quarantine"], dataset=report["dataset"])
    ports.metrics.count("FilesRejected", int(report["status"] == "rejected"), dataset=report["dataset"])
    return report


def _validated(
    ports: Ports, sql: Sql, local: Path, landed: Landed, contract: Contract, info: ObjectInfo, content: str
) -> dict[str, Any]:
    out = outputs(landed, content, contract.version, info.last_modified)
    source = (
        parquet_source(sql, local, landed, contract)
        if landed.suffix == ".parquet"
        else csv_source(sql, local, landed, contract)
    )
    checked = check_rows(sql, source, landed, contract)
    if checked.good + checked.bad != source.records:
        raise IncompleteRunError(
            f"{landed.key}: {source.records} rows counted, {checked.good} good + {checked.bad} bad after reading; "
            "nothing was written, this is a defect of the reader"
        )
    _write(ports, sql, checked, landed, contract, info, content, out)
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
        "warnings": list(source.warnings),
        "reasons": checked.reasons,
        "bronze_key": out.bronze if checked.good else None,
        "quarantine_key": out.quarantine if checked.bad else None,
    }
    ports.lake.put_new(out.report, dumps(report))
    return {**report, "report_key": out.report}


def _write(
    ports: Ports,
    sql: Sql,
    checked: Checked,
    landed: Landed,
    contract: Contract,
    info: ObjectInfo,
    content: str,
    out: Outputs,
) -> None:
    stamp = (
        f"{text(landed.key)} as _source_key, line as _line, "
        f"{text(info.last_modified.isoformat())}::timestamptz as _ingested_at, {text(content)} as _content_id"
    )
    if checked.bad:
        path = sql.scratch / "quarantine.parquet"
        _copy(sql, f"select line, raw, reasons, {stamp} from ({checked.bad_rows}) order by line", path)
        ports.lake.upload_new(out.quarantine, path)
    if checked.good:
        path = sql.scratch / "bronze.parquet"
        columns = ", ".join(quote(column.name) for column in contract.columns)
        _copy(sql, f"select {columns}, {stamp} from ({checked.good_rows}) order by line", path)
        ports.lake.upload_new(out.bronze, path)


def _copy(sql: Sql, query: str, path: Path) -> None:
    sql.execute(f"copy ({query}) to {text(str(path))} (format parquet, compression zstd)")


def _rejected(ports: Ports, local: Path, key: str, info: ObjectInfo, content: str, why: str) -> dict[str, Any]:
    out = rejected_outputs(key, content, info.last_modified)
    ports.lake.upload_new(out.quarantine, local)
    parts = key.split("/")
    report = {
        "status": "rejected",
        "key": key,
        "dataset": parts[0] if parts[0] in pack_info(ports).datasets else "unknown",
        "content_id": content,
        "ingested_at": info.last_modified.isoformat(),
        "why": why,
        "rows_in": 0,
        "bronze": 0,
        "quarantine": 0,
        "quarantine_key": out.quarantine,
    }
    ports.lake.put_new(out.report, dumps(report))
    return {**report, "report_key": out.report}
