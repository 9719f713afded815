"""What a batch was scored on is held against what a training reads for its day, and a gate listens."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.feedback.audit_features import audit_due, audit_features
from propensity.feedback.run_matchback import run_matchback
from tests.kit import shop as kit
from tests.kit.drops import column, contract
from tests.kit.registries import crown
from tests.kit.shop import FILES, Shop, orders

SCORED, CLOSED, TRAINED = date(2025, 4, 20), "2025-05-21", "2025-05-23"
TENANTS = ("north", "south")


def sold(shop: Shop, name: str, begin: date, end: date) -> None:
    for tenant in TENANTS:
        rows = [row for row in orders(tenant, customers=300) if begin.isoformat() <= row[2] < end.isoformat()]
        shop.land("orders", tenant, rows, name)
    shop.promote()


def fed(folder: Path, late: int) -> tuple[Shop, str]:
    """A shop whose files come so many days late, after a batch; and the batch's run."""
    shop, there = Shop(folder), SCORED - timedelta(days=late)
    sold(shop, "a", kit.BEGIN, there)
    crown(shop.lake, "reorder", shop.train("reorder", SCORED.isoformat())["version"])
    run = shop.score("reorder", SCORED.isoformat())["run"]
    sold(shop, "b", there, kit.DAY)
    return shop, run


def gate(shop: Shop, version: dict[str, Any], name: str = "as_served") -> dict[str, Any]:
    found = json.loads(shop.lake.get(f"{version['run']}/evaluation.json"))["gates"]
    return next(one for one in found if one["name"] == name)


def test_a_feed_that_comes_twenty_days_late_is_found_and_holds_the_next_version_back(tmp_path: Path) -> None:
    shop, run = fed(tmp_path, late=20)
    assert audit_due(shop, slot="2025-05-20")["audited"] == []  # its outcomes are not settled
    [answer] = audit_due(shop, slot=CLOSED)["audited"]
    assert answer["above_limit"] == 2
    report = json.loads(shop.lake.get(f"{run}/as_served.json"))
    late = report["features"]["days_since"]
    assert late["differing"] > 0.1 * late["rows"] > 0
    assert shop.query("select sum(differing), sum(n) from a where feature = 'days_since'", a="gold/as_served") == [
        (late["differing"], late["rows"])
    ]
    assert shop.metrics.total(["FeaturesServedOtherwise"]) == 2

    version = shop.train("reorder", TRAINED)
    found = gate(shop, version)
    assert (found["passed"], found["n"]) == (False, late["rows"])
    assert "as_served" in version["failed_gates"]
    assert "scored on another" in found["said"]


def test_a_feed_that_comes_in_time_passes_and_an_audit_is_made_once(tmp_path: Path) -> None:
    shop, run = fed(tmp_path, late=0)
    assert audit_due(shop, slot=CLOSED)["audited"][0]["above_limit"] == 0
    before = shop.lake.get(f"{run}/as_served.json")
    assert audit_due(shop, slot=CLOSED)["audited"] == []
    audit_features(shop, run=run, slot="2025-06-30")
    assert shop.lake.get(f"{run}/as_served.json") == before
    assert shop.query("select count(*), sum(differing) from a", a="gold/as_served") == [(4, 0)]
    found = gate(shop, shop.train("reorder", TRAINED))
    assert (found["passed"], found["figure"]) == (True, 0.0)


def test_a_batch_whose_files_are_gone_does_not_stop_the_others_audit(tmp_path: Path) -> None:
    shop, run = fed(tmp_path, late=0)
    later = shop.score("reorder", "2025-04-21")["run"]
    for item in shop.items(f"{run}/items.json"):
        (tmp_path / json.loads(shop.lake.get(item))["out"]).unlink()
    answer = audit_due(shop, slot="2025-05-22")
    assert [one["run"] for one in answer["audited"]] == [later]
    [reason] = answer["not_audited"]
    assert reason.startswith(f"{run}: ")
    assert shop.metrics.total(["RunsNotAudited"]) == 1


HOT = """
select o.tenant_id, o.customer, count(*) filter (o.day >= as_of() - interval 90 day) as orders_90d,
    date_diff('day', max(o.day), as_of()) as days_since, coalesce(any_value(p.status) = 'hot', false)::int as hot
from orders o left join profiles p using (tenant_id, customer) group by all
"""


