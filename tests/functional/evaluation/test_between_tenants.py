"""Twenty tenants whose rates differ by a factor of five and more: a model must rank within them to be promoted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.registry.versions import champion_number
from tests.kit.shop import BEGIN, DAY, Shop

GROUP = """
group: history
description: d
owner: o
features: [{name: tenant_level, description: d}, {name: %s, description: d}]
"""
# how often the tenant's customers ordered, and another feature of the customer
SQL = """
with level as (
    select tenant_id, count(*) filter (day >= as_of() - interval 90 day) / count(distinct customer) as rate
    from orders group by all
)
select tenant_id, customer, any_value(level.rate) as tenant_level, %s
from orders join level using (tenant_id) group by all
"""
NOISE = "any_value(hash(customer || tenant_id) % 1000) as noise"
OWN = "count(*) filter (day >= as_of() - interval 90 day) as own"


def world(folder: Path, own: Callable[[np.random.Generator], float], name: str, feature: str) -> Shop:
    """Shops of 120 customers. `own` draws by which factor a customer orders more often than the tenant's others."""
    shop, chance = Shop(folder), np.random.default_rng(1)
    for number in range(20):
        rate = np.exp(chance.normal(np.log(0.006), 0.8))
        mine = np.random.default_rng([5, number])
        rows: list[tuple[str, str, str]] = []
        for customer in range(120):
            gap, day = 1 / (rate * own(mine)), BEGIN
            while (day := day + timedelta(days=float(mine.exponential(gap)) + 0.01)) < DAY:
                rows.append((f"t{number:02}-{len(rows)}", f"C{customer:05}", day.isoformat()))
        shop.land("orders", f"t{number:02}", rows)
    shop.promote()
    shop.pack_files |= {"features/history.yaml": GROUP % name, "features/history.sql": SQL % feature}
    shop.told(population={"description": "d", "sql": "select distinct tenant_id, customer from orders"})
    return shop


def trained(shop: Shop) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What was registered, its gates by name, its metrics."""
    registered = shop.train("reorder", "2025-05-20")
    folder = f"registry/reorder/versions/{registered['version']:06d}"
    gates, metrics = (json.loads(shop.lake.get(f"{folder}/{name}.json")) for name in ("gates", "metrics"))
    return registered, {gate["name"]: gate for gate in gates}, metrics


def test_a_model_that_knows_only_which_tenant_converts_more_is_not_promoted(tmp_path: Path) -> None:
    shop = world(tmp_path, lambda _: 1.0, "noise", NOISE)
    registered, gates, metrics = trained(shop)
    assert metrics["auc"]["low"] > 0.55  # pooled, it would pass
    assert metrics["auc_within"]["high"] < 0.55
    pooled = metrics["pairs_within"] * metrics["auc_within"]["value"]
    pooled += (1 - metrics["pairs_within"]) * metrics["auc_between"]
    assert pooled == pytest.approx(metrics["auc"]["value"])
    assert gates["auc_floor"]["outcome"] == "failed"
    assert gates["lift_floor"]["outcome"] != "passed"
    assert not registered["promoted"]
    assert champion_number(shop.lake, "reorder") is None
    tenths = json.loads(shop.lake.get(f"{registered['run']}/evaluation.json"))["card"]["tenths"]
    assert tenths[0]["lift"] == metrics["lift_of_lists"]
    assert all(tenth["lift"]["low"] < 1 < tenth["lift"]["high"] for tenth in tenths)
    card = shop.lake.get(f"registry/reorder/versions/{registered['version']:06d}/card.md").decode()
    said = f"pooled AUC {metrics['auc']['value']:.3g}: {metrics['auc_within']['value']:.3g} within tenants"
    assert said in card
    assert said in shop.lake.get(f"registry/reorder/versions/{registered['version']:06d}/MLmodel").decode()


def test_a_model_that_ranks_each_tenants_customers_is_promoted_though_their_rates_differ(tmp_path: Path) -> None:
    shop = world(tmp_path, lambda chance: float(np.exp(chance.normal(0, 1.2))), "own", OWN)
    registered, gates, _ = trained(shop)
    assert [gate["said"] for gate in gates.values() if gate["outcome"] != "passed"] == []
    assert registered["promoted"]
