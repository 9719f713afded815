"""A small pack of the tests' own: shops whose customers order now and then, and are contacted now and then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.kit.drops import column, contract
from tests.kit.world import World

BEGIN, DAY = date(2024, 6, 1), date(2025, 6, 1)
TENANTS = ("north", "south", "west")

PACK = """
name: shop
description: A pack for tests.
entity: customer
partition_key: tenant
buckets: 4
datasets: [orders, contacts]
models: [reorder]
"""
MODEL: dict[str, Any] = {
    "name": "reorder",
    "hypothesis": "Who orders often orders again.",
    "owner": "o",
    "population": {"description": "d", "sql": "select distinct tenant_id, customer from orders"},
    "target": {"description": "d", "sql": "select distinct tenant_id, customer from outcome.orders"},
    "horizon_days": 30,
    "settle_days": 1,
    "features": ["history"],
    "training": {"as_of_count": 6, "every_days": 31, "seed": 7},
    "validation": {"folds": 2},
    "candidates": [{"family": "logistic_regression", "grid": [{"C": 1.0}]}],
}
GROUP = """
group: history
description: d
owner: o
features: [{name: orders_90d, description: d}, {name: days_since, description: d}]
"""
GROUP_SQL = """
select tenant_id, customer, count(*) filter (day >= as_of() - interval 90 day) as orders_90d,
    date_diff('day', max(day), as_of()) as days_since
from orders group by all
"""
CONTACTED = "select distinct tenant_id, customer from outcome.contacts"


def spread(name: str, *columns: str) -> str:
    """A contract of events whose columns are texts, the first of them the key. A row is known from its own day on."""
    texts = [column(columns[0], primaryKey=True), *(column(other) for other in columns[1:])]
    return contract(name, "event", *texts, knownAt={"column": "day"})


FILES = {
    "pack.yaml": PACK,
    "models/reorder.yaml": yaml.safe_dump(MODEL),
    "features/history.yaml": GROUP,
    "features/history.sql": GROUP_SQL,
    "contracts/orders.yaml": spread("orders", "number", "customer"),
    "contracts/contacts.yaml": spread("contacts", "contact", "customer"),
}


class Shop(World):
    def __init__(self, folder: Path, rows_per_item: int = 2_000) -> None:
        super().__init__("retail", folder, rows_per_item)
        self.pack, self.pack_files = "shop", dict(FILES)

    def copied(self, folder: Path, rows_per_item: int | None = None, **model: Any) -> Shop:
        """The same lake in another folder, under another definition of the model."""
        other = Shop(folder, rows_per_item or self.rows_per_item)
        source = self.folder
        for path in sorted(source.rglob("*")):
            if path.is_file():
                target = folder / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        return other.told(**model)

    def told(self, **model: Any) -> Shop:
        """This shop, with these fields in its model's YAML."""
        self.pack_files["models/reorder.yaml"] = yaml.safe_dump(MODEL | model)
        return self

    def land(self, dataset: str, tenant: str, rows: Iterable[Sequence[object]], name: str = "a") -> None:
        """Drop a file of these rows; `promote` brings it to Silver."""
        body = [",".join(HEADERS[dataset])]
        body += [",".join(map(str, row)) for row in rows]
        self.put(f"{dataset}/tenant_id={tenant}/{name}.csv", "\n".join([*body, ""]).encode())


HEADERS = {"orders": ("number", "customer", "day"), "contacts": ("contact", "customer", "day")}


def orders(tenant: str, *, customers: int = 150, begin: date = BEGIN, end: date = DAY, seed: int = 1) -> list[Any]:
    """Orders of a tenant, whose customers each order at a rate of their own."""
    chance = np.random.default_rng([seed, TENANTS.index(tenant)])
    found: list[Any] = []
    for number, gap in enumerate(chance.lognormal(4.5, 0.8, customers)):
        day = begin + timedelta(days=float(chance.exponential(gap)))
        while day < end:
            found.append((f"{tenant}-{len(found)}", f"C{number:05d}", day.isoformat()))
            day += timedelta(days=1 + float(chance.exponential(gap)))
    return found


def stocked(folder: Path) -> Shop:
    """A year of orders of three tenants, one of which stopped sending in February, and a few campaigns."""
    shop = Shop(folder)
    for tenant in TENANTS:
        shop.land("orders", tenant, orders(tenant, end=date(2025, 2, 10) if tenant == "west" else DAY))
    months = [date(2024, 12, 15) + timedelta(days=30 * number) for number in range(6)]
    contacts = [
        (f"{month}-{number}", f"C{number:05d}", month.isoformat())
        for place, month in enumerate(months)
        for number in range(place, 150, 10)
    ]
    shop.land("contacts", "north", contacts)
    shop.promote()
    return shop
