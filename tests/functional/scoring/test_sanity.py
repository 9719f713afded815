"""A batch whose figures are beyond the limits is not made visible, says why, and can be forced with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.kernel.errors import BadInputError, SanityError
from propensity.operations.report_runs import list_models, report_runs
from propensity.scoring.commit_run import commit_run
from propensity.scoring.label_shard import label_shard
from propensity.scoring.plan_scoring import plan_scoring
from propensity.scoring.rank_run import rank_run
from tests.kit.handlers import CONTEXT, handler
from tests.kit.registries import crown
from tests.kit.shop import Shop, orders
from tests.stack.stack import ROOT

FIRST, SECOND = "2025-05-01", "2025-05-31"
RUN = f"runs/score/reorder/{SECOND}-v000001-batch"
FORCE = {"by": "ana", "reason": "the spring sale"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two tenants of 300 customers and one of fourteen; their first batch."""
    made = Shop(tmp_path_factory.mktemp("sanity"))
    for tenant in ("north", "south"):
        made.land("orders", tenant, orders(tenant, customers=300))
    made.land("orders", "tiny", [(f"t{n}", f"T{n:02d}", f"2025-03-{10 + n}") for n in range(14)])
    made.promote()
    crown(made.lake, "reorder", made.train("reorder", FIRST)["version"])
    made.score("reorder", FIRST)
    return made


class Through:
    """The model of the version, whose probabilities go through a function."""

    width = None

    def __init__(self, model: Any, change: Callable[[Any], Any]) -> None:
        self.model = model
        self.change = change

    def predict(self, matrix: Any) -> Any:
        return self.change(self.model.predict(matrix))


@contextmanager
def scoring(shop: Shop, change: Callable[[Any], Any]) -> Iterator[None]:
    own = Shop.scorer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop, "scorer", lambda onnx: Through(own(shop, onnx), change), raising=False)
        yield


def checks(shop: Shop, run: str = RUN) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(shop.lake.get(f"{run}/sanity.json"))["checks"]}


def visible(shop: Shop, run: str = RUN) -> int:
    return int(shop.query(f"select count(*) from s where run = '{run}'", s="gold/scores")[0][0])


