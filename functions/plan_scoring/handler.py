"""Plans a scoring run: whom the run scores, and by which version."""

from __future__ import annotations

from typing import Any

from propensity.lake.domain.time_travel import SilverAt
from propensity.runtime import composition
from propensity.runtime.event_days import day_in
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.scoring.plan_scoring import ScoreAge, plan_scoring


@logged
@takes(model="<model>", as_of="2025-07-01", scope="batch")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return plan_scoring(
        composition.ports(),
        model=event["model"],
        as_of=day_in(event, "as_of"),
        scope=event["scope"],
        request=event.get("request"),
        silver=SilverAt.parse(event.get("input", event)),
        freshness=ScoreAge.parse(event.get("input", event)),
    )
