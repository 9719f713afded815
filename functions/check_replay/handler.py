"""Compares a replay with the version that it replays."""

from __future__ import annotations

from typing import Any

from propensity.release.check_replay import check_replay
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(run="runs/train/<model>/2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return check_replay(composition.ports(), run=event["run"])
