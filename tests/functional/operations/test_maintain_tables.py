"""Compaction and vacuum: views stay as they are, versions that a model or a run names stay, the rest goes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.pins import pin_silver
from propensity.operations.maintain_tables import maintain_tables
from propensity.pack.current import pack_definition
from propensity.registry.versions import load_champion
from tests.kit.world import World
from tests.stack.automotive import Generated


def files(world: World) -> set[str]:
    return {key for key in world.lake.keys("silver/") if key.endswith(".parquet") and "_delta_log" not in key}


@pytest.fixture
def world(scored: World, dealers: Generated, tmp_path: Path) -> World:
    """Many small appends after a champion's training and its scores."""
    world = scored.copy(tmp_path)
    for drop in [*dealers.phases["gap"], *dealers.phases["outcomes"]]:
        world.load([drop])
    return world


def test_views_and_pinned_versions_stay_and_doing_it_again_finds_nothing(world: World) -> None:
    views = {dataset: world.silver_hash(dataset) for dataset in world.datasets}
    scores = world.scores_hash()
    lineage = load_champion(world.lake, "service").lineage
    definition = pack_definition(world, "service")
    pinned = pin_silver(world, definition, SilverAt.of_plan(lineage))
    wanted = {key for snapshot in pinned.snapshots.values() for key in snapshot.file_keys()}
    before = files(world)

    done = maintain_tables(world, slot="2027-01-03", retention=timedelta(0))

    assert done["compacted"]
    assert {table: [version] for table, version in lineage["silver"].items()} == {
        table.removeprefix("silver/"): versions
        for table, versions in done["pinned"].items()
        if not table.startswith("features/")
    }
    assert wanted <= files(world)
    assert before - files(world)
    again = pin_silver(world, definition, SilverAt.of_plan(lineage))
    assert again.snapshots == pinned.snapshots
    assert {dataset: world.silver_hash(dataset) for dataset in world.datasets} == views
    assert world.scores_hash() == scores
    second = maintain_tables(world, slot="2027-01-03", retention=timedelta(0))
    assert second["compacted"] == {}
    assert wanted <= files(world)


def test_a_run_that_may_go_on_keeps_what_it_pinned_and_files_on_their_way_stay(world: World) -> None:
    world.prepare("buy", "2025-10-01")
    plan = world.lake.get("runs/train/buy/2025-10-01/plan.json")
    on_its_way = "gold/scores/model=buy/bucket=1/not-committed-yet.parquet"
    world.lake.put(on_its_way, b"x")
    before = files(world)
    done = maintain_tables(world, slot="2025-10-05")
    assert before <= files(world)
    assert b'"sales"' in plan
    assert list(world.lake.keys(on_its_way)) == [on_its_way]
    assert "silver/sales" in done["pinned"]
