"""Names of runs and of what they write: all determined by model, as-of date and scope.

Layout below the lake bucket: `<run>/plan.json`, `<run>/items.json` (the Map's input), `<run>/items/0001.json`,
`<run>/results/<step>/0001.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from propensity.kernel.errors import BadInputError

Scope = Literal["batch", "gap"]


def training_run(model: str, as_of: date, request: str | None = None) -> str:
    """One per model and day; runs over another Silver than the newest are told apart by their request."""
    name = f"runs/train/{model}/{as_of.isoformat()}"
    return f"{name}-{request}" if request else name


def scoring_run(model: str, as_of: date, scope: Scope, version: int, request: str | None = None) -> str:
    """A batch is one per model, version and day; gap runs, and runs over another Silver, have a request besides."""
    name = f"runs/score/{model}/{as_of.isoformat()}-v{version:06d}-{scope}"
    return f"{name}-{request}" if request else name


def batch_day(run: str) -> date:
    """The as-of date in the name of a scoring run."""
    return date.fromisoformat(run.rpartition("/")[2][:10])


def parse_day(value: str, field: str) -> date:
    """A day given as YYYY-MM-DD, or as the day of an RFC 3339 instant in UTC."""
    try:
        return date.fromisoformat(value[:10])
    except ValueError as error:
        raise BadInputError(f"{field} is {value!r}, expected a day as YYYY-MM-DD") from error


def parse_scope(value: str) -> Scope:
    if value == "batch":
        return "batch"
    if value == "gap":
        return "gap"
    raise BadInputError(f"scope is {value!r}, expected batch or gap")


def execution_name(*parts: str) -> str:
    """A Step Functions name (at most 80 of letters, digits, - and _) for these parts."""
    name = "-".join(part.replace("/", "_") for part in parts)
    if len(name) <= 80:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[:67]}-{digest}"


def names_to_try(name: str, due: date, day: date) -> tuple[str, ...]:
    """An execution's name and, after the day it was due, one of the day besides: an ended execution keeps its name."""
    return (name,) if day == due else (name, execution_name(name, day.isoformat()))


def file_stem(run: str) -> str:
    """A short name for a run's files inside a table's folder: 16 hex digits of its hash."""
    return hashlib.sha256(run.encode()).hexdigest()[:16]


def item_key(run: str, index: int) -> str:
    return f"{run}/items/{index:04d}.json"


def result_key(run: str, step: str, index: int) -> str:
    return f"{run}/results/{step}/{index:04d}.json"


@dataclass(frozen=True, slots=True)
class BucketRows:
    bucket: int
    rows: int


def group_buckets(buckets: Sequence[BucketRows], rows_per_item: int) -> list[list[int]]:
    """Neighbouring buckets joined until an item would hold more rows than asked; each bucket in one group.

    A bucket larger than that stands alone: a customer's rows are never split.
    """
    groups: list[list[int]] = []
    held = 0
    for one in sorted(buckets, key=lambda bucket: bucket.bucket):
        if groups and held + one.rows <= rows_per_item:
            groups[-1].append(one.bucket)
            held += one.rows
        else:
            groups.append([one.bucket])
            held = one.rows
    return groups
