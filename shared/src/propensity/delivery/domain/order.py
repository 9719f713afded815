"""A list that was asked for: who asked, what it is made from, and where its objects lie."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from propensity.delivery.domain.request import ExportRequest
from propensity.kernel.spec import Record
from propensity.pack.domain.destination_spec import Destination

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
    """The content of `plan.json`: what the list is made from. A second try reads the same.

    `nth` numbers the lists of a tenant by a model, from 1, in the order in which they become part of gold/exports. Of
    two lists that were planned with one number only one becomes part of it. The other is planned anew: `number` is then
    the number of the plan. A plan of an earlier release has neither `nth` nor `destination`.
    """

    number: int = 1
    nth: int | None = None
    version: int
    silver: Mapping[str, int]
    retracted: Mapping[str, list[list[str]]]
    tables: Mapping[str, int | None]
    destination: Destination | None = None

    def named(self, name: str) -> str:
        """The name of an object of this plan: a file of a plan that came too late is never taken for one of the list.

        `plan.json` of the second plan is `plan-2.json`.
        """
        stem, _, ending = name.rpartition(".")
        return name if self.number == 1 else f"{stem}-{self.number}.{ending}"


def is_list_file(key: str) -> bool:
    """Whether an object is a file of a list, and none of the records beside it."""
    return key.startswith(f"{ROOT}/") and key.rpartition("/")[2].startswith(("part-", "recall-", "corrected-"))


def export_folder(tenant: str, export: str) -> str:
    """The prefix of a list's objects."""
    return f"{ROOT}/tenant_id={tenant}/{export}"
