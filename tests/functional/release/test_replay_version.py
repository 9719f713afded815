"""A registered version, trained once more, comes out the same; where it does not, the report says why."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.erasure.erase_customer import erase_customer
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.release.check_replay import check_replay
from propensity.release.replay_version import replay_version
from tests.kit.drops import column
from tests.kit.shop import DAY, GROUP_SQL, Shop, orders, stocked

RUN = DAY.isoformat()
TREES = {"family": "hist_gradient_boosting", "grid": [{"max_iter": 20, "min_samples_leaf": 20}]}
FOREST = {"family": "random_forest", "grid": [{"n_estimators": 20}]}
LINEAR = {"family": "logistic_regression", "grid": [{"C": 1.0}]}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return stocked(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def known(stock: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = stock.copied(tmp_path_factory.mktemp("known"))
    shop.train("reorder", RUN)
    return shop


@pytest.mark.parametrize("candidate", [LINEAR, TREES, FOREST], ids=lambda one: one["family"])
def test_a_version_comes_out_again_whatever_came_and_changed_since(
    stock: Shop, tmp_path: Path, candidate: dict[str, Any]
) -> None:
    model: dict[str, Any] = {
        "candidates": [candidate],
        "training": {"as_of_count": 6, "every_days": 31, "seed": 3, "max_rows": 900},
    }
    shop = stock.copied(tmp_path, **model)
    version = shop.train("reorder", RUN)["version"]
    before = {key: shop.lake.get(key) for key in shop.lake.keys("registry/")}
    # late rows about the past, other SQL, another model, smaller work items, a contract with a column more
    shop.land("orders", "south", orders("south", customers=40, end=date(2025, 4, 1), seed=9), name="late")
    shop.promote()
    shop.told(training={"as_of_count": 3, "every_days": 31, "seed": 8}, horizon_days=60)
    contract = yaml.safe_load(shop.pack_files["contracts/orders.yaml"]) | {"version": "1.1.0"}
    contract["schema"][0]["properties"].append(column("note"))
    shop.pack_files["contracts/orders.yaml"] = yaml.safe_dump(contract)
    shop.pack_files["features/history.sql"] = GROUP_SQL.replace("90 day", "30 day")
    shop.rows_per_item = 200
    assert shop.train("reorder", RUN.replace("06-01", "06-02"))["version"] == version + 1
    report = shop.replay("reorder", version, "again")
    assert (report["same"], report["said"]) == (True, [])
    lineage = json.loads(before[f"registry/reorder/versions/{version:06d}/lineage.json"])
    assert report["training_set"]["registered"] == lineage["training_set"] == report["training_set"]["replayed"]
    assert report["scores"]["max_abs_raw"] <= 1e-6 >= report["scores"]["max_abs_calibrated"]
    assert report["silver"] == lineage["silver"]
    assert report["packages"]["registered"].keys() >= {"scikit-learn", "numpy", "duckdb"}
    # all that was there is unchanged, and only the report was added
    after = {key: shop.lake.get(key) for key in shop.lake.keys("registry/")}
    assert {key: after[key] for key in before} == before
    added = {key for key in after if f"versions/{version + 1:06d}" not in key} - set(before)
    assert f"registry/reorder/replays/{version:06d}-again.json" in added
    assert not any("/versions/" in key for key in added)


def test_the_models_of_a_ladder_come_out_again_too(stock: Shop, tmp_path: Path) -> None:
    ladder = {"min_positives_own": 10, "min_rows_intercept": 10, "max_own_models": 3}
    shop = stock.copied(tmp_path, ladder=ladder, candidates=[TREES])
    version = shop.train("reorder", RUN)["version"]
    report = shop.replay("reorder", version, "again")
    assert (report["same"], report["said"], report["tenants_moved"]) == (True, [], 0)
    assert report["scores"]["max_abs_laddered"] <= 1e-6
    for key in shop.lake.keys(f"{report['run']}/ladder/"):
        shop.lake.remove(key)
    bare = shop.copied(tmp_path / "bare")
    [old] = bare.lake.keys("registry/reorder/replays/")
    bare.lake.remove(old)
    check_replay(bare, run=report["run"])
    told = json.loads(bare.lake.get(old))
    assert (told["same"], told["tenants_moved"], told["scores"]["max_abs_laddered"]) == (True, 0, None)
    assert "the ladder was not replayed" in told["said"][0]
    path = shop.folder / f"registry/reorder/versions/{version:06d}/ladder.json"
    written = json.loads(path.read_text())
    place = {"rung": "heuristic", "model": None, "intercept": 0.0, "rate": 0.99}
    path.write_text(json.dumps(written | {"tenants": written["tenants"] | {"north": place}}))
    report = shop.replay("reorder", version, "changed")
    assert (report["same"], report["tenants_moved"]) == (False, 1)
    assert report["said"][0] == "tenants that stand on another rung, or with other numbers on it: 1"
    assert report["scores"]["max_abs_laddered"] > 0.1 > 1e-6 >= report["scores"]["max_abs_calibrated"]


def test_what_somebody_changed_in_a_feature_file_is_told(known: Shop, tmp_path: Path) -> None:
    shop = known.copied(tmp_path)
    plan = replay_version(shop, model="reorder", version=1, request="touched")
    shop.build(plan)
    touch(shop, plan["run"])
    shop.fit(plan)
    said = check_replay(shop, run=plan["run"])
    assert not said["same"]
    assert said["said"][0] == "the training set is another one than was hashed when the version was registered"
    # where the version's own file was changed, the replay is right and says so
    touch(shop, f"runs/train/reorder/{RUN}")
    report = shop.replay("reorder", 1, "own")
    assert report["same"]
    assert report["said"] == [
        "the files that the version was trained on are not what they were: changed, or rows erased"
    ]


def touch(shop: Shop, run: str) -> None:
    path = next(iter(sorted((shop.folder / run / "features").glob("*.parquet"))))
    table = pq.read_table(path)
    name = "days_since"
    values = table[name].to_pylist()
    values[0] += 300
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, pa.array(values, type=table.schema.field(name).type)), path)


def test_another_package_is_told_and_scores_are_compared_all_the_same(known: Shop, tmp_path: Path) -> None:
    class Newer(SklearnTrainer):
        def packages(self) -> dict[str, str]:
            return {**super().packages(), "scikit-learn": "99.0"}

    shop = known.copied(tmp_path)
    there = SklearnTrainer().packages()["scikit-learn"]
    shop.trainer = Newer()
    shop.lake.remove("registry/reorder/golden/base.parquet")  # as where features were renamed
    report = shop.replay("reorder", 1, "newer")
    assert report["packages"]["differ"] == {"scikit-learn": [there, "99.0"]}
    assert report["said"] == [f"scikit-learn was {there} and is 99.0"]
    assert report["same"]
    assert report["scores"]["max_abs_raw"] == 0
    assert list(shop.lake.keys("registry/reorder/golden/")) == []  # only the next training freezes rows


def test_an_erasure_is_why_a_replay_differs(known: Shop, tmp_path: Path) -> None:
    shop = known.copied(tmp_path)
    ticket = {"request": "TICKET-1", "why": "asked", "by": "ops", "at": "2026-11-21T09:00:00Z"}
    erase_customer(shop, tenant_id="north", customer_id="C00003", **ticket)
    report = shop.replay("reorder", 1, "after")
    assert not report["same"]
    assert report["training_set"]["same"] is False
    assert report["erased"]["orders"] > 0
    said = f"({report['erased']['contacts']} of contacts, " if "contacts" in report["erased"] else "("
    assert any(f"{said}{report['erased']['orders']} of orders)" in one for one in report["said"])
    # without the person the two sets are equal: nothing else changed
    assert report["training_set"]["replayed"] == report["training_set"]["original_now"]


def test_a_version_from_before_plans_and_hashes_were_kept_is_compared_by_its_scores(
    known: Shop, tmp_path: Path
) -> None:
    shop = known.copied(tmp_path)
    folder = shop.folder / "registry/reorder/versions/000001"
    (folder / "plan.json").unlink()
    lineage = json.loads((folder / "lineage.json").read_text())
    for name in ("training_set", "seed"):
        del lineage[name]
    (folder / "lineage.json").write_text(json.dumps(lineage))
    report = shop.replay("reorder", 1, "old")
    assert report["training_set"]["same"] is None
    assert "from before training sets were hashed" in report["said"][0]


def test_what_cannot_be_replayed_is_refused(known: Shop) -> None:
    for version, request, error, said in (
        (9, "x", NotFoundError, "no version 9"),
        ("1", "x", BadInputError, "replay_of is '1'"),
        (1, "../x", BadInputError, "request is '../x'"),
    ):
        with pytest.raises(error, match=said):
            replay_version(known, model="reorder", version=version, request=request)  # type: ignore[arg-type]
