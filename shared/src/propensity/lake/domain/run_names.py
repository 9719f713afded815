"""The names of runs and of the objects that runs write. Model, as-of date and scope determine every name.

The layout below the lake bucket is `<run>/plan.json`, `<run>/items.json` (the Map's input), `<run>/items/0001.json`,
`<run>/results/<step>/0001.json`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from propensity.kernel.errors import BadInputError

Scope = Literal["batch", "gap"]
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    _DAY.pattern + r"[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
)


def training_run(model: str, as_of: date, request: str | None = None) -> str:
    """The name of a training run. There is one run per model and day.

    A training over another Silver than the newest has a request in its name.
    """
    name = f"runs/train/{model}/{as_of.isoformat()}"
    return f"{name}-{request}" if request else name


def backtest_folder(model: str, backtest: str) -> str:
    """The folder of a backtest: its request, its definition and its report."""
    return f"runs/backtest/{model}/{backtest}"


def origin_run(model: str, backtest: str, origin: date) -> str:
    """The name of the training of an origin of a backtest.

    No model is called `backtest-of-…`, because names have no hyphen. So nothing that looks for a model's trainings
    finds this one, while it lies where trainings lie.
    """
    return f"runs/train/backtest-of-{model}/{backtest}-{origin.isoformat()}"


def judged_folder(run: str) -> str:
    """The folder, below an origin's training, of the customers whom the origin scores, with what they then did."""
    return f"{run}/judged"


def scoring_run(model: str, as_of: date, scope: Scope, version: int, request: str | None = None) -> str:
    """The name of a scoring run. A batch is one run per model, version and day.

    A gap run, and a run over another Silver than the newest, has a request in its name.
    """
    name = f"runs/score/{model}/{as_of.isoformat()}-v{version:06d}-{scope}"
    return f"{name}-{request}" if request else name


def batch_day(run: str) -> date:
    """The as-of date in the name of a scoring run."""
    return date.fromisoformat(run.rpartition("/")[2][:10])


def run_version(run: str) -> int:
    """The number of the version in the name of a scoring run."""
    return int(run.rpartition("/")[2][12:18])


def parse_day(value: object, field: str) -> date:
    """Parse a day given as YYYY-MM-DD, or as an RFC 3339 instant with its zone, whose day in UTC counts.

    Raises BadInputError, also for a day whose window would leave the calendar.
    """
    day = None
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            day = date.fromisoformat(value)
        elif isinstance(value, str) and _INSTANT.fullmatch(value):
            day = datetime.fromisoformat(value.upper()).astimezone(UTC).date()
    except (ValueError, OverflowError):
        pass  # the 30th of February, or an instant before the year 1 in UTC
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        given = repr(value[:40]) if isinstance(value, str) else f"of type {type(value).__name__}"
        raise BadInputError(
            f"{field} is {given}, expected a day as YYYY-MM-DD from {FIRST_DAY} to {LAST_DAY}, "
            "or an instant with its zone as YYYY-MM-DDTHH:MM:SSZ"
        )
    return day


def refuse_future(day: date, field: str, *, at: datetime) -> None:
    """Raise BadInputError for a day that has not begun, in UTC, at an instant: nobody knows its data yet."""
    today = at.astimezone(UTC).date()
    if day > today:
        raise BadInputError(
            f"{field} is {day}, which has not begun: today is {today} in UTC; give today or an earlier day"
        )


def parse_scope(value: str) -> Scope:
    if value == "batch":
        return "batch"
    if value == "gap":
        return "gap"
    raise BadInputError(f"scope is {value!r}, expected batch or gap")


def execution_name(*parts: str) -> str:
    """A Step Functions name made of these parts: at most 80 letters, digits, - and _."""
    name = "-".join(part.replace("/", "_") for part in parts)
    if len(name) <= 80:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[:67]}-{digest}"


def names_to_try(name: str, due: date, day: date) -> tuple[str, ...]:
    """The names that an execution may start under.

    On any day but the day on which the execution was due, there are two names. The first name is the execution's own,
    and the second one has the day besides. The second name is needed where an execution has ended, because an ended
    execution keeps its name.
    """
    return (name,) if day == due else (name, execution_name(name, day.isoformat()))


def file_stem(run: str) -> str:
    """A short name for a run's files inside a table's folder: 16 hex digits of the run's hash."""
    return hashlib.sha256(run.encode()).hexdigest()[:16]


def plan_key(run: str) -> str:
    return f"{run}/plan.json"


def item_key(run: str, index: int) -> str:
    return f"{run}/items/{index:04d}.json"


def result_key(run: str, step: str, index: int) -> str:
    return f"{run}/results/{step}/{index:04d}.json"


def scored_key(run: str, index: int) -> str:
    """The key of the scores of one work item of a scoring run, before its customers are ranked."""
    return f"{run}/scored/{index:04d}.parquet"


def earlier_key(run: str, index: int) -> str:
    """The key of what one work item's customers were in the earlier batch, row by row beside the item's features."""
    return f"{run}/earlier/{index:04d}.parquet"


def cuts_key(run: str) -> str:
    """The key of a scoring run's cut points. rank_run writes the cut points; label_shard and gap runs read them."""
    return f"{run}/cuts.json"


@dataclass(frozen=True, slots=True)
class BucketRows:
    bucket: int
    rows: int


def group_buckets(buckets: Sequence[BucketRows], rows_per_item: int) -> list[list[int]]:
    """Groups of neighbouring buckets, of at most `rows_per_item` rows each. Every bucket is in one group.

    A bucket with more than `rows_per_item` rows is a group by itself, because a customer's rows are never split.
    """
    groups: list[list[int]] = []
    rows = 0
    for bucket in sorted(buckets, key=lambda found: found.bucket):
        if groups and rows + bucket.rows <= rows_per_item:
            groups[-1].append(bucket.bucket)
            rows += bucket.rows
        else:
            groups.append([bucket.bucket])
            rows = bucket.rows
    return groups
