"""Registers the chosen candidate of a training run."""

from __future__ import annotations

from typing import Any

from propensity.release.register_model import register_model
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(run="runs/train/<model>/2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return register_model(composition.ports(), run=event["run"], at=event.get("at"))
