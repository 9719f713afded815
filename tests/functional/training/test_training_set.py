"""Who is in a training set, and who is left out and why. A cap shifts no probability; the hash is one, however cut."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.kernel.errors import EvidenceError, PackError
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.run_files import read_plan, results_of
from propensity.stats.calibration import Calibration
from propensity.tenants.record_lines import append_record_line as append_line
from propensity.training.data import TrainingData, read_training
from propensity.training.plan_training import plan_training
from propensity.training.report import read_hashed, training_report
from tests.kit.shop import CONTACTED, DAY, Shop, stocked

RUN = DAY.isoformat()


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return stocked(tmp_path_factory.mktemp("shop"))


def built(shop: Shop, **silver: Any) -> tuple[dict[str, Any], TrainingData, pa.Table]:
    """A run's report, its training set as fits read it, and the rows of its feature files."""
    plan = shop.prepare("reorder", RUN, silver=SilverAt(**silver))
    results = results_of(shop.lake, plan["run"], BuildResult, len(shop.items(plan["build_items"])))
    definition = read_definition(shop.lake, f"{plan['run']}/definition", "reorder")
    keys = [result.features for result in results]
    data, digest = read_hashed(shop, keys, definition)
    told = read_plan(shop.lake, plan["run"], TrainingPlan)
    report = training_report(told, results, definition, data, digest)
    return report, data, pa.concat_tables([pq.read_table(shop.folder / key) for key in keys])


def test_a_tenant_that_left_is_out_of_every_window_that_ends_after_its_last_day(stock: Shop, tmp_path: Path) -> None:
    report, data, rows = built(stock.copied(tmp_path))
    assert report["silent_tenants"] == {"west": "2025-02-10"}
    for one in report["dates"]:
        there = sum(
            tenant == "west"
            for tenant in rows.filter(pa.compute.equal(rows["as_of"], day(one)))["tenant_id"].to_pylist()
        )
        assert one["left_out"].get("tenant_silent", 0) == (there if one["window"][1] > "2025-02-10" else 0)
        assert one["population"] == one["rows"] + sum(one["left_out"].values())
    assert report["rows"] == len(data.labels) == report["population"] - report["left_out"]["tenant_silent"]
    # a tenant without rows in the last month is not silent yet
    more, _, _ = built(stock.copied(tmp_path / "patient", censored={"silent_days": 200}))
    assert (more["silent_tenants"], more["left_out"], more["rows"]) == ({}, {}, report["population"])


def day(one: dict[str, Any]) -> pa.Scalar:
    return pa.scalar(date.fromisoformat(one["as_of"]))


def test_windows_that_a_past_silver_could_not_know_are_immature(stock: Shop, tmp_path: Path) -> None:
    shop = stock.copied(tmp_path)
    plan = plan_training(shop, model="reorder", as_of=RUN)
    path = shop.folder / plan["run"] / "plan.json"
    items = [shop.folder / item for item in shop.items(plan["build_items"])]
    for one in (path, *items):  # "as of a time" goes by the lake's clock, which no test can turn back
        one.write_text(json.dumps(json.loads(one.read_text()) | {"outcomes_until": "2025-04-15"}))
    report, _, _ = built(shop)
    for one in report["dates"]:
        late = one["window"][1] > "2025-04-14"  # one day to settle
        assert (one["left_out"].get("immature", 0) == one["population"]) == late
        assert late == (one["rows"] == 0)
    assert sum(one["rows"] == 0 for one in report["dates"]) == 2


def test_a_closed_tenant_and_customers_named_by_sql_are_left_out_each_under_one_name(
    stock: Shop, tmp_path: Path
) -> None:
    even = "select distinct tenant_id, customer from orders where customer like '%0'"
    shop = stock.copied(tmp_path, censored={"sql": even, "silent_days": 200})
    for state, at in (("active", "2024-01-01"), ("suspended", "2025-03-01"), ("active", "2025-03-20")):
        body = {"state": state, "why": "because"}
        append_line(shop.lake, "south", body, ["orders"], by="ops", at=f"{at}T00:00:00+00:00")
    report, _, rows = built(shop)
    # outcomes of a window's last day are known one day after its end
    hit = [one for one in report["dates"] if one["window"][0] < "2025-03-20" and one["window"][1] > "2025-02-28"]
    for one in report["dates"]:
        mine = rows.filter(pa.compute.equal(rows["as_of"], day(one)))
        assert ("south" in mine["tenant_id"].to_pylist()) == (one not in hit)
        assert not any(customer.endswith("0") for customer in mine["customer_id"].to_pylist())
        assert (one["left_out"].get("tenant_closed", 0) > 0) == (one in hit)
        assert one["left_out"]["censored"] > 0
        assert one["population"] == one["rows"] + sum(one["left_out"].values())
    assert 0 < len(hit) < len(report["dates"])
    assert report["closed_tenants"] == ["south"]


@pytest.mark.parametrize("policy", ["exclude", "weight", "keep"])
def test_rows_under_treatment_are_handled_as_the_model_says(stock: Shop, tmp_path: Path, policy: str) -> None:
    treatment: dict[str, Any] = {"description": "Called in a campaign.", "sql": CONTACTED, "policy": policy}
    if policy == "weight":
        treatment["weight"] = 0.25
    plain, everyone, _ = built(stock.copied(tmp_path / "plain"))
    report, data, rows = built(stock.copied(tmp_path / policy, treatment=treatment))
    if policy == "exclude":
        assert report["treatment"]["rows"] == 0 < report["treatment"]["left_out"]
        assert report["rows"] == plain["rows"] - report["treatment"]["left_out"]
        assert not any(rows["_treated"].to_pylist())
        assert "left out: scores are of customers nobody approached" in " ".join(report["limits"])
        return
    under = sum(rows["_treated"].to_pylist())
    assert (report["treatment"]["rows"], report["rows"]) == (under, plain["rows"])
    assert under > 30
    assert "count" in report["limits"][0]
    if policy == "keep":
        assert (data.fit_weights, data.valid_weights) == (None, None)
    else:
        for weights in (data.fit_weights, data.valid_weights):
            assert Counter(weights.tolist()) == {0.25: under, 1.0: len(data.labels) - under}
        assert (data.labels == everyone.labels).all()
    assert report["hash"] != plain["hash"] or policy == "keep"


