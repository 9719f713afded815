"""Checks of a contract that are made wherever the pack is loaded, and that the contract's parser does not make.

Versions that the lake has taken already are read without these checks, so that old rows stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from propensity.pack.domain.contract import Column, Contract
from propensity.pack.domain.definition import PackInfo, normalise_sql

Fault = tuple[str | None, tuple[str, ...], str, str]
_OUTCOME = re.compile(r'(?<![\w"])"?outcome"?\s*\.', re.IGNORECASE)


def contract_faults(contract: Contract, info: PackInfo | None) -> Iterator[Fault]:
    """Each fault as (column or None, the words that its line holds, what is wrong, remedy)."""
    for column in contract.columns:
        yield from _bounds(column)
        if column.min_length is not None and column.max_length is not None and column.min_length > column.max_length:
            said = f"{column.name}: minLength {column.min_length} is above maxLength {column.max_length}"
            yield column.name, ("minLength",), f"{said}, so no value can pass", "swap or correct them"
        twice = sorted({value for value in column.allowed if column.allowed.count(value) > 1})
        if twice:
            yield column.name, (twice[0],), f"{column.name}: allowed value {twice[0]!r} stands twice", "remove one"
    for expected in contract.expectations:
        if expected.minimum is not None and expected.maximum is not None and expected.minimum > expected.maximum:
            said = f"{expected.measure}: minimum {expected.minimum:g} is above maximum {expected.maximum:g}"
            yield expected.column, ("mustBeBetween", "mustBeGreaterOrEqualTo"), said, "swap the two numbers"
    lag = contract.known_at.lag_days
    if lag is not None and (lag < 0 or isinstance(lag, bool)):
        said = f"knownAt: lagDays is {lag}, which would date rows back to before they happened; expected 0 or more"
        yield None, ("lagDays",), said, "give the days after which a row is known"
    if info and info.partition_key == "entity":
        names = {column.name for column in contract.columns}
        if contract.partition_key is None:
            said = (
                "custom property partitionKey is missing; with partition_key entity in pack.yaml rows are spread by it"
            )
            yield (
                None,
                ("customProperties",),
                said,
                f"add partitionKey with the column of the customer, like {info.entity}",
            )
        elif contract.partition_key != info.entity and info.entity in names:
            said = f"custom property partitionKey is {contract.partition_key!r}, but the customer is {info.entity!r}"
            yield None, ("partitionKey",), f"{said}; a customer's rows would be spread", f"name {info.entity}"


def _bounds(column: Column) -> Iterator[Fault]:
    lows = {"minimum": column.minimum, "exclusiveMinimum": column.exclusive_minimum}
    highs = {"maximum": column.maximum, "exclusiveMaximum": column.exclusive_maximum}
    for low, least in lows.items():
        for high, most in highs.items():
            if least is None or most is None:
                continue
            empty = low != "minimum" or high != "maximum"
            above = str(least) > str(most) if isinstance(least, str) or isinstance(most, str) else least > most
            if above or (empty and least == most):
                said = (
                    f"{column.name}: {low} {least} is above {high} {most}"
                    if above
                    else (f"{column.name}: {low} {least} and {high} {most} leave no value")
                )
                yield column.name, (low,), f"{said}; expected {low} below {high}", "swap or correct them"


def reads_outcomes(target: str) -> bool:
    """Whether a target's SQL names a table of the schema `outcome`, which holds the events of the label window."""
    return bool(_OUTCOME.search(normalise_sql(re.sub(r"'(?:[^']|'')*'", "''", target))))
