"""Which planted leaks the gate `leak_model` holds, and which honest features pass, on the packs that ship.

python -m tests.bench.leaks [model …]: each column is planted into the training set of a pack's model, one candidate is
fitted, and the gates judge it. A pack whose data is not beside this project is left out.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.training.fit_candidate import fit_candidate
from tests.kit.leaks import HONEST, LEAKS, Plant, Rows, Who
from tests.kit.planted import change_rows, with_column
from tests.kit.world import World
from tests.stack import bank_marketing, scenarios
from tests.stack.automotive import AS_OF, generate
from tests.stack.stack import ROOT

EXTRA = "planted"
SHARED = ROOT.parent / "shared/data"
BOUGHT = "customer_id is not null and invoice not like 'C%' and quantity > 0 and unit_price > 0"
TREES = {"learning_rate": 0.06, "max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 50, "l2_regularization": 10.0}


@dataclass(frozen=True)
class Setting:
    """A model of a pack, and where the days of its outcomes stand. `days` gives tenant, customer and day number."""

    model: str
    as_of: date
    group: str
    table: str
    days: str
    candidate: Mapping[str, Any] = field(default_factory=lambda: {"family": "hist_gradient_boosting", "grid": [TREES]})


def day_of(column: str) -> str:
    return f"epoch({column}::timestamp) / 86400"


SERVICE = Setting(
    "service",
    AS_OF,
    "relation",
    "silver/service_records",
    f"select tenant_id, customer_id, {day_of('visited_at')} from s",
)
BUY = Setting("buy", AS_OF, "relation", "silver/sales", f"select tenant_id, customer_id, {day_of('sold_on')} from s")
RETAIL = Setting(
    "purchase_30d",
    date(2011, 9, 1),
    "purchase_history",
    "silver/invoice_lines",
    f"select distinct tenant_id, customer_id, {day_of('invoiced_at')} from s "
    f"where {BOUGHT} and invoiced_at < '2011-09-01'",
)
# a lead is on one list only, and its outcome has no day of its own: the middle of the list's month stands for it
SUBSCRIBE = Setting(
    "subscribe",
    date(2010, 6, 2),
    "lead",
    "silver/lead_outcomes",
    f"select tenant_id, lead_id, {day_of('closed_on')} - 15 from s where subscribed and closed_on < date '2010-06-02'",
)


def prepare(world: World, setting: Setting, dates: int) -> dict[str, Any]:
    """A training up to its features, with one more feature that holds nothing yet; what plan_training answers."""
    with world.edited(f"models/{setting.model}.yaml") as model:
        model["candidates"], model["validation"] = [dict(setting.candidate)], {"folds": 2}
        model["training"] = {**model["training"], "as_of_count": dates}
        model["training"].pop("newest", None)
        model.pop("ladder", None)
        model["slices"] = []
    with world.edited(f"features/{setting.group}.yaml") as group:
        group["features"].append({"name": EXTRA, "description": "Planted."})
    sql = world.pack_files[f"features/{setting.group}.sql"]
    world.pack_files[f"features/{setting.group}.sql"] = f"select *, null::double as {EXTRA} from ({sql})"
    return world.prepare(setting.model, setting.as_of.isoformat())


def told(world: World, setting: Setting) -> dict[Who, list[float]]:
    found: dict[Who, list[float]] = {}
    for tenant, customer, day in world.query(setting.days, s=setting.table):
        found.setdefault((tenant, customer), []).append(float(day))
    return found


def judged(
    world: World, plan: Mapping[str, Any], days: Mapping[Who, Sequence[float]], plant: Plant, folder: Path
) -> dict[str, dict[str, Any]]:
    """The gates by name, of a copy of the world with this column planted."""
    other = world.copy(folder)
    change_rows(other, plan, lambda table: with_column(table, EXTRA, np.asarray(plant(Rows(table, days)), dtype=float)))
    for item in other.items(plan["fit_items"]):
        fit_candidate(other, item=item)
    evaluate_candidate(other, run=plan["run"])
    gates = json.loads(other.lake.get(f"{plan['run']}/evaluation.json"))["gates"]
    return {gate["name"]: gate for gate in gates}


def outcome_of(gates: Mapping[str, Mapping[str, Any]]) -> str:
    """Which gate holds the version and names the column, or `passes`."""
    names = ("leak_model", "leak_auc", "target_copy")
    held = [name for name in names if not gates[name]["passed"] and EXTRA in gates[name]["said"]]
    return ", ".join(held) or "passes"


def worlds(work: Path) -> list[tuple[str, Setting, Callable[[], World], int]]:
    def automotive() -> World:
        world = World("automotive", work / "automotive")
        world.load(generate(work / "dealers", dealers=2, customers=1_200).phases["history"])
        return world

    def retail() -> World:
        world = World("retail", work / "retail", rows_per_item=2_000_000)
        world.load(scenarios.retail(SHARED / "online_retail_ii", work / "invoices").history)
        return world

    def leads() -> World:
        world = World("leads", work / "leads", rows_per_item=2_000_000)
        world.load(scenarios.leads(SHARED / "bank_marketing", work / "lists", as_of=SUBSCRIBE.as_of).history)
        return world

    found = [("automotive", SERVICE, automotive, 7), ("automotive", BUY, automotive, 7)]
    if (SHARED / "bank_marketing" / bank_marketing.ARCHIVE).exists():
        found.append(("leads", SUBSCRIBE, leads, 13))
    if (SHARED / "online_retail_ii" / scenarios.RETAIL[0]).exists():
        found.append(("retail", RETAIL, retail, 6))
    return found


def main() -> None:
    table = Table(title="what holds the version and names the planted column")
    table.add_column("column")
    rows: dict[str, list[str]] = {name: [] for name in (*LEAKS, *HONEST)}
    with tempfile.TemporaryDirectory() as folder:
        made: dict[str, World] = {}
        for pack, setting, make, dates in worlds(Path(folder)):
            if sys.argv[1:] and setting.model not in sys.argv[1:]:
                continue
            table.add_column(setting.model)
            if pack not in made:
                made[pack] = make()
            world = made[pack].copy(Path(folder) / setting.model)
            plan, days = prepare(world, setting, dates), told(world, setting)
            for name, plant in {**LEAKS, **HONEST}.items():
                copy = Path(folder) / "copy"
                found = outcome_of(judged(world, plan, days, plant, copy))
                rows[name].append(found)
                print(f"{setting.model}: {name}: {found}", flush=True)
                shutil.rmtree(copy)
    for name, cells in rows.items():
        table.add_row(("leak: " if name in LEAKS else "honest: ") + name, *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
