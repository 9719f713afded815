"""A feature that rests on other tenants' rows answers by how the work was cut: its plan is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from propensity.kernel.errors import PackError
from propensity.registry.versions import load_version
from propensity.scoring.plan_scoring import plan_scoring
from propensity.training.plan_training import plan_training
from tests.kit.registries import crown
from tests.kit.shop import DAY, FILES, Shop, orders


def feature(value: str, source: str = "orders") -> str:
    """A group's SQL with this SQL for days_since."""
    return f"select tenant_id, customer, count(*) as orders_90d, {value} as days_since from {source} group by all"


PER_TENANT = """
with sizes as (
    select tenant_id, count(*) as n, median(date_diff('day', day, as_of())) as m from orders group by tenant_id
)
select o.tenant_id, o.customer, count(*) as orders_90d, any_value(s.m) / any_value(s.n) as days_since
from orders o join sizes s using (tenant_id) group by all
"""
TWO_OF_A_NAME = """
select o.tenant_id, o.customer, count(distinct o.number) as orders_90d, count(p.number) as days_since
from orders o join orders p on o.customer = p.customer group by all
"""
AMONG_ALL = """
with others as (select quantile_cont(date_diff('day', day, as_of()), 0.9) as p from orders)
select tenant_id, customer, count(*) as orders_90d, max(date_diff('day', day, as_of())) / any_value(p) as days_since
from orders, others group by all
"""
SAME_CUSTOMER = """
select distinct tenant_id, customer, 1 as orders_90d, count(*) over (partition by customer) as days_since from orders
"""
WIDE = {
    "(select count(*) from orders) counts other tenants' rows; correlate by tenant_id": feature(
        "(select count(*) from orders)"
    ),
    "(select max(day) from orders) counts other tenants": feature(
        "date_diff('day', (select max(day) from orders), as_of())"
    ),
    "rank() over (order by count(*)) counts other tenants' rows": feature("rank() over (order by count(*))"),
    "; partition by tenant_id": SAME_CUSTOMER,
    "join on tenant_id": TWO_OF_A_NAME,
    "others reads other tenants' rows": AMONG_ALL,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two tenants, in buckets of their own."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    for tenant in ("north", "south"):
        shop.land("orders", tenant, orders(tenant, customers=60))
    shop.promote()
    return shop


@pytest.fixture
def told(shop: Shop, tmp_path: Path) -> Callable[..., Shop]:
    def tell(group: str, **model: Any) -> Shop:
        other = shop.copied(tmp_path)
        other.pack_files = {**FILES, "features/history.sql": group}
        return other.told(**model)

    return tell


@pytest.mark.parametrize("what", WIDE)
def test_a_training_whose_feature_reads_other_tenants_is_not_planned(what: str, told: Callable[..., Shop]) -> None:
    with pytest.raises(PackError, match="feature group history, feature days_since: ") as raised:
        plan_training(told(WIDE[what]), model="reorder", as_of=DAY.isoformat())
    assert what in str(raised.value)


def test_a_feature_that_compares_within_its_tenant_is_planned(told: Callable[..., Shop]) -> None:
    assert plan_training(told(PER_TENANT), model="reorder", as_of=DAY.isoformat())["build_items"]


def test_where_rows_are_spread_by_customer_not_even_the_own_tenant_may_be_counted(told: Callable[..., Shop]) -> None:
    shop = told(PER_TENANT)
    shop.pack_files["pack.yaml"] = FILES["pack.yaml"].replace("partition_key: tenant", "partition_key: entity")
    for path in ("contracts/orders.yaml", "contracts/contacts.yaml"):
        with shop.edited(path) as contract:
            contract["schema"][0]["customProperties"].append({"property": "partitionKey", "value": "customer"})
    with pytest.raises(PackError, match="when other customers' rows lie beside theirs"):
        plan_training(shop, model="reorder", as_of="2025-05-31")
    shop.pack_files["features/history.sql"] = FILES["features/history.sql"]
    assert plan_training(shop, model="reorder", as_of="2025-05-31")["build_items"]


def test_a_population_that_takes_others_into_account_is_refused(told: Callable[..., Shop]) -> None:
    most = "select tenant_id, customer from orders group by all having count(*) > (select avg(number) from {})"
    of_all = most.format("(select count(*) as number from orders group by customer)")
    population = {"description": "d", "sql": of_all}
    with pytest.raises(PackError, match=r"model reorder, population: .* customers of a sample belong to it only"):
        plan_training(told(FILES["features/history.sql"], population=population), model="reorder", as_of="2025-05-30")


def test_a_version_whose_feature_reads_other_tenants_scores_nobody(told: Callable[..., Shop]) -> None:
    shop = told(FILES["features/history.sql"])
    version = shop.train("reorder", DAY.isoformat())
    crown(shop.lake, "reorder", version["version"])
    folder = load_version(shop.lake, "reorder", version["version"]).folder
    (shop.folder / folder / "definition/features/history.sql").write_text(TWO_OF_A_NAME)
    with pytest.raises(PackError, match="feature group history, feature days_since"):
        plan_scoring(shop, model="reorder", as_of=DAY.isoformat(), scope="batch")
