"""register_model: the chosen candidate of a training run becomes a version, and the champion where its gates pass."""

from __future__ import annotations

from typing import Any

from propensity.domain.registry import CHAMPION
from propensity.ports import Ports
from propensity.usecases.registry import move_alias, moves, register
from propensity.usecases.run_files import dumps, read_json

BY = "register_model"


def register_model(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write the version folder; promote it where every gate passed, else leave it without an alias.

    A version that was trained on another Silver than the newest is there to be looked at: it is not promoted.

    The evaluation names the chosen candidate's files. A second call for the run finds its version.
    """
    store = ports.lake
    plan, evaluation = read_json(store, f"{run}/plan.json"), read_json(store, f"{run}/evaluation.json")
    files = {name: store.get(key) for name, key in evaluation["files"].items()}
    files["metrics.json"] = dumps(evaluation["metrics"])
    files["gates.json"] = dumps(evaluation["gates"])
    definition = f"{run}/definition/"
    files |= {f"definition/{key.removeprefix(definition)}": store.get(key) for key in store.keys(definition)}
    lineage = {
        "run": run,
        "model": plan["model"],
        "as_of": plan["as_of"],
        "dates": plan["dates"],
        "family": evaluation["family"],
        "parameters": evaluation["parameters"],
        "feature_set": plan["feature_set"],
        "silver": plan["silver"],
        "retracted": plan.get("retracted", {}),
        "silver_at": plan.get("silver_at"),
        "packages": evaluation["packages"],
    }
    version = register(store, plan["model"], files, lineage)
    failed = [gate["name"] for gate in evaluation["gates"] if not gate["passed"]]
    # a replay must not take back what was decided since: each version is promoted by its run once
    promoted = any(move.version == version.number and move.by == BY for move in moves(store, plan["model"]))
    champion = not failed and plan.get("silver_at") is None
    if champion and not promoted:
        move_alias(
            store,
            plan["model"],
            CHAMPION,
            version.number,
            by=BY,
            why="all gates passed",
            at=plan["as_of"],
        )
    ports.metrics.count("ModelRegistered", model=plan["model"], promoted=str(champion).lower())
    return {
        "run": run,
        "model": plan["model"],
        "version": version.number,
        "as_of": plan["as_of"],
        "promoted": champion,
        "failed_gates": failed,
    }
