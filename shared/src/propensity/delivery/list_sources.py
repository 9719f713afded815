"""What a list is made from, and the columns of the Gold tables that lists write and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from propensity.delivery.domain.request import ExportRequest
from propensity.kernel.sql_text import midnight, text
from propensity.lake.domain.as_of_views import SilverShape
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.destination_spec import Destination
from propensity.pack.domain.list_rules import ListRule, ReviewPolicy
from propensity.ports import Snapshot

# The columns of gold/exports, with their types. A row of the list's own files is told from these.
MEMBERSHIP = (
    ("tenant_id", "varchar"),
    ("customer_id", "varchar"),
    ("household_id", "varchar"),
    ("model", "varchar"),
    ("model_version", "integer"),
    ("export", "varchar"),
    ("destination", "varchar"),
    ("channel", "varchar"),
    ("exported_at", "timestamptz"),
    ("as_of", "date"),
    ("score", "double"),
    ("percentile", "integer"),
    ("decile", "integer"),
    ("arm", "varchar"),
    ("why", "varchar"),
    ("holdout", "double"),
    ("sent", "varchar"),
)
# The columns of gold/review: what a person is asked, and, with a decision, what they answered.
REVIEW = (
    ("tenant_id", "varchar"),
    ("customer_id", "varchar"),
    ("model", "varchar"),
    ("model_version", "integer"),
    ("export", "varchar"),
    ("destination", "varchar"),
    ("told_at", "timestamptz"),
    ("as_of", "date"),
    ("score", "double"),
    ("percentile", "integer"),
    ("decile", "integer"),
    ("why", "varchar"),
    ("decision", "varchar"),
    ("reason", "varchar"),
    ("decided_by", "varchar"),
)
# The columns of gold/recalls: who was on a list and should not have been.
RECALL = (
    ("tenant_id", "varchar"),
    ("customer_id", "varchar"),
    ("model", "varchar"),
    ("export", "varchar"),
    ("recall", "varchar"),
    ("destination", "varchar"),
    ("recalled_at", "timestamptz"),
    ("recalled_by", "varchar"),
    ("reason", "varchar"),
    ("arm", "varchar"),
    ("why", "varchar"),
)


def sends_changes(destination: Destination, request: ExportRequest) -> bool:
    """Whether the files of a list have additions and removals, and not the whole list."""
    return destination.mode == "delta" and not request.reset


@dataclass(frozen=True, slots=True)
class ListSources:
    """What a list is made from: the pinned tables, the contracts of the pack, the rules and the destination.

    `day` is the day of population, scores and rules. `today` is the day of consents, suppressions and addresses.
    `recalled` is the list whose customers a recall looks at; None for a list of the population.
    """

    request: ExportRequest
    tenant: str
    day: date
    today: date
    version: int
    entity: str
    contracts: Mapping[str, Contract]
    rules: tuple[ListRule, ...]
    review: ReviewPolicy
    destination: Destination
    scores: Snapshot | None
    exports: Snapshot | None
    recalls: Snapshot | None
    reviews: Snapshot | None
    identities: int | None
    shapes: Mapping[str, SilverShape]
    recalled: str | None = None

    @property
    def delta(self) -> bool:
        """Whether the files have additions and removals, and not the whole list."""
        return sends_changes(self.destination, self.request)

    @property
    def keeps_sent(self) -> bool:
        """Whether the destination takes additions and removals, so that what was sent must be known later."""
        return self.destination.mode == "delta"

    @property
    def band(self) -> int:
        """How many points of the ranking from the cut customers wait for review."""
        return self.review.band if self.request.review_band is None else self.request.review_band

    @property
    def now(self) -> str:
        """SQL of the end of today, in naive UTC: everything that arrived by the pins counts."""
        return f"timestamp {text(str(midnight(self.today + timedelta(days=1))))}"
