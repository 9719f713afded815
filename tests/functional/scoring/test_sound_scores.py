"""A value that is no probability reaches neither Gold nor the online table, and is no answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.kernel.errors import UnsoundScoreError
from propensity.runtime import api
from propensity.scoring.rank_run import rank_run
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from tests.kit.registries import crown
from tests.kit.shop import Shop, stocked

DAY = "2025-04-20"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = stocked(tmp_path_factory.mktemp("sound"))
    crown(shop.lake, "reorder", shop.train("reorder", DAY)["version"])
    return shop


class Gives:
    """A model that gives one value for every other row, and a half for the rest."""

    width = None

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, matrix: Any) -> Any:
        return np.where(np.arange(len(matrix)) % 2 == 0, self.value, 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0, -0.01, 1.0000001])
def test_one_unsound_value_stops_the_shard_and_nothing_of_the_run_is_seen(
    trained: Shop, tmp_path: Path, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = trained.copied(tmp_path / "shop")
    monkeypatch.setattr(shop, "scorer", lambda onnx: Gives(value), raising=False)
    with pytest.raises(UnsoundScoreError, match=r"model reorder version 1: \d+ of \d+ scores are not finite"):
        shop.score("reorder", DAY)
    assert shop.tables.snapshot("gold/scores") is None
    assert shop.online.items == {}
    assert not list(shop.lake.keys("runs/score/reorder/2025-04-20-v000001-batch/results/score_shard/"))


@pytest.mark.parametrize("column", ["raw", "score"])
def test_an_unsound_value_that_a_shard_left_stops_the_run_before_its_commit(
    trained: Shop, tmp_path: Path, column: str
) -> None:
    shop = trained.copied(tmp_path / "shop")
    run = shop.score("reorder", DAY)["run"]
    [key, *_] = shop.lake.keys(f"{run}/scored/")
    path = shop.folder / key
    columns = dict(shop.frames.read(path))
    columns[column] = np.where(np.arange(len(columns[column])) < 3, np.nan, columns[column])
    shop.frames.write(path, columns)
    with pytest.raises(UnsoundScoreError, match="model reorder version 1: 3 of"):
        rank_run(shop, run=run)


def test_on_demand_an_unsound_score_is_answered_with_the_fallback(trained: Shop, tmp_path: Path) -> None:
    shop = trained.copied(tmp_path / "shop")
    shop.score("reorder", DAY)
    [(tenant, first), (_, second)] = shop.query(
        "select tenant_id, customer_id from s where tenant_id = 'north' order by 2 limit 2", s="gold/scores"
    )
    serving = load_serving(shop, "reorder", 1)
    assert serving.artifact
    faulty = replace(serving, artifact=replace(serving.artifact, model=Gives(np.nan)))
    request = ScoreRequest("reorder", tenant, (first, second))
    answers = serve_scores(shop, faulty, request, request_id="r", at=f"{DAY}T00:00:00Z")["scores"]
    assert [one["source"] for one in answers] == ["fallback", "champion"]
    assert (answers[0]["score"], answers[0]["decile"]) == (serving.fallback, None)
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers


def test_a_body_is_json_or_no_answer_at_all() -> None:
    event = {"requestContext": {"requestTimeEpoch": 0, "requestId": "r"}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        api.answer(event, lambda call: {"score": float("nan")})


def test_the_bounds_are_probabilities(trained: Shop) -> None:
    artifact = load_serving(trained, "reorder", 1).artifact
    assert artifact
    matrix, tenants = np.zeros((2, 2), dtype=np.float32), np.array(["a", "b"], dtype=object)
    for value, sound in ((0.0, True), (1.0, True), (np.nextafter(1, 2), False), (-1e-12, False)):
        assert replace(artifact, model=Gives(value)).try_score(matrix, tenants)[2].tolist() == [sound, True]
