"""Computes the cut points of a scoring run."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.logging import logged
from propensity.scoring.rank_run import rank_run


@logged
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return rank_run(composition.ports(), run=event["run"])
