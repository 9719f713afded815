"""Makes a scoring run visible, and answers with its receipt."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.logging import logged
from propensity.scoring.commit_run import commit_run


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return commit_run(composition.ports(), run=event["run"])
