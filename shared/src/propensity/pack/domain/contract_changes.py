"""The changes between two versions of a contract, and which of these changes Silver cannot bear.

Silver keeps every row for good, in one table per dataset. A later version may add columns, which are empty in earlier
rows, and may change its rules. A later version may not change what earlier rows mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from propensity.pack.domain.contract import Column, Contract

# these fields place a row: with another value, earlier rows would have other keys, times or buckets
_PLACING = (
    "kind",
    "primary_key",
    "event_time",
    "valid_from",
    "known_at",
    "version_column",
    "partition_key",
    "occurrence",
)


def changes(old: Contract, new: Contract) -> list[str]:
    """Every difference of two contracts, as `<what>: <before> -> <after>`. Equal contracts have no difference."""
    found = [
        f"{field.name}: {getattr(old, field.name)} -> {getattr(new, field.name)}"
        for field in fields(Contract)
        if field.name not in ("columns", "version") and getattr(old, field.name) != getattr(new, field.name)
    ]
    before, after = _by_name(old), _by_name(new)
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            found.append(f"column {name}: removed")
        elif name not in before:
            found.append(f"column {name}: added")
        else:
            found += _of_column(before[name], after[name], [field.name for field in fields(Column)])
    return found


def breaking_changes(old: Contract, new: Contract) -> list[str]:
    """The differences that do not fit the rows already in Silver, some with what to do instead."""
    found = [
        f"{name}: {getattr(old, name)} -> {getattr(new, name)}"
        for name in _PLACING
        if getattr(old, name) != getattr(new, name)
    ]
    before, after = _by_name(old), _by_name(new)
    placing = {*new.primary_key, new.partition_key}
    for name, column in before.items():
        if name not in after:
            found.append(f"column {name}: removed; keep it, with optional: true where files stop bringing it")
            continue
        fixed = ["logical_type", "logic"]
        if name in placing:
            fixed += ["normalise", "calling_code"]
        found += _of_column(column, after[name], fixed)
    for name, column in after.items():
        if name not in before and column.required:
            found.append(f"column {name}: added as required, which earlier rows do not have; add it without required")
    return found


def _by_name(contract: Contract) -> dict[str, Column]:
    return {column.name: column for column in contract.columns}


def _of_column(old: Column, new: Column, names: list[str]) -> Iterator[str]:
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"column {old.name}: {name} {before!r} -> {after!r}"
