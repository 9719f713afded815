"""Weekly: rows that name something which is not there, flagged and counted."""

from __future__ import annotations

from typing import Any

from propensity.operations.check_references import check_references
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return check_references(composition.ports(), slot=event["slot"])
