"""From a source column to a feature: through CTEs, joins, windows, unions and subqueries, in the packs and by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from propensity.adapters.sqlglot_lineage import SqlglotLineage
from propensity.features.query_lineage import Lineages
from propensity.kernel.errors import PackError
from propensity.kernel.lineage import Lineage
from propensity.lake.silver_tables import shape_of
from propensity.pack.current import contract_of, pack_definition
from propensity.pack.domain.definition import parse_pack
from propensity.runtime.pack_files import pack_files, pack_names

VIEWS = {
    "population": ["tenant_id", "customer_id"],
    "orders": ["tenant_id", "customer", "order_id", "day", "amount", "status"],
    "returns": ["tenant_id", "customer", "order_id", "day", "amount"],
    "members": ["tenant_id", "customer", "tier", "city"],
    "history.members": ["tenant_id", "customer", "tier", "city", "_valid_from", "_valid_to"],
    "outcome.orders": ["tenant_id", "customer", "order_id", "day", "amount", "status"],
}
KEYS = {"tenant_id", "customer"}


def traced(query: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """(columns, conditions, datasets) for each column that is no key."""
    found = SqlglotLineage().trace(query, VIEWS, KEYS, what="group")
    return {name: (one.columns, one.conditions, one.datasets) for name, one in found.items() if name not in KEYS}


def test_a_cte_a_window_and_a_union_are_seen_through() -> None:
    found = traced(
        """
        with moved as (
            select tenant_id, customer, day, amount from orders where status = 'paid'
            union all
            select tenant_id, customer, day, -amount from returns
        ), placed as (
            select *, row_number() over (partition by tenant_id, customer order by day desc) as place from moved
        )
        select tenant_id, customer, sum(amount) as spent, max(day) filter (place <= 3) as third_last, count(*) as n
        from placed
        group by tenant_id, customer
        """
    )
    both = ("orders", "returns")
    assert found == {
        "spent": (("orders.amount", "returns.amount"), ("orders.status",), both),
        "third_last": (("orders.day", "returns.day"), ("orders.status",), both),
        "n": ((), ("orders.status",), both),
    }


def test_what_chooses_rows_is_told_apart_from_what_makes_values() -> None:
    found = traced(
        """
        select p.tenant_id, p.customer_id as customer, m.tier as tier, o.spent, h.moves,
            (select max(r.day) from returns r where r.customer = p.customer_id and r.amount > 5) as returned
        from population p
        left join members m on m.tenant_id = p.tenant_id and m.customer = p.customer_id and m.city <> 'x'
        left join (
            select tenant_id, customer, sum(amount) as spent from orders
            where order_id in (select order_id from returns) group by all
        ) o on o.tenant_id = p.tenant_id and o.customer = p.customer_id
        left join (
            select tenant_id, customer, count(distinct city) as moves from history.members
            qualify row_number() over (partition by tenant_id, customer order by _valid_from) < 9
        ) h on h.tenant_id = p.tenant_id and h.customer = p.customer_id
        """
    )
    assert found == {
        "tier": (("members.tier",), ("members.city",), ("members",)),
        "spent": (("orders.amount",), ("orders.order_id", "returns.order_id"), ("orders",)),
        "moves": (("history.members.city",), ("history.members._valid_from",), ("members",)),
        "returned": (("returns.day",), ("returns.amount",), ("returns",)),
    }


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select tenant_id, customer, max(price) as n from orders group by all", "price"),
        ("select o.tenant_id, o.customer, o.colour as n from orders o", "colour"),
        ("select tenant_id, customer, count(*) as n from baskets group by all", "baskets"),
        ("with o as (select customer from orders) select tenant_id, customer, day as n from o", "tenant_id"),
        ("select tenant_id, customer, from orders where", "Required keyword"),
        ("drop table orders", "no SELECT"),
    ],
)
def test_a_column_or_a_table_that_is_not_there_is_named(query: str, told: str) -> None:
    with pytest.raises(PackError, match=rf"^group: .*{told}"):
        traced(query)


def meaning(query: str) -> str:
    return SqlglotLineage().trace(query, VIEWS, KEYS, what="group")["n"].meaning


def test_equal_meaning_is_told_whatever_the_rest_of_the_query_does() -> None:
    once = "select tenant_id, customer, sum(amount) as n, 1 as m from orders where amount > 2 group by all"
    assert meaning(once) == meaning(once.replace("where", "-- why\n  WHERE").replace("sum", "SUM"))
    assert meaning(once) == meaning(once.replace(", 1 as m", ", max(day) as m, min(day) as k"))
    assert meaning(once) != meaning(once.replace("amount > 2", "amount > 3"))
    assert meaning(once) != meaning(once.replace("sum(amount)", "sum(amount - 1)"))
    assert meaning(once) != meaning(once.replace("sum(amount)", "count(*)"))
    assert meaning(f"{once} union {once}") != meaning(f"{once} union all {once}")
    # to join one more table by the keys changes nothing, unless the join drops customers
    outer = "select p.tenant_id, o.spent as n from population p left join orders o on o.customer = p.customer_id{more}"
    outer = outer.replace("o.spent", "o.amount")
    more = " {} join members m on m.customer = p.customer_id"
    assert meaning(outer.format(more="")) == meaning(outer.format(more=more.format("left")))
    assert meaning(outer.format(more="")) != meaning(outer.format(more=more.format("inner")))
    assert meaning(outer.format(more="")) != meaning(outer.format(more="").replace("left", "inner"))


# by the files' names: a pack.yaml that cannot be read fails its own tests, and not those of all packs
PACKS = [
    (pack, file.removeprefix("models/").removesuffix(".yaml"))
    for pack in pack_names()
    for file in pack_files(pack)
    if file.startswith("models/")
]


@pytest.mark.parametrize(("pack", "model"), PACKS)
def test_lineage_of_a_packs_features_names_columns_of_its_contracts(pack: str, model: str) -> None:
    ports: Any = SimpleNamespace(pack=pack, pack_files=pack_files(pack), query_lineage=SqlglotLineage())
    definition, datasets = pack_definition(ports, model), parse_pack(ports.pack_files, pack).datasets
    columns = {
        f"{view}{dataset}.{name}"
        for dataset in datasets
        for name, _ in shape_of(contract_of(ports, dataset)).columns
        for view in ("", "history.", "outcome.")
    }
    found = Lineages(ports).of(definition)
    assert found.problems == ()
    assert set(found.features) == {feature.name for group in definition.groups for feature in group.features}
    several: list[Lineage] = [*found.features.values(), *found.queries.values()]
    for one in several:
        assert {*one.columns, *one.conditions} <= columns
        assert set(one.datasets) <= set(datasets)
    for name, one in found.features.items():
        assert one.datasets, name
        assert not any(column.startswith("outcome.") for column in (*one.columns, *one.conditions)), name
    assert {"population", "target"} <= set(found.queries)


def test_a_query_that_cannot_be_traced_is_a_problem_and_the_others_are_traced() -> None:
    files = dict(pack_files("automotive"))
    files["features/relation.sql"] = files["features/relation.sql"].replace("max(sold_on)", "max(sold_on_2)")
    files["models/buy.yaml"] = files["models/buy.yaml"].replace("from outcome.sales", "from outcome.leases")
    ports: Any = SimpleNamespace(pack="automotive", pack_files=files, query_lineage=SqlglotLineage())
    found = Lineages(ports).of(pack_definition(ports, "buy"))
    assert [problem.split(":")[0] for problem in found.problems] == ["feature group relation", "model buy, target"]
    assert "sold_on_2" in found.problems[0]
    assert "purchases" not in found.features
    assert found.features["vehicle_age_years"].columns == ("vehicles.first_registered_on",)
    assert set(found.queries) == {"population", "filter", "segment"}


def test_lineage_of_what_one_knows() -> None:
    ports: Any = SimpleNamespace(pack="automotive", pack_files=pack_files("automotive"), query_lineage=SqlglotLineage())
    found = Lineages(ports).of(pack_definition(ports, "buy"))
    lease = found.features["months_to_lease_end"]
    assert lease.columns == ("leases.ends_on",)
    assert lease.conditions == ("leases.vin", "vehicles.valid_from", "vehicles.vin")
    assert found.features["purchases"].datasets == ("sales",)
    assert found.features["tenure_years"].columns == ("sales.sold_on", "service_records.visited_at")
    assert found.queries["target"].datasets == ("sales",)
    assert "leases.ends_on" in found.queries["filter"].conditions
