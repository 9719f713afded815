"""A tenant on its rung has one score in a batch, in a gap run and on demand; the row has rung and reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from propensity.lake.json_objects import dumps
from propensity.registry.artifact import load_artifact
from propensity.registry.domain.ledger import GateSummary
from propensity.registry.domain.ledger import model_standing as standing
from propensity.registry.versions import append_to_ledger as append_line
from propensity.registry.versions import load_champion, load_version, register
from propensity.release.domain.promotion import Request
from propensity.release.domain.promotion import registration_line as settle
from propensity.release.manage_registry import roll_back
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from propensity.stats.calibration import Calibration
from tests.kit.world import World
from tests.stack.automotive import AS_OF, GAP_DAY, Generated

SUB = "ladder/segment-01"
PLACES: list[dict[str, dict[str, Any]]] = [
    {"dealer_01": {"rung": "own", "model": SUB}, "dealer_02": {"rung": "intercept", "intercept": -1.5}},
    {"dealer_01": {"rung": "segment", "model": SUB}, "dealer_02": {"rung": "heuristic", "rate": 0.25}},
]


def with_ladder(trained: World, folder: Path, places: dict[str, dict[str, Any]]) -> World:
    """A world whose champion is version 1 with a ladder. Its models are the global one with another calibration."""
    world = trained.copy(folder)
    store, first = world.lake, load_version(trained.lake, "service", 1)
    names = [key.removeprefix(f"{first.folder}/") for key in store.keys(f"{first.folder}/")]
    files = {name: store.get(f"{first.folder}/{name}") for name in names if name != "lineage.json"}
    plain = {"model": None, "intercept": 0.0, "rate": None}
    files["ladder.json"] = dumps({"tenants": {name: {**plain, **one} for name, one in places.items()}})
    files |= {f"{SUB}/{name}": files[name] for name in ("model.onnx", "explanation.json")}
    files[f"{SUB}/calibration.json"] = dumps(Calibration("sigmoid", (0.0, 1.0), (1.0, 1.5), 100, 50).to_json())
    second = register(store, "service", files, {**first.lineage, "run": "runs/train/by-hand", "files": None})
    asked = Request(
        "service", second.number, by="register_model", why="test", at="2025-07-01", gates=GateSummary.of([])
    )
    append_line(store, "service", lambda known: settle(asked, "automatic", standing(known).champion, known))
    return world


@pytest.mark.parametrize("places", PLACES, ids=lambda places: "-".join(one["rung"] for one in places.values()))
def test_batch_gap_and_on_demand_agree_on_every_rung(
    trained: World, dealers: Generated, tmp_path: Path, places: dict[str, dict[str, Any]]
) -> None:
    world = with_ladder(trained, tmp_path, places)
    world.score("service", AS_OF.isoformat())
    world.load(dealers.phases["gap"])
    assert world.score("service", GAP_DAY.isoformat(), "gap")["new"] > 0
    said = world.query(
        "select tenant_id, rung, scope, count(*) from scores group by all order by all", scores="gold/scores"
    )
    assert {(tenant, rung) for tenant, rung, _, _ in said} == {(name, one["rung"]) for name, one in places.items()}
    assert {scope for _, _, scope, _ in said} == {"batch", "gap"}
    # one rate for all customers of a tenant makes no list
    unranked = world.query("select distinct rung, unranked_reason from scores order by all", scores="gold/scores")
    assert unranked == sorted(
        (one["rung"], "heuristic" if one["rung"] == "heuristic" else None) for one in places.values()
    )
    serving = load_serving(world, "service", 2)
    for tenant, place in places.items():
        rows = world.query(
            "select customer_id, raw, score, [r.text for r in reasons] from scores "
            f"where tenant_id = '{tenant}' order by scope desc, customer_id limit 60",
            scores="gold/scores",
        )
        request = ScoreRequest("service", tenant, tuple(row[0] for row in rows))
        answers = serve_scores(world, serving, request, request_id=tenant, at="2025-07-20T00:00:00Z")["scores"]
        for (customer, raw, score, reasons), answer in zip(rows, answers, strict=True):
            assert (answer["customer_id"], answer["rung"], answer["reasons"]) == (customer, place["rung"], reasons)
            assert answer["score"] == pytest.approx(score, abs=1e-6)
            if place["rung"] == "heuristic":
                assert (score, reasons) == (0.25, [])
            else:
                assert 0 < raw < 1
                assert len(reasons) == 3


def test_rolling_back_takes_the_ladder_along(trained: World, tmp_path: Path) -> None:
    world = with_ladder(trained, tmp_path, PLACES[1])
    rungs = []
    for _ in range(2):
        artifact = load_artifact(world, load_champion(world.lake, "service"))
        assert artifact.ladder
        rungs.append((artifact.version.number, artifact.ladder.place("dealer_02").rung == "heuristic"))
        if len(rungs) == 1:
            roll_back(world, "service", by="arn:aws:iam::1:user/anna", why="bad list", at="2025-07-02", from_version=2)
    assert rungs == [(2, True), (1, False)]
