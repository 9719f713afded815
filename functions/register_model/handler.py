"""Registers the chosen candidate of a training run."""

from __future__ import annotations

from typing import Any

from propensity.release.register_model import register_model
from propensity.runtime import composition
from propensity.runtime.logging import logged


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return register_model(composition.ports(), run=event["run"], at=event.get("at"))
