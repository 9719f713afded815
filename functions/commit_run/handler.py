"""Makes a scoring run visible, unless its figures say no, and answers with its receipt."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged
from propensity.scoring.commit_run import commit_run


@logged
@takes(run="runs/score/<model>/2025-07-01-v000001-batch")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return commit_run(
        composition.ports(),
        run=event["run"],
        force=event.get("input", event).get("force"),
        execution=event.get("execution"),
    )
