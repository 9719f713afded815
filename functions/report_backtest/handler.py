"""Puts a backtest's origins together, in the workflow backtest_model."""

from __future__ import annotations

from typing import Any

from propensity.backtest.report_backtest import report_backtest
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(model="<model>", backtest="<id that the POST answered>")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return report_backtest(composition.ports(), model=event["model"], backtest=event["backtest"])
