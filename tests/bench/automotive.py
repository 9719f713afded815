"""Part of AREA=train: generated dealers, whose true probabilities are known, scored and matched with outcomes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from sklearn.metrics import roc_auc_score

from propensity.feedback.run_matchback import run_matchback
from tests.bench.measure import Claim
from tests.kit.world import World
from tests.stack import scenarios

RESAMPLES = 1_000


def claims(work: Path, runs: int) -> list[Claim]:
    """`runs` is not used: the customers are the sample."""
    scenario = scenarios.automotive(work / "files")
    world = World("automotive", work / "lake")
    world.load(scenario.history)
    receipts = {}
    for one in track(scenario.scored, "trained and scored"):
        world.train(one.model, one.as_of.isoformat())
        receipts[one.model] = world.score(one.model, one.as_of.isoformat())["run"]
    world.load([*scenario.gap, *scenario.outcomes])
    found = []
    for one in scenario.scored:
        run, day = receipts[one.model], one.known_by.isoformat()
        run_matchback(world, run=run, known_by=day)
        told = json.loads(world.lake.get(f"{run}/matchback-{day}.json"))["segments"]["all"]
        found += _claims(one.model, told, _gap(world, run, one.model, scenario.truth))
    return found


def _claims(model: str, matched: dict[str, Any], gap: tuple[float, float, float, int]) -> list[Claim]:
    """The claims, each with its 95 % interval and n."""
    value, low, high, n = gap
    told = f"{low:+.4f} to {high:+.4f}, n = {n:,}"
    best = Claim.of(f"automotive, {model}: best possible AUC less ours", value, None, 0.02, 1, told)
    slope, skill = matched["calibration_slope"], matched["brier_skill"]
    slope_claim = Claim.of(
        f"automotive, {model}: calibration slope's distance from 1",
        abs(slope["value"] - 1),
        None,
        0.1,
        1,
        f"slope {slope['value']:.3f}, {slope['low']:.3f} to {slope['high']:.3f}, n = {slope['n']:,}",
    )
    skill_claim = Claim.of(
        f"automotive, {model}: Brier skill above 0",
        skill["value"],
        None,
        None,
        1,
        f"{skill['low']:.3f} to {skill['high']:.3f}, n = {skill['n']:,}",
    )
    # the one figure here of which more is better
    return [best, slope_claim, replace(skill_claim, bar=0.0, holds=skill["low"] > 0)]


def _gap(world: World, run: str, model: str, truth: Path | None) -> tuple[float, float, float, int]:
    """AUC of the true probabilities minus ours, on the same customers: value, 95 % interval (paired bootstrap), n."""
    rows = world.query(
        f"select s.score, t.probability, t.outcome from scores s join '{truth}' t using (tenant_id, customer_id) "
        f"where s.run = '{run}' and t.model = '{model}' order by tenant_id, customer_id",
        scores="gold/scores",
    )
    scores, best, outcomes = (np.array(column) for column in zip(*rows, strict=True))

    def gap(rows: Any) -> float:
        return float(roc_auc_score(outcomes[rows], best[rows]) - roc_auc_score(outcomes[rows], scores[rows]))

    chance = np.random.default_rng(7)
    drawn = [gap(chance.integers(0, len(scores), len(scores))) for _ in track(range(RESAMPLES), f"{model}: resampled")]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return gap(np.arange(len(scores))), float(low), float(high), len(scores)
