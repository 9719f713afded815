"""The restore drill: a table that is gone comes back from Bronze, and one that is whole is left alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.kernel.errors import BadInputError, IncompleteRunError
from propensity.operations.rebucket_silver import rebucket_silver
from propensity.operations.rebuild_silver import rebuild_silver
from tests.kit.faults import Crash, light
from tests.kit.reports import announcement
from tests.kit.world import World
from tests.stack.automotive import generate

LOST = "service_records"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = generate(tmp_path_factory.mktemp("dealers"), dealers=3, customers=900)
    world = World("automotive", tmp_path_factory.mktemp("lake"))
    world.load([drop for phase in made.phases.values() for drop in phase])
    return world.folder


def copy_of(lake: Path, to: Path) -> World:
    shutil.copytree(lake, to, dirs_exist_ok=True)
    return World("automotive", to)


def views(world: World) -> dict[str, tuple[Any, ...]]:
    """Each dataset's current view, those as known at three times, and its rows."""
    times = ("2020-01-01", "2023-01-01", "2025-07-01")
    return {
        dataset: (
            world.silver_hash(dataset),
            *(world.silver_hash(dataset, time) for time in times),
            world.query("select count(*), count(distinct (_content_id, _line)) from s", s=f"silver/{dataset}"),
        )
        for dataset in world.datasets
    }


def versions(world: World) -> dict[str, int]:
    found = {dataset: world.tables.snapshot(f"silver/{dataset}") for dataset in world.datasets}
    return {dataset: snapshot.version for dataset, snapshot in found.items() if snapshot}


def lose(world: World, dataset: str = LOST) -> World:
    """The table's folder is moved away, and no process remembers it."""
    shutil.move(world.folder / f"silver/{dataset}", world.folder / f"lost-{dataset}")
    return World("automotive", world.folder)


def test_over_a_lake_that_is_whole_nothing_happens(lake: Path, tmp_path: Path) -> None:
    world = copy_of(lake, tmp_path)
    before, keys = versions(world), list(world.lake.keys(""))
    told = rebuild_silver(world)
    assert (told["promoted"], told["rows"]) == (0, 0)
    assert told["files"] == len(list(world.lake.keys("bronze/")))
    assert (versions(world), list(world.lake.keys(""))) == (before, keys)


def test_a_table_that_is_gone_comes_back_with_every_view_that_it_gave(lake: Path, tmp_path: Path) -> None:
    world = copy_of(lake, tmp_path)
    rebucket_silver(world, buckets=5)
    before = views(world)
    world = lose(world)
    told = rebuild_silver(world)
    assert told["promoted"] == len(list(world.lake.keys(f"bronze/{LOST}/")))
    assert views(world) == before
    # in as many buckets as the rest of the lake, whatever the pack says
    assert world.tables.buckets(f"silver/{LOST}") == 5
    assert rebuild_silver(world)["promoted"] == 0


def test_wherever_a_restore_dies_a_second_one_ends_it(lake: Path, tmp_path: Path) -> None:
    expected = views(copy_of(lake, tmp_path / "whole"))
    undisturbed = lose(copy_of(lake, tmp_path / "counted"))
    fuse = light(undisturbed, 1_000_000)
    rebuild_silver(undisturbed)
    assert fuse.left is not None
    calls = 1_000_000 - fuse.left
    for eighth in range(8):
        world = lose(copy_of(lake, tmp_path / str(eighth)))
        whole = world.lake, world.tables
        light(world, eighth * calls // 8)
        with pytest.raises(Crash):
            rebuild_silver(world)
        world.lake, world.tables = whole
        rebuild_silver(world)
        assert views(world) == expected


def test_the_daily_look_brings_what_an_announcement_lost_and_looks_no_further_back(lake: Path, tmp_path: Path) -> None:
    world = lose(copy_of(lake, tmp_path))
    days = sorted({key.split("ingest_date=")[1][:10] for key in world.lake.keys(f"bronze/{LOST}/")})
    assert rebuild_silver(world, slot="2199-01-01T04:00:00Z") == {"files": 0, "promoted": 0, "rows": 0}
    reports = [json.loads(world.lake.get(key)) for key in world.lake.keys("landings/")]
    files = [BronzeFile.parse(announcement(one)) for one in reports if one["dataset"] == LOST and one["bronze"]]
    promote_silver(world, files[1:])
    told = rebuild_silver(world, slot=days[-1])
    assert told["promoted"] == 1
    assert world.metrics.total(["BronzeFilesMissed"]) == 1


def test_a_file_that_cannot_be_promoted_keeps_no_other_from_it_and_is_named(lake: Path, tmp_path: Path) -> None:
    world = lose(copy_of(lake, tmp_path))
    [broken, *good] = world.lake.keys(f"bronze/{LOST}/")
    world.lake.put(broken, b"no Parquet")
    with pytest.raises(IncompleteRunError, match=f"1 of .* the first: {broken}"):
        rebuild_silver(world)
    found = world.query("select count(distinct _content_id) from s", s=f"silver/{LOST}")
    assert found == [(len(good),)]


def test_a_key_in_bronze_that_is_no_files_is_told(lake: Path, tmp_path: Path) -> None:
    world = copy_of(lake, tmp_path)
    world.lake.put("bronze/sales/notes.txt", b"x")
    with pytest.raises(BadInputError, match=r"bronze/sales/notes.txt: no name of a Bronze file"):
        rebuild_silver(world)
