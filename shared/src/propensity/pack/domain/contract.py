"""A data contract as values, as the rest of the package uses it. `contract_parser` reads a contract from ODCS YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from propensity.pack.domain.quality import Expectation, Reference, RowRule, Severity

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
Normalisation = Literal["upper", "lower", "integer_text", "phone"]
RULES = (
    "required",
    "type",
    "minimum",
    "maximum",
    "exclusive_minimum",
    "exclusive_maximum",
    "min_length",
    "max_length",
    "pattern",
    "vin",
    "email",
    "allowed_values",
    "unique",
)
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-1", "iso-8859-15")
DELIMITERS = (",", ";", "\t", "|")


class KnownAt(BaseModel):
    """The source of a row's known_at: a column, the row's own time and `lag_days`, or the row's arrival (both None)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    column: str | None = None
    lag_days: int | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A column that numbers equal rows of a file, so that genuine repeats get keys of their own.

    Rows with equal values in the columns `within` are numbered 1…k.
    """

    column: str
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextForm:
    """The form of a dataset's CSV files and workbooks. A contract that says nothing means UTF-8, commas and a header.

    A file whose header shows another delimiter is read by that one. Where `decimal` is None and `date_formats` are
    empty, the file shows them, or decimal points and ISO 8601 are meant. Without a `header` a file has the contract's
    columns in their order. `sheet` names the sheet of a workbook; without it the first one is read.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str | None = None
    date_formats: tuple[str, ...] = ()
    header: bool = True
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset. Bounds are as the contract writes them: numbers, or ISO text for dates.

    `formats` are strptime formats; an empty list means ISO 8601. Two-digit years are read as the hundred
    years from `years_from` on. `logic` is SQL over the other columns that computes
    the column; no file brings such a column. `severities` names the rules whose severity is not reject_row, and gives
    their severity. `protected` says that models are judged by each value of the column.
    """

    name: str
    logical_type: str
    required: bool = False
    unique: bool = False
    optional: bool = False
    classification: str | None = None
    protected: bool = False
    source_names: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ()
    normalise: tuple[Normalisation, ...] = ()
    formats: tuple[str, ...] = ()
    minimum: float | str | None = None
    maximum: float | str | None = None
    exclusive_minimum: float | str | None = None
    exclusive_maximum: float | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    vin: bool = False
    email: bool = False
    calling_code: str | None = None
    years_from: int | None = None
    decimal: str = "."
    logic: str | None = None
    severities: tuple[tuple[str, Severity], ...] = ()

    def severity(self, rule: str) -> Severity:
        return dict(self.severities).get(rule, "reject_row")

    @property
    def duckdb_type(self) -> str:
        return DUCKDB_TYPES[self.logical_type]

    @property
    def headers(self) -> tuple[str, ...]:
        """The names under which a file may bring this column."""
        return (self.name, *self.source_names)


@dataclass(frozen=True, slots=True)
class Contract:
    dataset: str
    version: str
    kind: Literal["event", "state"]
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    event_time: str | None
    valid_from: str | None
    known_at: KnownAt
    version_column: str | None
    partition_key: str | None
    occurrence: Occurrence | None
    text: TextForm = TextForm()
    row_rules: tuple[RowRule, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def checked_columns(self) -> tuple[Column, ...]:
        """The columns that rules check: all columns but the one that numbers equal rows (`Occurrence`)."""
        numbered = self.occurrence.column if self.occurrence else None
        return tuple(column for column in self.columns if column.name != numbered)

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """The columns that a file brings."""
        return tuple(column for column in self.checked_columns if column.logic is None)

    @property
    def derived_columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.checked_columns if column.logic is not None)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)
