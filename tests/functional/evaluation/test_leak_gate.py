"""Columns that were written after their date hold a version back, by name; strong honest features do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.training.fit_candidate import fit_candidate
from tests.kit.leaks import HONEST, LEAKS, Plant, Rows, Who
from tests.kit.planted import change_rows, with_column
from tests.kit.shop import DAY, FILES, Shop, stocked

EXTRA = "extra"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, dict[str, Any]]:
    shop = stocked(tmp_path_factory.mktemp("leaks"))
    group = FILES["features/history.yaml"].replace("]\n", f", {{name: {EXTRA}, description: d}}]\n")
    sql = FILES["features/history.sql"].replace("from orders", f", count(*)::double as {EXTRA} from orders")
    shop.pack_files |= {"features/history.yaml": group, "features/history.sql": sql}
    shop.told(
        candidates=[{"family": "hist_gradient_boosting", "grid": [{"max_iter": 30, "min_samples_leaf": 20}]}],
        validation={"folds": 2},
    )
    return shop, shop.prepare("reorder", f"{DAY}")


def judged(prepared: tuple[Shop, dict[str, Any]], folder: Path, plant: Plant) -> dict[str, dict[str, Any]]:
    shop, plan = prepared
    other = shop.copied(folder)
    other.pack_files = dict(shop.pack_files)
    told: dict[Who, list[float]] = {}
    for tenant, customer, day in shop.query(
        "select tenant_id, customer, day::date - date '1970-01-01' from s", s="silver/orders"
    ):
        told.setdefault((tenant, customer), []).append(float(day))
    change_rows(other, plan, lambda table: with_column(table, EXTRA, plant(Rows(table, told)).astype(np.float64)))
    for item in other.items(plan["fit_items"]):
        fit_candidate(other, item=item)
    evaluate_candidate(other, run=plan["run"])
    gates = json.loads(other.lake.get(f"{plan['run']}/evaluation.json"))["gates"]
    return {gate["name"]: gate for gate in gates}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_written_after_its_date_holds_the_version_and_is_named(
    prepared: tuple[Shop, dict[str, Any]], tmp_path: Path, leak: str
) -> None:
    gate = judged(prepared, tmp_path, LEAKS[leak])["leak_model"]
    assert not gate["passed"], gate
    assert f"{EXTRA} (AUC " in gate["said"]
    assert "orders_90d" not in gate["said"]


@pytest.mark.parametrize("feature", HONEST)
def test_an_honest_feature_passes_however_strong(
    prepared: tuple[Shop, dict[str, Any]], tmp_path: Path, feature: str
) -> None:
    gate = judged(prepared, tmp_path, HONEST[feature])["leak_model"]
    assert gate["passed"], gate["said"]


def test_a_feature_that_an_early_fold_does_not_know_is_left_out_there_and_said(
    prepared: tuple[Shop, dict[str, Any]], tmp_path: Path
) -> None:
    """It began to be recorded on the newest date but one."""

    def begun(rows: Rows) -> Any:
        return np.where(rows.day >= np.unique(rows.day)[-2], rows.chance.normal(0, 1, len(rows.day)), np.nan)

    gate = judged(prepared, tmp_path, begun)["known_features"]
    assert gate["passed"]
    assert f"left out where no earlier row knew them: {EXTRA} in the fold of " in gate["said"]


def test_a_feature_that_no_row_knows_holds_the_version(prepared: tuple[Shop, dict[str, Any]], tmp_path: Path) -> None:
    gate = judged(prepared, tmp_path, lambda rows: np.full(len(rows.day), np.nan))["known_features"]
    assert not gate["passed"]
    assert gate["said"].startswith(f"1 features have no known value in the training rows: {EXTRA}")
