"""The files that were taken back. Silver keeps the rows of such a file, and no view shows the rows from then on."""

from __future__ import annotations

from propensity.kernel.spec import Frozen

RETRACTIONS = "retractions"


class Retraction(Frozen):
    """The retraction of a file.

    `at` is the RFC 3339 instant from which it is known that the file should not have come.
    """

    content_id: str
    dataset: str
    tenant_id: str
    by: str
    why: str
    at: str


def retraction_prefix(dataset: str) -> str:
    return f"{RETRACTIONS}/{dataset}/"


def retraction_key(dataset: str, content_id: str) -> str:
    return f"{retraction_prefix(dataset)}{content_id}.json"
