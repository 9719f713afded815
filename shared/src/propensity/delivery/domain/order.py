"""A list that was asked for: who asked, what it is made from, and where its objects lie."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from propensity.delivery.domain.request import ExportRequest
from propensity.kernel.spec import Record

ROOT = "exports/lists"


class Recall(Record):
    """Which list is recalled, and why, in the words of whoever recalls it."""

    export: str
    why: str


class ExportOrder(Record):
    """The content of `request.json`: a request that was taken, who asked, and when.

    With `recall` the order is a recall, and `request` is that of the recalled list.
    """

    export: str
    tenant_id: str
    request: ExportRequest
    by: str
    at: str
    recall: Recall | None = None

    @property
    def today(self) -> date:
        return date.fromisoformat(self.at[:10])

    @property
    def day(self) -> date:
        """The day of population, scores and rules."""
        return self.request.as_of or self.today


class ExportPlan(Record):
    """The content of `plan.json`: what the list is made from. A second try reads the same."""

    version: int
    silver: Mapping[str, int]
    retracted: Mapping[str, list[list[str]]]
    tables: Mapping[str, int | None]


def export_folder(tenant: str, export: str) -> str:
    """The prefix of a list's objects."""
    return f"{ROOT}/tenant_id={tenant}/{export}"
