"""What is true of the generated dealers, for their files to be held against: probabilities, rates, and who is whom."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.stack.automotive.people import People
from tests.stack.automotive.simulate import START, World


def day_of(number: int) -> date:
    return START + timedelta(days=number)


def customer_id(number: int) -> str:
    return f"C{number:07d}"


def vin(number: int) -> str:
    return f"WAUZZZ8K{number:09d}"


def dealers_told(world: World) -> list[dict[str, Any]]:
    """Of each dealer how many customers it has on the scoring day, and their true rates."""
    tenant = world.tenant[world.truth["customer"]]
    found = []
    for number, dealer in enumerate(world.dealers):
        own = tenant == number
        one: dict[str, Any] = {"tenant_id": dealer, "customers": int(own.sum())}
        for model in ("buy", "service"):
            probability, outcome = world.truth[model]
            one[model] = {
                "rate": round(float(probability[own].mean()), 5) if own.any() else None,
                "positives": int(outcome[own].sum()),
            }
        found.append(one)
    return found


def pairs_told(world: World, known: People) -> list[dict[str, Any]]:
    return [
        {
            "tenant_id": world.dealers[pair.tenant],
            "customers": [customer_id(pair.first), customer_id(pair.second)],
            "kind": pair.kind,
            "same_person": pair.same_person,
            "same_household": pair.same_household,
        }
        for pair in known.pairs
    ]


def write_truth(world: World, out: Path) -> Path:
    who = world.truth["customer"]
    tables = []
    for model in ("buy", "service"):
        probability, outcome = world.truth[model]
        tables.append(
            pa.table(
                {
                    "tenant_id": [world.dealers[int(world.tenant[customer])] for customer in who],
                    "customer_id": [customer_id(int(customer)) for customer in who],
                    "model": [model] * len(who),
                    "probability": probability,
                    "outcome": outcome,
                }
            )
        )
    path = out / "truth.parquet"
    pq.write_table(pa.concat_tables(tables), path)
    return path


def write_people(world: World, known: People, out: Path) -> Path:
    """The truth of who is whom, for every customer; a person's and a household's number is its first customer's."""
    customers = range(len(world.joined))
    path = out / "people.parquet"
    table = {
        "tenant_id": [world.dealers[int(world.tenant[customer])] for customer in customers],
        "customer_id": [customer_id(customer) for customer in customers],
        "person": [customer_id(int(known.person[customer])) for customer in customers],
        "household": [customer_id(int(known.household[customer])) for customer in customers],
    }
    pq.write_table(pa.table(table), path)
    return path
