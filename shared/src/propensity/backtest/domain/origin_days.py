"""A request for a backtest, and the origins that it asks for: the days whose training and lists are repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from pydantic import Field

from propensity.kernel.errors import BadInputError
from propensity.kernel.spec import Frozen, parse_body
from propensity.lake.domain.run_names import FIRST_DAY
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import ModelSpec
from propensity.training.domain.schedule import months_before

MOST_ORIGINS = 12  # each is a training
_LONGEST_NAME = 40  # of a model in an id: an execution's name has 80 characters at most


class BacktestRequest(Frozen):
    """The body of a request for a backtest.

    `as_of` is the day up to which outcomes may be used, by default the day of the request. `origins` says how many
    lists are repeated. They lie so many months apart that their label windows share no day, or `every_months`.
    `definition` is the YAML of a model that is not deployed; without it the pack's is tried.
    """

    as_of: date | None = Field(None, ge=FIRST_DAY)
    origins: int = Field(3, ge=1, le=MOST_ORIGINS)
    every_months: int | None = Field(None, ge=1, le=12)
    definition: str | None = Field(None, min_length=1, max_length=100_000)


def parse_backtest(body: Mapping[str, Any]) -> BacktestRequest:
    """Parse a request. Raises BadInputError, which names the field and what is expected."""
    return parse_body(BacktestRequest, body)


def backtest_id(definition: Definition, request: BacktestRequest, key: str) -> str:
    """Return the id of a backtest. The same request of the same definition with the same key has the same id.

    The id has no dash: a model's executions are found by its name between two dashes (operations/executions.py).
    """
    meaning = json.dumps([key, request.model_dump(mode="json"), definition.files()], sort_keys=True)
    name = definition.model.name[:_LONGEST_NAME]
    return f"{name}_{hashlib.sha256(meaning.encode()).hexdigest()[:16]}"


def origins_of(spec: ModelSpec, request: BacktestRequest, as_of: date) -> tuple[date, ...]:
    """Return the origins, oldest first, on the day of the month of `as_of`.

    The label window of each has ended and settled by then. Raises BadInputError where an origin would lie before the
    first day that a run may have.
    """
    found: list[date] = []
    months = 0
    while len(found) < request.origins:
        day = months_before(as_of, months)
        fits = day + timedelta(days=spec.reach_days) <= as_of
        if fits and (not found or request.every_months is not None or disjoint(spec, day, found[-1])):
            found.append(day)
            months += request.every_months or 1
        else:
            months += 1
    if found[-1] < FIRST_DAY:
        raise BadInputError(f"as_of: {as_of} has no {request.origins} origins from {FIRST_DAY} on; ask for fewer")
    return tuple(reversed(found))


def disjoint(spec: ModelSpec, earlier: date, later: date) -> bool:
    """Whether the label windows of two origins share no day."""
    return spec.label_window(earlier).end <= spec.label_window(later).start


def without_overlap(spec: ModelSpec, origins: Sequence[date]) -> tuple[date, ...]:
    """Return the origins, oldest first, whose label windows share no day: the newest, and the next that fits before."""
    kept: list[date] = []
    for day in sorted(origins, reverse=True):
        if not kept or disjoint(spec, day, kept[-1]):
            kept.append(day)
    return tuple(reversed(kept))
