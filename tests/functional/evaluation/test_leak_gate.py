"""Columns that were written after their date hold a version back, by name; strong honest features do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.training.fit_candidate import fit_candidate
from tests.kit.planted import change_rows, with_column
from tests.kit.shop import DAY, FILES, Shop, stocked

EXTRA = "extra"
Plant = Callable[["Rows"], Any]


class Rows:
    """A training set's rows, with what their customers did over the whole of the extract."""

    def __init__(self, shop: Shop, table: pa.Table) -> None:
        self.chance = np.random.default_rng(3)
        self.who = list(zip(table["tenant_id"].to_pylist(), table["customer_id"].to_pylist(), strict=True))
        self.day = table["as_of"].to_numpy().astype("datetime64[D]").astype(np.int64)
        self.label = table["label"].to_numpy()
        self.orders: dict[tuple[str, str], list[int]] = {}
        for tenant, customer, day in shop.query(
            "select tenant_id, customer, day::date - date '1970-01-01' from s", s="silver/orders"
        ):
            self.orders.setdefault((tenant, customer), []).append(int(day))
        self.last = np.array([max(self.orders[who]) for who in self.who], dtype=float)

    def each(self, told: Callable[[list[int], int], float]) -> Any:
        return np.array([told(self.orders[who], int(day)) for who, day in zip(self.who, self.day, strict=True)])

    def per_customer(self, draw: Callable[[int], Any]) -> Any:
        places = {who: number for number, who in enumerate(sorted(set(self.who)))}
        return draw(len(places))[[places[who] for who in self.who]]


def later(orders: list[int], day: int) -> float:
    return float(sum(order >= day for order in orders))


LEAKS: dict[str, Plant] = {
    "the newest order of the extract": lambda rows: rows.last,
    "the newest order of the extract, with noise": lambda rows: (
        rows.last + rows.per_customer(lambda count: rows.chance.normal(0, 40, count))
    ),
    "the difference to the newest order": lambda rows: rows.last - rows.day,
    "how many orders are still to come": lambda rows: rows.each(later),
    "whether a later order is there": lambda rows: rows.each(lambda orders, day: float(later(orders, day) > 0)),
    "a status set by the outcome": lambda rows: (rows.last >= rows.day.max()).astype(float),
    "an id that grows with the outcome": lambda rows: np.unique(rows.last, return_inverse=True)[1] * 10.0 + 100,
}


def next_order(rows: Rows, share: float) -> Any:
    """Days to a date that was agreed long before: for a share of customers it is about when they order next."""
    agreed = rows.per_customer(lambda count: rows.chance.random(count)) < share
    nearest = rows.each(lambda orders, day: float(min([order - day for order in orders if order >= day], default=400)))
    other = rows.per_customer(lambda count: rows.chance.uniform(0, 400, count)) - (rows.day - rows.day.min()) % 400
    return np.where(agreed, np.minimum(nearest, 400) + rows.chance.normal(0, 20, len(rows.day)), other)


HONEST: dict[str, Plant] = {
    "recency": lambda rows: rows.each(lambda orders, day: float(day - max(order for order in orders if order < day))),
    "frequency": lambda rows: rows.each(lambda orders, day: float(sum(order < day for order in orders))),
    "a lease that ends": lambda rows: next_order(rows, 0.3),
    "a lease that tells six of ten": lambda rows: next_order(rows, 0.6),
    "a trait that never changes": lambda rows: rows.per_customer(lambda count: rows.chance.integers(0, 4, count)),
    "nothing": lambda rows: rows.chance.normal(0, 1, len(rows.day)),
}


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
    change_rows(other, plan, lambda table: with_column(table, EXTRA, plant(Rows(shop, table)).astype(np.float64)))
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
