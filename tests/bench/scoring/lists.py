"""A list of half a million customers for ads, with hashed addresses and the same list without hashes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from propensity.delivery.build_export import build_export
from propensity.delivery.request_export import request_export
from propensity.lake.gold_tables import EXPORTS
from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart, middle_cpu, most_memory
from tests.bench.scoring.customers import CUSTOMERS, LARGE, LARGEST
from tests.bench.scoring.features import lake_of
from tests.bench.scoring.gaps import batch_of
from tests.bench.scoring.prepare import DAY, MODEL, PACK
from tests.bench.scoring.store import LinkedStore
from tests.kit.world import World

ADS = "google_ads"
BARE = f"{ADS}_bare"


def claims(work: Path, runs: int, rows: int = CUSTOMERS) -> list[Claim]:
    """The list of the largest tenant, by turns with and without hashes."""
    folder = lake_of(work, rows)
    batch_of(folder)
    hashed, bare = [], []
    for number in range(runs):
        bare.append(apart(make_list, folder, BARE, f"bare-{number}"))
        hashed.append(apart(make_list, folder, ADS, f"hashed-{number}"))
    assert hashed[0].result == bare[0].result > 0.9 * LARGE * rows, hashed[0].result
    name = f"a list of {hashed[0].result:,} customers for ads"
    return [
        Claim.of(f"{name}, hashed: CPU beside the same unhashed", middle_cpu(hashed), middle_cpu(bare), 2.0, runs),
        Claim.of(f"{name}: peak memory in MB", most_memory(hashed), None, None, runs),
    ]


def make_list(folder: Path, destination: str, key: str) -> int:
    """Ask for a list of everybody and make it, with no list before it; how many are on it."""
    shutil.rmtree(folder / EXPORTS, ignore_errors=True)
    world = World(PACK, folder)
    world.lake = LinkedStore(folder)
    world.pack_files = {**world.pack_files, f"destinations/{BARE}.yaml": _without_hashes(world)}
    asked = {"model": MODEL, "destination": destination, "holdout": 0.0, "as_of": DAY}
    at = f"{DAY}T09:00:00+00:00"
    answer = request_export(world, LARGEST, asked, key=key, by="bench", at=at, request_id=key)
    made = build_export(world, tenant=LARGEST, export=answer["export"])
    return int(made["arms"]["exported"])


def _without_hashes(world: World) -> str:
    parsed: dict[str, Any] = yaml.safe_load(world.pack_files[f"destinations/{ADS}.yaml"])
    columns = [{name: value for name, value in column.items() if name != "hash"} for column in parsed["columns"]]
    return yaml.safe_dump({**parsed, "name": BARE, "columns": columns})
