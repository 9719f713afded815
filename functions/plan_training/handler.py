"""Plans a training run: which data the run sees."""

from __future__ import annotations

from typing import Any

from propensity.lake.domain.time_travel import SilverAt
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.training.plan_training import plan_training


@logged
@takes(model="<model>", as_of="2025-07-01")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    given = event.get("input", event)
    return plan_training(
        composition.ports(),
        model=event["model"],
        as_of=day_in(event, "as_of"),
        silver=SilverAt.parse(given),
        backtest=given.get("backtest"),
    )
