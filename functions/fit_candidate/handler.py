"""Fits one family of a training run."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.training.fit_candidate import fit_candidate


@logged
@takes(item="runs/train/<model>/2025-07-01/items/0001.json")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return fit_candidate(composition.ports(), item=event["item"])
