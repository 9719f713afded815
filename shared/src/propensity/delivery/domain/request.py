"""A request for a list: which customers, for which destination, and how many of them are held back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from propensity.kernel.errors import BadInputError
from propensity.kernel.spec import Frozen, Name, parse_body
from propensity.pack.domain.list_rules import MOST_BAND

EXPORT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MOST_HOLDOUT = 0.5


def _meaning(spec: Frozen, later: Collection[str]) -> dict[str, Any]:
    """The fields of a request. Those that a later release added count only where they are used."""
    fields = spec.model_dump(mode="json")
    return {name: value for name, value in fields.items() if value is not None or name not in later}


class ListFilter(Frozen):
    """Which customers of the ranked population a list may take.

    `deciles` takes the customers of these deciles, 10 the likeliest. `top` takes so many of the likeliest customers,
    those held back among them. `capacity` takes so many that are contacted, and whoever is held back comes on top. Of
    `top` and `capacity` at most one can be given. `moved` takes the movers: customers who rose or fell among the
    tenant's by at least `by` percentiles since the batch before, by default 1. Without a filter a list takes everybody.
    """

    deciles: Annotated[tuple[Annotated[int, Field(ge=1, le=10)], ...], Field(min_length=1)] | None = None
    top: int | None = Field(None, ge=1)
    capacity: int | None = Field(None, ge=1)
    moved: Literal["up", "down"] | None = None
    by: int | None = Field(None, ge=1, le=99)

    @model_validator(mode="after")
    def _one_limit(self) -> ListFilter:
        if self.top is not None and self.capacity is not None:
            raise ValueError("top and capacity exclude each other: top counts those held back, capacity does not")
        return self

    @model_validator(mode="after")
    def _by_of_a_move(self) -> ListFilter:
        if self.by is not None and self.moved is None:
            raise ValueError("by is the least change in percentile; expected moved: up or down beside it")
        return self

    @property
    def limit(self) -> int | None:
        """How many customers a list takes at most; None for a list without such a limit."""
        return self.capacity if self.top is None else self.top

    @property
    def cuts(self) -> bool:
        """Whether the list ends somewhere in the ranking."""
        return self.deciles is not None or self.limit is not None

    def edge(self, band: int) -> tuple[int, ...]:
        """The percentiles (1 to 100) that lie at most `band` points from an edge of the chosen deciles, ascending."""
        if self.deciles is None:
            return ()
        taken = [(percentile - 1) // 10 + 1 in self.deciles for percentile in range(1, 101)]
        return tuple(
            percentile
            for percentile in range(1, 101)
            if len({*taken[max(0, percentile - 1 - band) : percentile + band]}) > 1
        )


class ExportRequest(Frozen):
    """The body of a request for a list.

    `holdout` is the share of households that is never contacted for this model, for proof of what the lists bring.
    `household` says whether the best member of a household is contacted, or each. `not_within_days` leaves out who was
    on a list of this model in so many days. `review_band` is the band of rules.yaml for this list: customers at most so
    many points of the ranking from the cut wait for a person's decision, and 0 is no band. `reset` sends a whole list
    where the destination takes additions and removals. `as_of` is the day whose population and scores a list takes, by
    default the day of the request; consents and suppressions are always those of the request's day. Scores that are
    more than `fresh_days` older than `as_of` are made again before the list is made; without it any score since the
    last batch is taken.
    """

    model: Name
    destination: Name
    filter: ListFilter = ListFilter()
    holdout: float = Field(0.1, ge=0, le=MOST_HOLDOUT)
    household: Literal["best", "each"] = "best"
    not_within_days: int | None = Field(None, ge=1, le=730)
    fresh_days: int | None = Field(None, ge=0, le=730)
    review_band: int | None = Field(None, ge=0, le=MOST_BAND)
    format: Literal["csv", "jsonl", "parquet"] | None = None
    reset: bool = False
    as_of: date | None = None

    @property
    def meaning(self) -> dict[str, Any]:
        """The fields that name a request."""
        return {**_meaning(self, ("fresh_days", "review_band")), "filter": _meaning(self.filter, ("moved", "by"))}


def parse_request(
    body: Mapping[str, Any], models: Sequence[str], destinations: Sequence[str], *, today: date
) -> ExportRequest:
    """Parse a request. Raises BadInputError, which names the field and what is expected."""
    request = parse_body(ExportRequest, body)
    for field, value, known in (
        ("model", request.model, models),
        ("destination", request.destination, destinations),
    ):
        if value not in known:
            raise BadInputError(f"{field}: {value!r}, expected one of {', '.join(known) or 'none: the pack has none'}")
    if request.review_band and not request.filter.cuts:
        raise BadInputError(
            f"review_band: {request.review_band}, but this list takes everybody and has no cut; expected a filter of "
            "deciles, top or capacity beside it"
        )
    if request.as_of is not None and request.as_of > today:
        raise BadInputError(f"as_of: {request.as_of} is to come; expected {today} or earlier")
    return request


def export_id(tenant: str, request: ExportRequest, key: str) -> str:
    """Return the id of a request's list. The same request with the same idempotency key has the same id."""
    meaning = json.dumps([tenant, key, request.meaning], sort_keys=True)
    return f"{request.model.replace('_', '-')}-{hashlib.sha256(meaning.encode()).hexdigest()[:16]}"


def recall_id(tenant: str, export: str, key: str) -> str:
    """Return the id of a list's recall. The same recall with the same idempotency key has the same id."""
    meaning = json.dumps([tenant, export, key])
    return f"recall-{hashlib.sha256(meaning.encode()).hexdigest()[:16]}"


def household_share(tenant: str, model: str, household: str) -> str:
    """Return SQL of the number in [0, 1) that decides whether a household is held back. All three are SQL expressions.

    The number depends on nothing but the three names. It therefore stays over the months, and a household that is held
    back at one share is held back at every greater share.
    """
    named = f"concat_ws(chr(31), 'holdout', {model}, {tenant}, {household})"
    return f"(('0x' || substr(sha256({named}), 1, 13))::ubigint / {2**52}::double)"
