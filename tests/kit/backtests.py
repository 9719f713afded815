"""A backtest from the request to its report, as its two workflows run it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from propensity.backtest.judge_origin import judge_origin
from propensity.backtest.report_backtest import report_backtest
from propensity.backtest.request_backtest import request_backtest, show_backtest
from propensity.features.build_features import build_features
from propensity.training.plan_training import plan_training
from tests.kit.world import World


def ask(world: World, model: str, key: str = "k", **body: Any) -> dict[str, Any]:
    """Ask for a backtest of what Silver holds now; the answer."""
    now = datetime.now(UTC).isoformat()
    return request_backtest(world, model, body, key=key, by="arn:anna", at=now, request_id=key)


def train_origin(world: World, model: str, backtest: str, origin: str) -> dict[str, Any]:
    """What the workflow train_model does for an origin; what judge_origin answers."""
    plan = plan_training(world, model=model, as_of=origin, backtest=backtest)
    for item in world.items(plan["build_items"]):
        build_features(world, item=item)
    if "trained_version" not in plan:
        world.fit(plan)
    return judge_origin(world, run=plan["run"])


def backtested(world: World, model: str, key: str = "k", **body: Any) -> dict[str, Any]:
    """A whole backtest; its answer, ready."""
    asked = ask(world, model, key, **body)
    for origin in asked["origins"]:
        train_origin(world, model, asked["backtest"], origin)
    report_backtest(world, model=model, backtest=asked["backtest"])
    return show_backtest(world, model, asked["backtest"])