def with_profiles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, dict[str, list[str]]]:
    """A shop with orders up to the scored day and a first export of profiles, all plain; its customers by tenant."""
    monkeypatch.setitem(kit.HEADERS, "profiles", ("customer", "status", "day"))
    shop = Shop(folder)
    named = contract(
        "profiles", "state", column("customer", primaryKey=True), column("status"), knownAt={"column": "day"}
    )
    shop.pack_files |= {
        "pack.yaml": FILES["pack.yaml"].replace("[orders, contacts]", "[orders, contacts, profiles]"),
        "contracts/profiles.yaml": named,
        "features/history.yaml": FILES["features/history.yaml"].replace("}]", "}, {name: hot, description: d}]"),
        "features/history.sql": HOT,
    }
    customers = {}
    for tenant in TENANTS:
        rows = [row for row in orders(tenant, customers=400) if row[2] < SCORED.isoformat()]
        customers[tenant] = sorted({customer for _, customer, _ in rows})
        shop.land("orders", tenant, rows)
        shop.land("profiles", tenant, [(customer, "plain", "2024-05-01") for customer in customers[tenant]], "first")
    shop.promote()
    return shop, customers


def exported(folder: Path, *, restated: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """AUC of the newest fold and of what came, where a re-export may write what the orders showed under an old date."""
    shop, _ = with_profiles(folder, monkeypatch)
    chance = np.random.default_rng(3)
    for tenant in TENANTS if restated else ():
        rows = [row for row in orders(tenant, customers=400) if row[2] < SCORED.isoformat()]
        last = {customer: day for _, customer, day in sorted(rows, key=lambda row: row[2])}
        hot = {one for one in sorted(last) if last[one] >= "2025-02-20" and chance.random() < 0.8}
        again = [(one, "hot" if one in hot else "plain", "2024-05-01") for one in sorted(last)]
        shop.land("profiles", tenant, again, "second")
    shop.promote()
    version = shop.train("reorder", SCORED.isoformat())
    fold = json.loads(shop.lake.get(f"{version['run']}/evaluation.json"))["metrics"]["auc"]["value"]
    crown(shop.lake, "reorder", version["version"])
    run = shop.score("reorder", SCORED.isoformat())["run"]
    sold(shop, "b", SCORED, kit.DAY)
    run_matchback(shop, run=run, known_by=CLOSED)
    return fold, json.loads(shop.lake.get(f"{run}/matchback-{CLOSED}.json"))["segments"]["all"]["auc"]["value"]


@pytest.mark.parametrize(("dated", "differing"), [("2024-05-01", False), ("2025-04-10", True)])
def test_a_reexport_that_comes_after_the_batch_under_a_day_of_its_own_is_found_by_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dated: str, differing: bool
) -> None:
    """Under the day of the first export it counts from its arrival; a newer day is believed, and the audit sees it."""
    shop, customers = with_profiles(tmp_path, monkeypatch)
    crown(shop.lake, "reorder", shop.train("reorder", SCORED.isoformat())["version"])
    run = shop.score("reorder", SCORED.isoformat())["run"]
    for tenant in TENANTS:
        again = [(one, "hot" if number % 3 else "plain", dated) for number, one in enumerate(customers[tenant])]
        shop.land("profiles", tenant, again, "second")
    sold(shop, "b", SCORED, kit.DAY)
    assert audit_due(shop, slot=CLOSED)["audited"][0]["above_limit"] == int(differing)
    report = json.loads(shop.lake.get(f"{run}/as_served.json"))["features"]
    assert (report["hot"]["differing"] > 0.5 * report["hot"]["rows"]) == differing
    assert {name: one["differing"] for name, one in report.items() if name != "hot"} == {
        "orders_90d": 0,
        "days_since": 0,
    }
    version = shop.train("reorder", TRAINED)
    assert ("as_served" in version["failed_gates"]) == differing


def test_a_reexport_of_changed_values_under_an_old_date_does_not_flatter_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = exported(tmp_path / "plain", restated=False, monkeypatch=monkeypatch)
    again = exported(tmp_path / "again", restated=True, monkeypatch=monkeypatch)
    assert again == pytest.approx(plain, abs=1e-9)
    assert abs(again[0] - again[1]) < 0.05
