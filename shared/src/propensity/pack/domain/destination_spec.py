"""A destination of lists: the columns that an ad platform, a CRM or a person takes, as a pack's YAML says."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from propensity.kernel.spec import Frozen, Name

Channel = Literal["mail", "email", "phone", "ads"]
Normalise = Literal["trim", "lower", "email", "email_google", "phone_e164", "phone_digits", "postcode", "name"]
FORMATS = ("csv", "jsonl", "parquet")
SCORE_FIELDS = (
    "tenant_id",
    "customer_id",
    "model",
    "model_version",
    "as_of",
    "score",
    "percentile",
    "decile",
    "previous_score",
    "percentile_change",
    "reasons",
    "rule",
)
_SOURCE = re.compile(r"(?P<table>[a-z][a-z0-9_]*)\.(?P<column>[A-Za-z][A-Za-z0-9_]*)")


class DestinationColumn(Frozen):
    """One column of the files.

    `source` is `score.<field>`, or `<dataset>.<column>` of a state dataset with one current row per customer. A value
    that `normalise` cannot make into what the destination takes is empty. `hash` hashes the normalised value, as hex in
    lower case. `value` writes the same text in each row, in place of `source`.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    source: str | None = None
    value: str | None = None
    normalise: Normalise | None = None
    hash: Literal["sha256"] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DestinationColumn:
        if (self.source is None) == (self.value is None):
            raise ValueError("expected either source or value")
        if self.source is not None:
            found = _SOURCE.fullmatch(self.source)
            if found is None:
                raise ValueError(f"source {self.source!r}: expected score.<field> or <dataset>.<column>")
            if found["table"] == "score" and found["column"] not in SCORE_FIELDS:
                raise ValueError(f"source {self.source!r}: expected one of score.{', score.'.join(SCORE_FIELDS)}")
        return self

    @property
    def table(self) -> str | None:
        """The dataset that the column is read from; None for a field of the score, and for a fixed value."""
        dataset = self.source.split(".")[0] if self.source else None
        return None if dataset == "score" else dataset

    @property
    def column(self) -> str:
        """The column's name in its dataset, or the field of the score."""
        return (self.source or "").partition(".")[2]


class Destination(Frozen):
    """A destination of lists.

    `channel` is the channel that a customer must have agreed to; None for a list that stays in the house. A row needs a
    value in at least one of the columns `match_on`. `mode` delta sends additions and removals since the last list, in
    the column `operation`. `spreadsheet` writes CSV with a byte order mark, and keeps text from being a formula.
    """

    name: Name
    description: str
    channel: Channel | None
    columns: Annotated[tuple[DestinationColumn, ...], Field(min_length=1)]
    match_on: tuple[str, ...] = ()
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    mode: Literal["full", "delta"] = "full"
    operation: str = "operation"
    max_rows: int = Field(500_000, ge=1)
    spreadsheet: bool = False

    @model_validator(mode="after")
    def _names(self) -> Destination:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"columns: {', '.join(twice)} stands there more than once")
        unknown = [name for name in self.match_on if name not in names]
        if unknown:
            raise ValueError(f"match_on: no column {', '.join(unknown)}; the columns are {', '.join(names)}")
        if self.mode == "delta" and self.operation in names:
            raise ValueError(f"operation: {self.operation!r} is already a column")
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """The datasets that columns are read from, sorted."""
        return tuple(sorted({column.table for column in self.columns if column.table}))
