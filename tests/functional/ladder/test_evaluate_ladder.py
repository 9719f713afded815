"""Each known kind of tenant ends on the rung meant for it, with evidence and a reason; the others stay global."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.evaluation.champions import champion_of
from propensity.ladder.evaluate_ladder import evaluate_ladder
from propensity.ladder.fit_ladder import fit_ladder
from propensity.lake.domain.run_records import PlannedChampion, TrainingPlan
from propensity.lake.run_files import read_plan
from propensity.registry.artifact import Artifact, load_artifact
from propensity.registry.versions import load_version
from propensity.release.check_artifact import check_files
from tests.kit.ladder_run import DEALERS, LADDER, MODEL, RUN, Dealer, evaluated, ladder_of
from tests.kit.planted import FaultyConverter, shifted_by
from tests.kit.world import World

MATRIX = np.random.default_rng(1).normal(size=(400, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = evaluated(tmp_path_factory.mktemp("ladder"), LADDER)
    world.register(RUN)
    return world


@pytest.fixture(scope="module")
def tenants(climbed: World) -> dict[str, Any]:
    found: dict[str, Any] = ladder_of(climbed)["tenants"]
    return found


def artifact_of(world: World) -> Artifact:
    return load_artifact(world, load_version(world.lake, MODEL, 1))


def whose(tenant: str, rows: int = len(MATRIX)) -> Any:
    return np.full(rows, tenant, dtype=object)


@pytest.mark.parametrize(
    ("tenant", "rung"),
    [("odd", "own"), ("keen", "intercept"), ("contrary", "heuristic"), ("few", "global"), ("plain_01", "global")]
    + [(f"north_{number}", "segment") for number in range(1, 5)],
)
def test_a_tenant_stands_on_the_rung_that_its_evidence_supports(
    tenants: dict[str, Any], tenant: str, rung: str
) -> None:
    assert tenants[tenant]["rung"] == rung, tenants[tenant]["reason"]


def test_nobody_leaves_the_global_model_without_an_interval_that_lies_above_0(climbed: World) -> None:
    said = ladder_of(climbed)
    moved = [one for one in said["tenants"].values() if one["rung"] != "global" and one["evidence"]["rows"]]
    assert len(moved) >= 7
    for one in moved:
        pooled = one["rung"] == "segment"
        gain = said["segments"][one["segment"]]["gain"] if pooled else one["evidence"]["gains"][one["rung"]]
        assert 0 < gain["low"] < gain["value"] < gain["high"]
        assert gain["n"] >= 150


def test_a_tenant_that_a_cap_leaves_nothing_to_fit_on_is_judged_all_the_same(tmp_path: Path) -> None:
    dealers = {name: one for name, one in DEALERS.items() if name.startswith("plain")} | {"fresh": Dealer(40)}
    said = ladder_of(evaluated(tmp_path, LADDER, dealers, max_rows=4_000, never_fitted="fresh"))
    fresh = said["tenants"]["fresh"]
    assert (fresh["evidence"]["rows"], fresh["rung"]) == (0, "global")
    assert fresh["evidence"]["held_rows"] > 0


def test_every_tenant_reads_why_it_stands_where_it_does(tenants: dict[str, Any]) -> None:
    assert "3 positives in training" in tenants["few"]["reason"]
    assert "300" in tenants["few"]["reason"]
    assert "log loss lower by" in tenants["odd"]["reason"]
    assert "more often" in tenants["keen"]["reason"]
    assert "No row of it was old enough" in tenants["new_north"]["reason"]
    assert tenants["new_north"]["rung"] == "segment"
    assert tenants["odd"]["evidence"]["auc"]["own"]["low"] > tenants["odd"]["evidence"]["auc"]["global"]["high"]


def test_the_same_inputs_give_the_same_bytes(climbed: World, tmp_path: Path) -> None:
    again = climbed.copy(tmp_path)
    names = list(again.lake.keys(f"{RUN}/ladder/"))
    assert len(names) == 16  # six files for each of two models, and four files about both
    for key in names:
        again.lake.remove(key)
    fit_ladder(again, run=RUN)
    evaluate_ladder(again, run=RUN)
    assert {key: again.lake.get(key) for key in names} == {key: climbed.lake.get(key) for key in names}


def test_without_a_ladder_a_run_is_what_it_was_and_a_score_on_the_global_rung_bit_equal(
    climbed: World, tmp_path: Path
) -> None:
    plain = evaluated(tmp_path, None)
    plain.register(RUN)
    assert not list(plain.lake.keys(f"{RUN}/ladder/"))
    for name in ("model.onnx", "calibration.json", "explanation.json"):
        key = f"registry/{MODEL}/versions/000001/{name}"
        assert plain.lake.get(key) == climbed.lake.get(key), name
    alone, ladder = artifact_of(plain), artifact_of(climbed)
    assert alone.ladder is None
    assert alone.rungs(whose("odd")) is None
    mixed = whose("plain_01")
    mixed[::3], mixed[1::3] = "odd", "somebody new"
    known = mixed != "odd"
    for one, other in zip(alone.score(MATRIX, mixed), ladder.score(MATRIX, mixed), strict=True):
        assert (one[known] == other[known]).all()
        assert (one[~known] != other[~known]).all()


@pytest.mark.parametrize("tenant", ["odd", "keen", "contrary", "few", "north_1", "new_north", "somebody new"])
def test_a_row_scores_and_explains_the_same_alone_as_among_others(climbed: World, tenant: str) -> None:
    artifact = artifact_of(climbed)
    among = np.concatenate([whose(tenant, 200), whose("odd", 100), whose("keen", 100)])
    _, scores = artifact.score(MATRIX, among)
    reasons, methods = artifact.reasons(MATRIX, among, 2)
    for row in (0, 7, 199):
        _, [alone] = artifact.score(MATRIX[row : row + 1], whose(tenant, 1))
        assert alone == pytest.approx(scores[row], abs=1e-6)
        why, [method] = artifact.reasons(MATRIX[row : row + 1], whose(tenant, 1), 2)
        features = artifact.definition.features
        assert list(why.of_row(0, features)) == list(reasons.of_row(row, features))
        assert method == methods[row]


def test_each_rung_scores_as_it_says(climbed: World, tenants: dict[str, Any]) -> None:
    artifact = artifact_of(climbed)
    _, plain = replace(artifact, ladder=None).score(MATRIX, whose("keen"))
    _, keen = artifact.score(MATRIX, whose("keen"))
    logits = np.log(keen / (1 - keen)) - np.log(plain / (1 - plain))
    assert logits == pytest.approx(tenants["keen"]["intercept"], abs=1e-9)
    assert tenants["keen"]["intercept"] > 0.5
    assert artifact.score(MATRIX, whose("contrary"))[1] == pytest.approx(tenants["contrary"]["rate"])
    assert (artifact.reasons(MATRIX[:2], whose("contrary", 2), 2)[0].places == -1).all()
    _, odd = artifact.score(MATRIX, whose("odd"))
    assert np.corrcoef(odd, MATRIX[:, 0])[0, 1] < -0.5  # its customers do the opposite of everyone's
    assert plain[np.argmax(MATRIX[:, 0])] > plain[np.argmin(MATRIX[:, 0])]
    found = artifact.rungs(np.array(["odd", "nobody", "north_2"], dtype=object))
    assert list([] if found is None else found) == ["own", "global", "segment"]


def test_as_a_champion_it_is_held_against_a_challenger_without_its_ladder(climbed: World) -> None:
    planned = PlannedChampion(version=1, calibration=0)
    artifact, plan = (
        artifact_of(climbed),
        read_plan(climbed.lake, RUN, TrainingPlan).model_copy(update={"champion": planned}),
    )
    champion = champion_of(climbed, plan, artifact.definition)
    assert champion is not None
    found: Any = champion.score(MATRIX, whose("odd"))
    assert np.array_equal(found, artifact.calibration.apply(artifact.model.predict(MATRIX)))
    assert not np.array_equal(found, artifact.score(MATRIX, whose("odd"))[1])


def test_drift_is_held_against_the_scores_that_the_ladder_gives(climbed: World) -> None:
    before = json.loads(climbed.lake.get(f"{RUN}/reference.json"))
    after = load_version(climbed.lake, MODEL, 1).json(climbed.lake, "reference.json")
    assert after["features"] == before["features"]
    assert sum(after["score"]["counts"]) == sum(before["score"]["counts"])
    assert after["score"] != before["score"]


def test_a_model_whose_export_is_off_is_nobodys(climbed: World, tmp_path: Path) -> None:
    faulty = climbed.copy(tmp_path)
    for key in list(faulty.lake.keys(f"{RUN}/ladder/")):
        faulty.lake.remove(key)
    faulty.trainer = FaultyConverter(shifted_by(0.01))
    fit_ladder(faulty, run=RUN)
    evaluate_ladder(faulty, run=RUN)
    said = ladder_of(faulty)
    assert set(said["refused"]) == {"ladder/segment-01", "ladder/tenant_id=odd"}
    assert said["rungs"]["own"] == said["rungs"]["segment"] == 0
    assert said["tenants"]["odd"]["rung"] == "heuristic"


def test_a_tenants_own_model_goes_with_the_tenant_and_the_version_still_serves(climbed: World, tmp_path: Path) -> None:
    world = climbed.copy(tmp_path)
    own = [key for key in world.lake.keys(f"registry/{MODEL}/") if "/tenant_id=odd/" in key]
    assert len(own) == 3
    for key in own:
        world.lake.remove(key)
    artifact = artifact_of(world)
    found = artifact.rungs(whose("odd", 1))
    assert list([] if found is None else found) == ["global"]
    assert (artifact.score(MATRIX, whose("odd"))[1] == artifact.score(MATRIX, whose("nobody"))[1]).all()
    # its files allow to promote it and to roll back to it
    assert check_files(world.lake, load_version(world.lake, MODEL, 1)) == "ok"
