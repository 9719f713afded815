"""Recalibration by outcomes: only where it is better for certain, beside the version's folder, and it can be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from propensity.adapters.frames import ArrowFrames
from propensity.feedback.run_matchback import run_matchback
from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, NotFoundError
from propensity.registry.artifact import load_artifact
from propensity.registry.calibrations import calibrated_on
from propensity.registry.versions import load_version
from propensity.release.recalibrate_model import recalibrate_model
from propensity.runtime.champion_cache import Champions
from propensity.serving.serve_scores import ScoreRequest, serve_scores
from propensity.stats.calibration import Calibration, logit
from tests.kit.registries import MODEL, open_registry
from tests.kit.world import World
from tests.stack.automotive import AS_OF, KNOWN_BY, Generated

SAID: dict[str, Any] = {"by": "anna", "why": "prices fell", "at": "2026-05-01T00:00:00Z"}


def registry(tmp_path: Path, batches: dict[str, float], rows: int = 4_000) -> Any:
    """A champion with batches. Per batch the true odds are this many logits above those that it says."""
    ports = open_registry()
    ports.frames = ArrowFrames()
    ports.register(1)
    random = np.random.default_rng(1)
    for day, shift in batches.items():
        raw = np.round(1 / (1 + np.exp(-random.normal(-2, 1, rows))), 3)
        happened = random.random(rows) < 1 / (1 + np.exp(-(logit(raw) + shift)))
        values, of_row = np.unique(raw, return_inverse=True)
        path = tmp_path / f"{day}.parquet"
        counts = {"rows": np.bincount(of_row), "positives": np.bincount(of_row, weights=happened).astype(np.int64)}
        ports.frames.write(path, {"raw": values, **counts})
        ports.lake.upload_new(f"runs/score/{MODEL}/{day}-v000001-batch/outcomes/2026-04-30.parquet", path)
    return ports


def test_odds_that_rose_are_put_right_and_proven_on_a_batch_the_fit_has_not_seen(tmp_path: Path) -> None:
    ports = registry(tmp_path, {"2026-01-01": 1.5, "2026-02-10": 1.5, "2026-03-20": 1.5})
    before = {key: ports.lake.get(key) for key in ports.lake.keys("registry/")}
    said = recalibrate_model(ports, MODEL, **SAID)
    assert (said["version"], said["number"], said["by"]) == (1, 1, "anna")
    newest, older = f"runs/score/{MODEL}/2026-03-20-v000001-batch", ["2026-01-01", "2026-02-10"]
    assert said["held_against"]["run"] == newest
    assert said["held_against"]["fitted_on"] == [f"runs/score/{MODEL}/{day}-v000001-batch" for day in older]
    assert said["fitted_on"][-1] == newest
    assert said["gain_log_loss"]["low"] > 0
    assert abs(said["after"]["calibration_intercept"]["value"]) < 0.2 < said["before"]["calibration_intercept"]["value"]
    assert said["after"]["brier"]["value"] < said["before"]["brier"]["value"]
    assert said["after"]["brier"]["n"] == 4_000
    artifact = load_artifact(ports, load_version(ports.lake, MODEL, 1))
    assert artifact.calibration_number == 1
    assert artifact.calibration.rows == 12_000
    middle = np.array([0.05, 0.2, 0.5])
    assert logit(artifact.calibration.apply(middle)) == pytest.approx(logit(middle) + 1.5, abs=0.3)
    # the version's folder is as it was, and a run that began earlier keeps its calibration
    assert {key: ports.lake.get(key) for key in before} == before
    assert load_artifact(ports, load_version(ports.lake, MODEL, 1), 0).calibration.method == "none"
    # the same evidence a second time gives nothing better
    with pytest.raises(ConflictError, match=r"calibration in force stands.*n = 4000"):
        recalibrate_model(ports, MODEL, **SAID)


def test_a_batch_is_fitted_on_where_its_outcomes_were_known_when_the_newest_was_scored(tmp_path: Path) -> None:
    ports = registry(tmp_path, {"2026-01-01": 1.5, "2026-02-12": 1.5, "2026-02-15": 1.5})
    fitted_on = recalibrate_model(ports, MODEL, **SAID)["held_against"]["fitted_on"]
    assert fitted_on == [f"runs/score/{MODEL}/2026-01-01-v000001-batch"]
    (tmp_path / "overlapping").mkdir()
    overlapping = registry(tmp_path / "overlapping", {"2026-02-12": 1.5, "2026-02-15": 1.5})
    with pytest.raises(EvidenceError, match="37 days or more before the other"):
        recalibrate_model(overlapping, MODEL, **SAID)


def test_what_is_right_already_is_left_alone(tmp_path: Path) -> None:
    ports = registry(tmp_path, {"2026-01-01": 0.0, "2026-02-10": 0.0})
    with pytest.raises(ConflictError, match="expected above 0"):
        recalibrate_model(ports, MODEL, **SAID)
    assert not list(ports.lake.keys(f"registry/{MODEL}/calibrations/"))


@pytest.mark.parametrize(
    ("batches", "rows", "told"),
    [
        ({}, 1, "0 batches to fit on"),
        ({"2026-01-01": 1}, 4_000, "to fit on"),
        ({"2026-01-01": 1, "2026-02-10": 1}, 80, "30"),
    ],
)
def test_too_little_evidence_is_refused_with_what_is_missing(
    tmp_path: Path, batches: dict[str, float], rows: int, told: str
) -> None:
    with pytest.raises(EvidenceError, match=told):
        recalibrate_model(registry(tmp_path, batches, rows), MODEL, **SAID)


def test_a_recalibration_is_undone_by_one_more_that_repeats_an_older_one(tmp_path: Path) -> None:
    ports = registry(tmp_path, {"2026-01-01": 1.5, "2026-02-10": 1.5})
    champions = Champions(seconds=0)

    def calibration() -> int:
        artifact = champions.get(ports, MODEL).artifact
        assert artifact
        return artifact.calibration_number

    assert calibration() == 0
    recalibrate_model(ports, MODEL, **SAID)
    assert calibration() == 1
    assert champions.get(ports, MODEL) is champions.get(ports, MODEL)
    said = recalibrate_model(ports, MODEL, **SAID, restore=0)
    assert (said["number"], said["restores"]) == (2, 0)
    artifact = champions.get(ports, MODEL).artifact
    assert artifact
    assert artifact.calibration_number == 2
    assert artifact.calibration.apply(np.array([0.3])) == pytest.approx([0.3])
    with pytest.raises(NotFoundError, match="no calibration 9; there are 0 to 2"):
        recalibrate_model(ports, MODEL, **SAID, restore=9)


def test_the_days_that_a_calibration_was_fitted_on_are_known_also_of_one_that_repeats_it(tmp_path: Path) -> None:
    days = ("2026-01-01", "2026-02-10")
    ports = registry(tmp_path, dict.fromkeys(days, 1.5))
    recalibrate_model(ports, MODEL, **SAID)
    recalibrate_model(ports, MODEL, **SAID, restore=1)
    recalibrate_model(ports, MODEL, **SAID, restore=0)
    version = load_version(ports.lake, MODEL, 1)
    assert [calibrated_on(ports.lake, version, number) for number in range(4)] == [(), days, days, ()]


@pytest.mark.parametrize(("field", "value"), [("why", " "), ("restore", "1"), ("version", True)])
def test_what_a_caller_got_wrong_is_named(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(BadInputError, match=f"{field}: expected"):
        recalibrate_model(registry(tmp_path, {}), MODEL, **{**SAID, field: value})


def test_a_calibration_of_old_is_still_read() -> None:
    old = {"method": "table", "raw_logit": [-2.0, 0.0], "calibrated_logit": [-3.0, 0.5], "rows": 9, "positives": 3}
    assert Calibration.from_json(old).apply(np.array([0.5])) == pytest.approx([1 / (1 + np.exp(-0.5))])


def test_scores_say_which_calibration_they_are_from(scored: World, dealers: Generated, tmp_path: Path) -> None:
    world = scored.copy(tmp_path)
    run = f"runs/score/service/{AS_OF.isoformat()}-v000001-batch"
    world.load(dealers.phases["outcomes"])
    run_matchback(world, run=run, known_by=KNOWN_BY.isoformat())
    kept = pq.read_table(world.folder / f"{run}/outcomes/{KNOWN_BY.isoformat()}.parquet").to_pydict()
    [(rows, positives)] = world.query(
        "select count(*), count(*) filter (converted) from truth", truth="gold/ground_truth"
    )
    assert list(kept) == ["raw", "rows", "positives"]
    assert (sum(kept["rows"]), sum(kept["positives"])) == (rows, positives)
    recalibrate_model(world, "service", **SAID, restore=0)
    world.score("service", KNOWN_BY.isoformat())
    # the earlier batch keeps its calibration where it is scored again
    world.score("service", AS_OF.isoformat())
    found = world.query("select distinct as_of::varchar, calibration from scores order by 1", scores="gold/scores")
    assert found == [(AS_OF.isoformat(), 0), (KNOWN_BY.isoformat(), 1)]
    [(tenant, customer)] = world.query(
        "select tenant_id, customer_id from scores order by all limit 1", scores="gold/scores"
    )
    request = ScoreRequest("service", tenant, (customer, "NOBODY"))
    answer = serve_scores(world, Champions().get(world, "service"), request, request_id="r", at="2025-12-01T00:00:00Z")
    assert [one["calibration"] for one in answer["scores"]] == [1, None]
    assert json.loads(world.lake.get("registry/service/calibrations/000001/000001.json"))["why"] == SAID["why"]
