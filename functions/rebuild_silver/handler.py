"""Promotes Bronze files that Silver lacks: daily for the two weeks before the slot, by hand for all time."""

from __future__ import annotations

from typing import Any

from propensity.operations.rebuild_silver import rebuild_silver
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return rebuild_silver(composition.ports(), slot=event.get("slot"))
