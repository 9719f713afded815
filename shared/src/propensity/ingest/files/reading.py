"""Reads a landed file and checks its rows by its contract, for a validation and for a trial that keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propensity.ingest.domain.budgets import MAX_SECONDS, over_budget
from propensity.ingest.domain.file_report import RowCounts
from propensity.ingest.domain.landing_keys import JSON_FORMATS, WORKBOOK, Landed
from propensity.ingest.files.checking import Checked, check_contract, check_rows
from propensity.ingest.files.json_lines import json_source
from propensity.ingest.files.sources import Source, csv_source, parquet_source, unreadable_rows
from propensity.ingest.files.workbooks import workbook_source
from propensity.kernel.errors import IncompleteRunError, OvertimeError, ResourceError, SqlError
from propensity.pack.domain.contract import Contract
from propensity.ports import Ports, Sql


@dataclass(frozen=True, slots=True)
class Read:
    """A file that was read, and its rows. Each row is good or bad, and stays in the SQL session."""

    source: Source
    checked: Checked

    def counts(self) -> RowCounts:
        return RowCounts(
            rows_in=self.source.records,
            bronze=self.checked.good,
            quarantine=self.checked.bad,
            blank_lines=self.source.blank,
            assumed=self.source.assumed,
            warnings=(*self.source.warnings, *self.checked.warnings),
            reasons=self.checked.reasons,
        )


def read_upload(
    ports: Ports,
    sql: Sql,
    local: Path,
    landed: Landed,
    contract: Contract,
    earlier: str | None = None,
    *,
    seconds: float = MAX_SECONDS,
) -> Read:
    """Read and check a file. The engine must find as many lines and rows as were counted without the engine.

    Plain text in which the engine fails or finds other numbers (very long lines, empty lines) is read a second time,
    carefully. `earlier` names the relation of the lines that a revalidation leaves as they are. `seconds` is the
    session's budget.
    Raises BadInputError for a file that is refused whole, IncompleteRunError where the two counts differ.
    """
    try:
        return _read(ports, sql, local, landed, contract, earlier)
    except OvertimeError:
        raise over_budget(f"{landed.key}: file", "seconds", f"takes more than {seconds} seconds", seconds) from None
    except ResourceError:
        raise over_budget(f"{landed.key}: file", "memory", "takes more memory or disk than there is") from None


def _read(ports: Ports, sql: Sql, local: Path, landed: Landed, contract: Contract, earlier: str | None) -> Read:
    if landed.suffix in JSON_FORMATS:
        source = json_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract, earlier)
    elif landed.suffix == WORKBOOK:
        source = workbook_source(ports.workbooks, sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract, earlier)
    elif landed.suffix == ".parquet":
        source = parquet_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract, earlier)
        if checked is None:
            raise unreadable_rows(landed.key)
    else:
        source = csv_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract, earlier)
        if checked is None or not _agree(source, checked):
            source = csv_source(sql, local, landed, contract, careful=True)
            checked = _checked(sql, source, landed, contract, earlier)
    if checked is None or not _agree(source, checked):
        read = f"{checked.lines} lines, {checked.good} good + {checked.bad} bad rows" if checked else "refused to read"
        raise IncompleteRunError(
            f"{landed.key}: counted {source.lines} lines and {source.records} rows, the engine: {read}; "
            "nothing was written: a defect of the reader, keep the file"
        )
    return Read(source, checked)


def _agree(source: Source, checked: Checked) -> bool:
    return (checked.lines, checked.good + checked.bad) == (source.lines, source.records)


def _checked(sql: Sql, source: Source, landed: Landed, contract: Contract, earlier: str | None) -> Checked | None:
    """The checked rows. The result is None where the engine fails.

    The engine's message may quote values, so nobody gets to see the message.
    """
    try:
        return check_rows(sql, source, landed, source.contract or contract, earlier=earlier)
    except SqlError:
        check_contract(sql, landed, contract)
        return None
