"""The report of a training run: all candidates, and the gains over the manual filter and over the last model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.kit.world import World
from tests.stack.automotive import AS_OF

LATER = "2025-08-01"


def report(world: World, day: str, version: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.lake.get(f"registry/service/versions/{version:06d}/report.json"))
    assert json.loads(world.lake.get(f"runs/train/service/{day}/evaluation.json"))["report"] == found
    return found


def test_the_report_shows_every_candidate_and_why(trained: World) -> None:
    said = report(trained, AS_OF.isoformat(), 1)
    assert "come in within 90 days" in said["hypothesis"]
    families = [one["family"] for one in said["candidates"]]
    assert families == ["logistic_regression", "hist_gradient_boosting", "random_forest"]
    assert [one["chosen"] for one in said["candidates"]].count(True) == 1
    for one in said["candidates"]:
        assert one["log_loss"] == pytest.approx(np.mean(list(one["folds"].values())))
        assert one["why"].startswith("chosen" if one["chosen"] else "not chosen")
        assert (one["standard_error"] > 0, one["tried"] > 0, one["untried"]) == (True, True, 0)


def test_gains_are_those_of_lists_of_the_filters_size_on_the_newest_fold(trained: World) -> None:
    said = report(trained, AS_OF.isoformat(), 1)
    run = f"runs/train/service/{AS_OF.isoformat()}"
    keys = [json.loads(trained.lake.get(item))["out"] for item in trained.items(f"{run}/items.json")]
    rows = pa.concat_tables([pq.read_table(trained.folder / key) for key in keys]).to_pylist()
    fold = [row for row in rows if row["as_of"].isoformat() == said["fold"]]
    chosen = [row for row in fold if row["chosen"]]
    assert 0 < len(chosen) < len(fold) == said["rows"]
    assert (said["model"]["size"], said["filter"]["size"]) == (len(chosen), len(chosen))
    assert said["filter"]["observed"]["value"] == pytest.approx(sum(row["label"] for row in chosen))
    assert said["lists"] == len({row["tenant_id"] for row in chosen})
    gain = said["gains"]["over_filter"]["conversions"]
    assert gain["value"] == pytest.approx(said["model"]["observed"]["value"] - said["filter"]["observed"]["value"])
    # the manual filter looks for lost customers; the gain of the model's list is more than chance
    assert gain["low"] > 0
    assert said["model"]["expected"] == pytest.approx(said["model"]["observed"]["value"], rel=0.25)
    assert (said["champion"], said["value"]) == (None, None)


def test_the_next_model_is_held_against_the_last_one_in_conversions_and_money(trained: World, tmp_path: Path) -> None:
    world = trained.copy(tmp_path)
    model = yaml.safe_load(world.pack_files["models/service.yaml"])
    model["value"] = {"per_conversion": 120, "cost_per_contact": 1.5, "currency": "EUR"}
    world.pack_files = {**world.pack_files, "models/service.yaml": yaml.safe_dump(model)}
    world.train("service", LATER)
    said = report(world, LATER, 2)
    champion = said["champion"]
    assert (champion["version"], champion["calibration"], champion["why_not"]) == (1, 0, None)
    assert champion["size"] == said["model"]["size"]
    against = said["gains"]["over_champion"]
    assert against["profit"]["value"] == pytest.approx(against["conversions"]["value"] * 120)
    assert said["gains"]["over_champion_log_loss"]["n"] == said["rows"]
    observed = said["model"]["observed"]["value"]
    assert said["model"]["profit"]["value"] == pytest.approx(observed * 120 - said["model"]["size"] * 1.5)
