"""Of a scoring run that dies anywhere nothing is visible, and it goes on to the result of an undisturbed run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from propensity.adapters.delta_tables import DeltaTables
from propensity.features.build_features import build_features
from propensity.kernel.errors import IncompleteRunError
from propensity.lake.gold_tables import SCORES
from propensity.scoring.commit_run import commit_run
from propensity.training.fit_candidate import fit_candidate
from propensity.training.plan_training import plan_training
from tests.kit.faults import Crash, light
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()


def visible(world: World) -> int | None:
    """Rows of gold/scores, as another process sees them."""
    found = DeltaTables(str(world.folder)).snapshot(SCORES)
    return None if found is None else found.rows()


def objects(world: World, *prefixes: str) -> dict[str, str]:
    """Every object and the hash of its bytes."""
    return {
        key: hashlib.sha256(world.lake.get(key)).hexdigest() for prefix in prefixes for key in world.lake.keys(prefix)
    }


def outcome(world: World) -> tuple[Any, ...]:
    """All that a run leaves: rows of Gold, the online table, and the bytes of plan, features, results and scores."""
    written = objects(world, "runs/score/", "features/", "gold/scores/model=")
    written = {key: value for key, value in written.items() if "/_delta_log/" not in key}
    return world.scores_hash(), visible(world), sorted(world.online.items.items()), written


@pytest.fixture(scope="module")
def undisturbed(trained: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Any, ...], int]:
    """The outcome of a run, and how far the run burns a fuse."""
    world = trained.copy(tmp_path_factory.mktemp("undisturbed"))
    fuse = light(world, 1_000_000)
    world.score("service", DAY)
    assert fuse.left is not None
    calls = 1_000_000 - fuse.left  # before outcome() calls ports too
    return outcome(world), calls


@pytest.mark.parametrize("share", [number / 6 for number in range(6)])
def test_wherever_a_run_dies_nothing_of_it_is_visible_and_it_can_go_on(
    trained: World, undisturbed: tuple[tuple[Any, ...], int], tmp_path: Path, share: float
) -> None:
    expected, calls = undisturbed
    world = trained.copy(tmp_path)
    whole = world.lake, world.tables
    light(world, int(share * calls))
    with pytest.raises(Crash):
        world.score("service", DAY)
    assert visible(world) in (None, expected[1])
    world.lake, world.tables = whole
    world.score("service", DAY)
    assert outcome(world) == expected


@pytest.mark.parametrize("candidates", [0, 1], ids=["amid the features", "amid the candidates"])
def test_a_training_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    trained: World, tmp_path: Path, candidates: int
) -> None:
    world = trained.copy(tmp_path)
    expected = objects(world, "runs/train/", "registry/")
    shutil.rmtree(tmp_path / "runs/train")
    shutil.rmtree(tmp_path / "registry")
    plan = plan_training(world, model="service", as_of=DAY)
    build, fit = world.items(plan["build_items"]), world.items(plan["fit_items"])
    for item in build if candidates else build[:1]:
        build_features(world, item=item)
    for item in fit[:candidates]:
        fit_candidate(world, item=item)
    whole = world.lake, world.tables
    light(world, 7)
    with pytest.raises(Crash):
        world.train("service", DAY)
    world.lake, world.tables = whole
    world.train("service", DAY)
    assert objects(world, "runs/train/", "registry/") == expected


def test_a_run_with_a_part_missing_is_refused_and_stays_invisible(trained: World, tmp_path: Path) -> None:
    world = trained.copy(tmp_path)
    receipt = world.score("service", DAY)
    [result, *_] = world.lake.keys(f"{receipt['run']}/results/label_shard/")
    shutil.rmtree(tmp_path / SCORES)
    (tmp_path / result).unlink()
    with pytest.raises(IncompleteRunError, match="label_shard left 1 of"):
        commit_run(World("automotive", tmp_path), run=receipt["run"])
    assert visible(world) is None