def test_sql_of_treatment_may_not_see_past_the_window(stock: Shop, tmp_path: Path) -> None:
    treatment = {"description": "d", "sql": "select tenant_id, customer from silver.contacts", "policy": "keep"}
    with pytest.raises(PackError, match=r"model reorder, treatment: names silver\.contacts"):
        built(stock.copied(tmp_path, treatment=treatment))


def test_nobody_left_is_told_with_the_reasons(stock: Shop, tmp_path: Path) -> None:
    all_of_them = {"sql": "select distinct tenant_id, customer from orders"}
    with pytest.raises(EvidenceError, match=r"0 of 0 training rows .*; left out: \d+ censored"):
        built(stock.copied(tmp_path, censored=all_of_them))


CAPPED: dict[str, Any] = {"training": {"as_of_count": 6, "every_days": 31, "seed": 7, "max_rows": 600}}


def test_weighted_rows_of_a_cap_are_as_many_as_there_are(stock: Shop, tmp_path: Path) -> None:
    plain, _, _ = built(stock.copied(tmp_path / "plain"))
    report, data, _ = built(stock.copied(tmp_path / "capped", **CAPPED))
    assert report["rows"] == plain["rows"] > 1_000
    assert report["fitted"]["rows"] == pytest.approx(600, abs=60)
    assert report["fitted"]["positives"] == pytest.approx(min(300, plain["positives"]), abs=40)
    for one in report["dates"]:
        there = data.as_of == np.datetime64(one["as_of"])
        for label, count in ((1, one["positives"]), (0, one["rows"] - one["positives"])):
            assert data.fit_weights[there & (data.labels == label)].sum() == pytest.approx(count)
        # the rows to validate on are not chosen by label, and each counts once
        assert set(data.valid_weights[there]) <= {0.0, 1.0}
        if one["sampled"]["validation"]:
            assert data.validated[there].sum() == one["rows"]  # no date is larger than the cap
            assert data.labels[there & data.validated].sum() == one["positives"]
        else:
            assert not data.validated[there].any()
    # rows that the cap drops are not kept, unless they are validated on
    assert len(data.labels) < plain["rows"]
    assert (data.fitted | data.validated).all()


def test_the_card_says_what_a_treatment_does_to_the_scores(stock: Shop, tmp_path: Path) -> None:
    treatment = {"description": "Called in a campaign.", "sql": CONTACTED, "policy": "keep"}
    shop = stock.copied(tmp_path, treatment=treatment)
    folder = shop.folder / f"registry/reorder/versions/{shop.train('reorder', RUN)['version']:06d}"
    limit = json.loads((folder / "training.json").read_text())["limits"][0]
    assert "were under a campaign in their window and count as any other" in limit
    assert limit in (folder / "card.md").read_text()


def test_another_seed_draws_other_rows_and_an_equal_one_the_same(stock: Shop, tmp_path: Path) -> None:
    seeds = [
        built(stock.copied(tmp_path / str(place), training=CAPPED["training"] | {"seed": seed}))[0]["hash"]
        for place, seed in enumerate((7, 7, 8))
    ]
    assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.parametrize("model", [{}, CAPPED])
def test_the_set_and_its_hash_do_not_depend_on_how_the_work_was_cut(
    stock: Shop, tmp_path: Path, model: dict[str, Any]
) -> None:
    many = built(stock.copied(tmp_path / "many", rows_per_item=500, **model))
    one = built(stock.copied(tmp_path / "one", rows_per_item=1_000_000, **model))
    assert many[0] == one[0]
    assert (many[1].matrix == one[1].matrix).all()
    assert (many[1].labels == one[1].labels).all()


def test_a_capped_models_calibrated_mean_is_the_rate_of_all_rows(stock: Shop, tmp_path: Path) -> None:
    means = []
    for name, model in (("plain", {}), ("capped", CAPPED)):
        shop = stock.copied(tmp_path / name, **model)
        registered = shop.train("reorder", RUN)
        folder = shop.folder / f"registry/reorder/versions/{registered['version']:06d}"
        report = json.loads((folder / "training.json").read_text())
        lineage = json.loads((folder / "lineage.json").read_text())
        assert lineage["training_set"] == report["hash"]
        assert json.loads((folder / "metrics.json").read_text())["training_set"] == report["hash"]
        calibration = Calibration.from_json(json.loads((folder / "calibration.json").read_text()))
        keys = sorted(shop.lake.keys(f"runs/train/reorder/{RUN}/features/"))
        definition = read_definition(shop.lake, f"runs/train/reorder/{RUN}/definition", "reorder")
        validated = read_training(shop, keys, definition)
        seen = validated.validated & (validated.as_of >= np.unique(validated.as_of)[-2])
        scores = calibration.apply(shop.scorer((folder / "model.onnx").read_bytes()).predict(validated.matrix[seen]))
        true = validated.labels[seen].mean()
        assert scores.mean() == pytest.approx(true, abs=0.03)
        base = json.loads((folder / "reference.json").read_text())["base_rate"]
        assert base == pytest.approx(report["positives"] / report["rows"])
        means.append(float(scores.mean()))
    assert means[0] == pytest.approx(means[1], abs=0.02)
