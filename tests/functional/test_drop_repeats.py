"""Exact repeats are dropped, and nothing else: no view changes, no append is lost, wherever it dies."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from propensity.adapters.delta_tables import DeltaTables
from propensity.usecases.drop_repeats import drop_repeats
from propensity.usecases.maintain_tables import maintain_tables
from propensity.usecases.promote_silver import BronzeFile, promote_silver
from propensity.usecases.rebuild_silver import rebuild_silver
from tests.functional.faults import Crash, light
from tests.functional.harness import World
from tests.stack.automotive import generate

DATASET = "service_records"  # known at the time that a column says


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every export came again under another name."""
    made = generate(tmp_path_factory.mktemp("dealers"), dealers=3, customers=600)
    world = World("automotive", tmp_path_factory.mktemp("lake"))
    world.load(made.phases["history"])
    for drop in made.phases["history"]:
        world.put(f"{drop.key.rpartition('/')[0]}/again-{drop.path.name}", drop.path.read_bytes())
    world.promote()
    return world.folder


def copy_of(lake: Path, to: Path) -> World:
    shutil.copytree(lake, to, dirs_exist_ok=True)
    return World("automotive", to)


def views(world: World) -> dict[str, list[str]]:
    days = [None, *(f"{year}-{month:02d}-01" for year in (2022, 2024) for month in (1, 7))]
    return {dataset: [world.silver_hash(dataset, day) for day in days] for dataset in world.datasets}


def rows(world: World, dataset: str = DATASET) -> int:
    snapshot = world.tables.snapshot(f"silver/{dataset}")
    assert snapshot is not None
    return snapshot.rows()


def test_maintenance_drops_what_came_again_and_no_view_changes(lake: Path, tmp_path: Path) -> None:
    world = copy_of(lake, tmp_path)
    before, held = views(world), {dataset: rows(world, dataset) for dataset in world.datasets}
    told = maintain_tables(world, slot="2027-01-03", retention=timedelta(0))
    assert views(world) == before
    left = {dataset: rows(world, dataset) for dataset in world.datasets}
    assert told["repeats"] == {f"silver/{dataset}": held[dataset] - left[dataset] for dataset in world.datasets}
    assert all(2 * left[dataset] <= held[dataset] for dataset in world.datasets)
    # the first arrival of each stays
    again = world.query("select count(*) from s where _source_key like '%/again-%'", s=f"silver/{DATASET}")
    assert again == [(0,)]
    assert maintain_tables(world, slot="2027-01-03", retention=timedelta(0))["repeats"] == {}
    # the log still knows what was promoted
    assert rebuild_silver(world)["promoted"] == 0


class Promoting(DeltaTables):
    """Somebody promotes a file each time that a bucket is about to be replaced."""

    def __init__(self, root: str, world: World, files: list[BronzeFile]) -> None:
        super().__init__(root)
        self._world, self._files = world, files

    def replace(self, table: str, files: object, *, version: int, buckets: int | None) -> int:
        if self._files:
            promote_silver(self._world, [self._files.pop()])
        assert isinstance(files, list)
        return super().replace(table, files, version=version, buckets=buckets)


def test_what_is_promoted_meanwhile_is_not_lost(lake: Path, tmp_path: Path) -> None:
    expected = views(copy_of(lake, tmp_path / "whole"))
    world = copy_of(lake, tmp_path / "lake")
    files = [BronzeFile.of_key(key) for key in world.lake.keys(f"bronze/{DATASET}/")]
    shutil.rmtree(world.folder / f"silver/{DATASET}")
    world = World("automotive", world.folder)
    promote_silver(world, files[4:10])
    promote_silver(world, files[10:])
    other = World("automotive", world.folder)
    world.tables = Promoting(str(world.folder), other, files[:4])
    assert drop_repeats(world, DATASET) > 0
    assert views(World("automotive", world.folder)) == expected


def test_wherever_it_dies_no_view_changes(lake: Path, tmp_path: Path) -> None:
    counted = copy_of(lake, tmp_path / "counted")
    expected = views(counted)
    fuse = light(counted, 1_000_000)
    drop_repeats(counted, DATASET)
    assert fuse.left is not None
    calls, left = 1_000_000 - fuse.left, rows(World("automotive", counted.folder))
    for share in range(6):
        world = copy_of(lake, tmp_path / str(share))
        light(world, share * calls // 6)
        with pytest.raises(Crash):
            drop_repeats(world, DATASET)
        world = World("automotive", world.folder)
        assert views(world) == expected
        drop_repeats(world, DATASET)
        assert views(world) == expected
        assert rows(world) == left
