"""Spreads the rows of Silver over another number of buckets. The function is invoked by hand."""

from __future__ import annotations

from typing import Any

from propensity.operations.rebucket_silver import rebucket_silver
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(buckets=16)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return rebucket_silver(composition.ports(), buckets=event["buckets"])
