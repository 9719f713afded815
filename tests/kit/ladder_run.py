"""A training run of made-up dealers. Its feature file is written by hand, so that who differs, and how, is known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from propensity.lake.definition_files import write_definition
from propensity.lake.json_objects import dumps
from propensity.lake.run_files import write_items, write_result
from propensity.pack.domain.definition import Definition, parse_definition
from propensity.training.fit_candidate import fit_candidate
from tests.kit.world import World

MODEL, RUN = "m", "runs/train/m/2025-07-01"
DATES = [date(2024, 1, 1) + timedelta(days=90 * number) for number in range(6)]
LADDER = {
    "segment": {"description": "Region.", "sql": "select tenant_id, 'x' as segment from things group by all"},
    "min_positives_own": 300,
    "min_positives_segment": 200,
    "min_rows_intercept": 150,
    "max_own_models": 4,
}


@dataclass(frozen=True)
class Dealer:
    """This many customers, who convert with odds exp(shift + x1 * first + x2 * second) on every date."""

    customers: int
    shift: float = -1.0
    first: float = 1.2
    second: float = 0.0
    segment: str | None = None


DEALERS = {
    **{f"plain_{number:02d}": Dealer(120) for number in range(1, 21)},
    "few": Dealer(4),
    "keen": Dealer(80, shift=0.4),
    "contrary": Dealer(120, shift=-0.5, first=-0.7),
    "odd": Dealer(400, first=-1.5, second=1.0),
    **{f"north_{number}": Dealer(90, first=0.0, second=1.8, segment="north") for number in range(1, 5)},
}
# the training has no row of new_north
SEGMENTS = {**{name: dealer.segment for name, dealer in DEALERS.items() if dealer.segment}, "new_north": "north"}


def pack(ladder: Mapping[str, Any] | None = None, max_rows: int | None = None) -> dict[str, str]:
    model = {
        "name": MODEL,
        "hypothesis": "h",
        "owner": "o",
        "population": {"description": "d", "sql": "select tenant_id, customer_id from things"},
        "target": {"description": "d", "sql": "select tenant_id, customer_id from outcome.things"},
        "horizon_days": 60,
        "features": ["f"],
        "training": {"as_of_count": 6, "every_days": 90, "max_rows": max_rows},
        "candidates": [{"family": "logistic_regression", "grid": [{"C": 1.0}]}],
        **({"ladder": dict(ladder)} if ladder else {}),
    }
    group = {
        "group": "f",
        "description": "d",
        "owner": "o",
        "features": [{"name": name, "dtype": "number", "description": f"the {name}"} for name in ("x1", "x2")],
    }
    info = {"name": "p", "description": "d", "entity": "customer_id", "partition_key": "tenant", "buckets": 1}
    return {
        "pack.yaml": yaml.safe_dump({**info, "datasets": ["things"], "models": [MODEL]}),
        f"models/{MODEL}.yaml": yaml.safe_dump(model),
        "features/f.yaml": yaml.safe_dump(group),
        "features/f.sql": "select tenant_id, customer_id, 1.0 as x1, 1.0 as x2 from population",
    }


def rows_of(dealers: Mapping[str, Dealer], seed: int = 3) -> pa.Table:
    random, parts = np.random.default_rng(seed), []
    for name, dealer in dealers.items():
        for day in DATES:
            x1, x2 = random.normal(size=(2, dealer.customers)).astype(np.float32)
            odds = np.exp(dealer.shift + dealer.first * x1 + dealer.second * x2)
            label = (random.random(dealer.customers) < odds / (1 + odds)).astype(np.int8)
            if name == "few":
                label[:] = 0
                label[0] = DATES.index(day) % 2  # three positives in all
            parts.append(
                pa.table(
                    {
                        "tenant_id": [name] * dealer.customers,
                        "customer_id": [f"C{number}" for number in range(dealer.customers)],
                        "as_of": pa.array([day] * dealer.customers, pa.date32()),
                        "x1": x1,
                        "x2": x2,
                        "label": label,
                        "segment": pa.array([dealer.segment] * dealer.customers, pa.string()),
                    }
                )
            )
    return pa.concat_tables(parts)


def drawn(rows: pa.Table, never_fitted: str) -> tuple[pa.Table, dict[str, Any]]:
    """The rows, each with the draw by which `max_rows` chooses, and the counts that build_features reports of them.

    Tenant `never_fitted` has the highest draws: its rows are left out of each fit, and only validated on.
    """
    draws = np.random.default_rng(5).random(len(rows)) * 0.99
    draws[rows["tenant_id"].to_numpy(zero_copy_only=False) == never_fitted] = 0.999
    none = pa.array(np.zeros(len(rows), dtype=np.int8))
    found = rows.append_column("_draw", pa.array(draws)).append_column("_treated", none)
    listed = rows.select(["as_of", "tenant_id", "label"]).to_pylist()
    strata = Counter((row["as_of"].isoformat(), row["tenant_id"], row["label"]) for row in listed)
    counts = {
        "population_by_date": dict(Counter(row["as_of"].isoformat() for row in listed)),
        "strata": [[*key, count, 0] for key, count in strata.items()],
        "left_out": [],
        "newest_by_tenant": {},
        "packages": {},
    }
    return found, counts


def evaluated(
    folder: Path,
    ladder: Mapping[str, Any] | None,
    dealers: Mapping[str, Dealer] = DEALERS,
    *,
    max_rows: int | None = None,
    never_fitted: str = "",
) -> World:
    """A world with a run that waits for register_model."""
    world = World("automotive", folder)
    world.pack_files = pack(ladder, max_rows)
    definition: Definition = parse_definition(world.pack_files, MODEL, where="p", entity="customer_id")
    plan = {"model": MODEL, "as_of": "2025-07-01", "groups": [[0]], "silver": {}, "dates": [str(day) for day in DATES]}
    world.lake.put_new(f"{RUN}/plan.json", dumps({**plan, "feature_set": definition.feature_set}))
    write_definition(world.lake, f"{RUN}/definition", definition)
    features = f"{RUN}/features/0001.parquet"
    (folder / features).parent.mkdir(parents=True)
    rows, counts = drawn(rows_of(dealers), never_fitted) if max_rows else (rows_of(dealers), {})
    pq.write_table(rows, folder / features)
    write_result(world.lake, RUN, "build_features", 1, {"features": features, "segments": SEGMENTS, **counts})
    items = [
        {
            "model": MODEL,
            "definition": f"{RUN}/definition",
            **candidate.model_dump(mode="json"),
            "training_keys": [features],
            "out": f"{RUN}/candidates/{candidate.family}",
        }
        for candidate in definition.model.candidates
    ]
    for item in world.items(write_items(world.lake, RUN, items, name="fit")):
        fit_candidate(world, item=item)
    world.evaluate(RUN)
    return world


def ladder_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.lake.get(f"{RUN}/ladder/ladder.json"))
    return found
