"""A landed file read and checked, by the rules of its contract: what validation keeps, and what a trial only tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.ingest.domain.landing_keys import JSON_FORMATS, Landed
from propensity.ingest.files.checking import Checked, check_contract, check_rows
from propensity.ingest.files.json_lines import json_source
from propensity.ingest.files.sources import Source, csv_source, parquet_source
from propensity.kernel.errors import BadInputError, IncompleteRunError, SqlError
from propensity.pack.domain.contract import Contract
from propensity.ports import Sql


@dataclass(frozen=True, slots=True)
class Read:
    """A file whose every row is good or bad; its rows wait in the session."""

    source: Source
    checked: Checked

    def told(self) -> dict[str, Any]:
        """What a report says of the rows: `bronze` good ones, `quarantine` bad ones, and why."""
        return {
            "rows_in": self.source.records,
            "bronze": self.checked.good,
            "quarantine": self.checked.bad,
            "blank_lines": self.source.blank,
            "warnings": [*self.source.warnings, *self.checked.warnings],
            "reasons": self.checked.reasons,
        }


def read_upload(sql: Sql, local: Path, landed: Landed, contract: Contract, earlier: str | None = None) -> Read:
    """Read and check the file; what the engine reads must be what was counted without it.

    Plain text that the engine refuses or counts otherwise (very long lines, empty ones) is read with care. `earlier`:
    the relation of the lines that a replay leaves as they are. Raises BadInputError for a file that is refused whole.
    """
    if landed.suffix in JSON_FORMATS:
        source = json_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract, earlier)
    elif landed.suffix == ".parquet":
        source = parquet_source(sql, local, landed, contract)
        checked = _checked(sql, source, landed, contract, earlier)
        if checked is None:
            raise BadInputError(
                f"{landed.key}: file: its schema can be read, its rows cannot, expected a whole Parquet file; "
                "send it again"
            )
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
    """None where the engine refuses; its words may quote values, so they go no further."""
    try:
        return check_rows(sql, source, landed, contract, earlier=earlier)
    except SqlError:
        check_contract(sql, landed, contract)
        return None
