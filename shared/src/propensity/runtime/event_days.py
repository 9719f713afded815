"""The days in events. A day that has not begun is refused here, because use cases have no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from propensity.lake.domain.run_names import parse_day, refuse_future


def now() -> datetime:
    return datetime.now(UTC)


def day_in(event: Mapping[str, Any], field: str, *, at: datetime | None = None) -> str:
    """Return the day in a field of an event, as it stands there.

    `at` is the instant of the call, by default now. Raises BadInputError where the field is no day, or where the day
    has not begun (in UTC) at that instant.
    """
    value: str = event[field]
    refuse_future(parse_day(value, field), field, at=at or now())
    return value
