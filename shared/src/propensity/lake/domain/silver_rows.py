"""The rows of Silver: the columns that promotion adds to a Bronze row, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from propensity.kernel.errors import ContractError
from propensity.kernel.sql_text import quote
from propensity.lake.domain.buckets import bucket_of
from propensity.pack.domain.contract import Contract

PARTITION = ("bucket",)


@dataclass(frozen=True, slots=True)
class BucketRule:
    """The rule by which a pack spreads rows over the lake: by tenant, or by entity where there is one tenant."""

    partition_key: Literal["tenant", "entity"]
    count: int


def silver_rows(contract: Contract, source: str, rule: BucketRule) -> str:
    """SELECT of Silver rows from Bronze rows with tenant_id, and with _known_from: when a row was healed, else NULL.

    The SELECT adds _key (the primary key as text), _row_hash (md5 of all values), _known_at, _event_time or
    _valid_from, _healed_at (NULL for a row that was never in quarantine), and bucket. A column that an old Bronze file
    does not have yet is NULL.
    """
    columns = [column for column in contract.columns if column.name != "tenant_id"]
    key = _joined(contract.primary_key)
    values = _joined([column.name for column in columns])
    time = "_event_time" if contract.kind == "event" else "_valid_from"
    moment = contract.event_time if contract.kind == "event" else contract.valid_from
    return f"""
        select tenant_id, {", ".join(quote(column.name) for column in columns)},
            {key} as _key, md5({values}) as _row_hash, {_known_at(contract)} as _known_at,
            {quote(_need(moment, contract, time))}::timestamptz as {time},
            _content_id, _source_key, _line, _ingested_at, _known_from as _healed_at,
            {bucket_of(_partition_key(contract, rule, key), rule.count)} as bucket
        from {source}"""


def bucket_of_silver(contract: Contract, rule: BucketRule) -> str:
    """SQL over rows of Silver that gives the bucket that a row belongs to by this rule."""
    return bucket_of(_partition_key(contract, rule, "_key"), rule.count)


def _joined(columns: Sequence[str]) -> str:
    # the unit separator stands between values, the record separator stands for NULL; no value has either separator
    values = ", ".join(f"coalesce({quote(column)}::varchar, chr(30))" for column in columns)
    return f"concat_ws(chr(31), {values})"


def _known_at(contract: Contract) -> str:
    known = contract.known_at
    if known.column:
        return f"{quote(known.column)}::timestamptz"
    if known.lag_days is not None:
        moment = contract.event_time if contract.kind == "event" else contract.valid_from
        return f"({quote(_need(moment, contract, 'eventTime'))}::timestamptz + interval {int(known.lag_days)} days)"
    # a healed row was not known before it was healed, because it was in quarantine
    return "coalesce(_known_from, _ingested_at)"


def _partition_key(contract: Contract, rule: BucketRule, key: str) -> str:
    if rule.partition_key == "tenant":
        return "tenant_id"
    column = _need(contract.partition_key, contract, "partitionKey")
    # rows without a customer (a guest's purchase) are spread by their own key, because otherwise they would fill one
    # bucket
    return f"coalesce({quote(column)}::varchar, {key})"


def _need(column: str | None, contract: Contract, field: str) -> str:
    if column is None:
        raise ContractError(f"contract {contract.dataset}: custom property {field} is missing; this pack needs it")
    return column