FAULTS: dict[str, Callable[[Any], Any]] = {
    "constant_share": lambda raw: np.full_like(raw, 0.2),
    "decile_churn": lambda raw: np.max(raw) + np.min(raw) - raw,
    "mean_shift": lambda raw: 1 / (1 + (1 - raw) / raw * np.exp(-2.5)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_batch_beyond_a_limit_stays_invisible_and_says_why(shop: Shop, tmp_path: Path, name: str) -> None:
    other = shop.copied(tmp_path / "shop")
    online = dict(other.online.items)
    with scoring(other, FAULTS[name]), pytest.raises(SanityError, match=f"{name} is .* in the median, limit") as told:
        other.score("reorder", SECOND)
    assert visible(other) == 0
    assert dict(other.online.items) == online
    assert not any(key.endswith("receipt.json") for key in other.lake.keys(RUN))
    assert other.metrics.total(["BatchesStopped"]) == 1
    found = checks(other)[name]
    assert found["beyond"] == found["judged"] == 2
    assert {one["tenant"] for one in found["named"]} == {"north", "south"}
    assert all(one["n"] > 200 for one in found["named"])
    [newest, *_] = report_runs(other, "reorder")["runs"]
    assert (newest["run"], newest["state"], newest["reason"]) == (RUN, "failed", str(told.value))
    assert newest["sanity"]["stopped"]
    [model] = list_models(other, day=SECOND)["models"]
    assert model["scoring"]["sanity"]["stopped"] == newest["sanity"]["stopped"]


def test_who_forces_a_batch_and_why_stands_in_its_receipt_and_a_later_call_gives_the_same(
    shop: Shop, tmp_path: Path
) -> None:
    other = shop.copied(tmp_path / "shop")
    with scoring(other, FAULTS["mean_shift"]):
        with pytest.raises(SanityError):
            other.score("reorder", SECOND)
        receipt = commit_run(other, run=RUN, force=FORCE, execution="again")
        assert receipt["forced"] == {"by": "ana", "reason": "the spring sale", "execution": "again"}
        assert visible(other) == receipt["new"] > 500
        assert commit_run(other, run=RUN) == receipt
        assert commit_run(other, run=RUN, force={"by": "ben", "reason": "too late"}) == receipt
    [newest, *_] = report_runs(other, "reorder")["runs"]
    assert newest["state"] == "ended"
    assert newest["sanity"]["forced"]["by"] == "ana"


def test_the_workflow_hands_the_force_of_its_input_to_the_commit(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shop.copied(tmp_path / "shop")
    with scoring(other, FAULTS["mean_shift"]), pytest.raises(SanityError):
        other.score("reorder", SECOND)
    machine = json.loads((ROOT / "functions/workflows/score_population.asl.json").read_text())
    payload = machine["States"]["CommitRun"]["Parameters"]["Payload"]
    assert payload == {"run.$": "$.plan.answer.run", "execution.$": "$$.Execution.Name", "input.$": "$"}
    monkeypatch.setattr("propensity.runtime.composition.ports", lambda: other)
    commit = handler("commit_run")
    event = {"run": RUN, "execution": "again", "input": {"model": "reorder", "scope": "batch"}}
    with pytest.raises(SanityError):
        commit(event, CONTEXT)
    with pytest.raises(BadInputError, match="force"):
        commit({**event, "input": {"force": "yes"}}, CONTEXT)
    receipt = commit({**event, "input": {"force": FORCE}}, CONTEXT)
    assert receipt["forced"] == {**FORCE, "execution": "again"}


def test_a_force_that_was_not_needed_leaves_no_mark(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "shop")
    run = other.score("reorder", SECOND)["run"]
    again = shop.copied(tmp_path / "forced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.kit.world.commit_run", lambda ports, run: commit_run(ports, run=run, force=FORCE))
        receipt = again.score("reorder", SECOND)
    assert receipt["forced"] is None
    assert receipt == commit_run(other, run=run)


def test_a_healthy_batch_keeps_its_churn_and_its_shift_with_their_numbers(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "shop")
    receipt = other.score("reorder", SECOND)
    found = checks(other)
    assert 0 < found["decile_churn"]["pooled"] < 0.8
    assert found["decile_churn"]["n"] > 500
    assert found["decile_churn"]["judged"] == 2
    [(steps, n)] = other.query(
        "select sum(abs(decile - ((percentile - percentile_change - 1) // 10 + 1))), count(*) from s "
        f"where run = '{RUN}' and percentile_change is not null",
        s="gold/scores",
    )
    assert found["decile_churn"]["pooled"] == pytest.approx(int(steps) / int(n) / 3.3)
    [(now, then)] = other.query(
        f"select avg(score), avg(previous_score) from s where run = '{RUN}' and previous_score is not null",
        s="gold/scores",
    )
    shift = abs(np.log(now / (1 - now)) - np.log(then / (1 - then)))
    assert found["mean_shift"]["pooled"] == pytest.approx(shift)
    assert other.metrics.total(["BatchesStopped", "TenantsOutOfBounds"]) == 0
    assert receipt["forced"] is None
    [newest, *_] = report_runs(other, "reorder")["runs"]
    assert {one["name"]: one for one in newest["sanity"]["checks"]} == found


def test_of_a_first_batch_nothing_is_compared_and_a_gap_run_is_not_judged(shop: Shop, tmp_path: Path) -> None:
    first = checks(shop, f"runs/score/reorder/{FIRST}-v000001-batch")
    assert [first[name]["judged"] for name in ("unset_rise", "decile_churn", "mean_shift")] == [0, 0, 0]
    assert first["constant_share"]["judged"] == 2
    other = shop.copied(tmp_path / "shop")
    other.land("orders", "north", [("g1", "GAP1", "2025-05-02")], "late")
    other.promote()
    receipt = other.score("reorder", "2025-05-10", scope="gap", request="pull")
    assert not any(key.endswith("sanity.json") for key in other.lake.keys(receipt["run"]))


def labelled_with(shop: Shop, change: Callable[[dict[str, Any]], None], which: str) -> None:
    """A second batch up to its labels, in which a file of each item was changed: `scored_out` or `out`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.kit.world.rank_run", lambda *_, **__: None)
        patch.setattr("tests.kit.world.label_shard", lambda *_, **__: None)
        patch.setattr("tests.kit.world.commit_run", lambda *_, **__: {})
        patch.setattr("tests.kit.world.publish_scores", lambda *_, **__: None)
        shop.score("reorder", SECOND)
    items = shop.items(plan_scoring(shop, model="reorder", as_of=SECOND, scope="batch")["items"])
    for item in items:
        path = shop.folder / json.loads(shop.lake.get(item))[which]
        columns = dict(shop.frames.read(path))
        change(columns)
        path.unlink()
        shop.frames.write(path, columns)
    rank_run(shop, run=RUN)
    for item in items:
        label_shard(shop, item=item)


def test_one_tenant_whose_scores_are_all_constant_is_named_and_stops_nobody(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "shop")

    def flatten(columns: dict[str, Any]) -> None:
        columns["score"] = np.where(columns["tenant_id"] == "south", 0.25, columns["score"])

    labelled_with(other, flatten, "scored_out")
    assert commit_run(other, run=RUN)["new"] > 500
    found = checks(other)["constant_share"]
    assert [(one["tenant"], one["value"]) for one in found["named"]] == [("south", 1.0)]
    assert found["judged"] == 2
    assert other.metrics.total(["TenantsOutOfBounds"]) >= 1
    assert other.metrics.total(["BatchesStopped"]) == 0


def test_the_fourteen_customers_of_a_small_tenant_stop_nothing(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "shop")

    def flatten(columns: dict[str, Any]) -> None:
        columns["score"] = np.where(columns["tenant_id"] == "tiny", 0.99, columns["score"])

    labelled_with(other, flatten, "scored_out")
    assert commit_run(other, run=RUN)["new"] > 500
    assert checks(other)["mean_shift"]["named"] == []


def test_features_that_nobody_has_any_more_stop_a_batch(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "shop")

    def lose(columns: dict[str, Any]) -> None:
        columns["days_since"] = np.full_like(columns["days_since"], np.nan)

    labelled_with(other, lose, "out")
    with pytest.raises(SanityError, match=r"unset_rise is 0\.5 in the median"):
        commit_run(other, run=RUN)


def test_a_limit_of_the_deployed_pack_counts_at_once(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "shop", sanity={"mean_shift": 5.0})
    with scoring(other, FAULTS["mean_shift"]):
        assert other.score("reorder", SECOND)["forced"] is None
    strict = shop.copied(tmp_path / "strict", sanity={"decile_churn": 0.01})
    with pytest.raises(SanityError, match="decile_churn"):
        strict.score("reorder", SECOND)
