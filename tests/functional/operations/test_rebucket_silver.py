"""Re-bucketing: features and scores stay as they are, whatever is promoted meanwhile and wherever it dies."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from propensity.adapters.delta_tables import DeltaTables
from propensity.kernel.errors import BadInputError, ConflictError, RetryableError
from propensity.kernel.sql_text import read_files
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.time_travel import SilverAt
from propensity.operations.rebucket_silver import rebucket_silver
from propensity.ports import DataFile
from propensity.registry.versions import load_champion
from propensity.scoring.plan_scoring import plan_scoring
from propensity.training.plan_training import plan_training
from tests.kit import processes
from tests.kit.faults import Crash, light
from tests.kit.promoters import promote
from tests.kit.world import World, content_hash
from tests.stack.automotive import AS_OF, Generated, generate

DAY = AS_OF.isoformat()
FEW = ("datasets: [customers, vehicles, sales, service_records, leases, suppressions]", "datasets: [sales]")


def world_of(folder: Path, buckets: int = 4) -> World:
    world = World("automotive", folder, rows_per_item=4_000).with_dates(4)
    pack = world.pack_files["pack.yaml"].replace("buckets: 8", f"buckets: {buckets}")
    assert pack != world.pack_files["pack.yaml"]
    world.pack_files = {**world.pack_files, "pack.yaml": pack}
    return world


def copy_of(folder: Path, to: Path) -> World:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return world_of(to)


def silver(world: World) -> dict[str, tuple[str, str, int, str]]:
    """For each dataset its current view, its view as known on 2024-01-01, how many rows it has, and their origin."""
    columns = "tenant_id, _key, _row_hash, _known_at::varchar, _content_id, _line, _source_key, _ingested_at::varchar"
    found = {}
    for dataset in world.datasets:
        rows = world.query(f"select {columns} from s", s=f"silver/{dataset}")
        views = world.silver_hash(dataset), world.silver_hash(dataset, "2024-01-01")
        found[dataset] = (*views, len(rows), content_hash(rows))
    return found


def every_row_lies_in_its_bucket(world: World) -> None:
    for dataset in world.datasets:
        snapshot = world.tables.snapshot(f"silver/{dataset}")
        assert snapshot is not None
        assert snapshot.buckets is not None
        place = bucket_of("tenant_id", snapshot.buckets)
        for file in snapshot.files:
            rows = read_files([f"{world.folder}/{snapshot.root}/{file.path}"])
            assert world.query(f"select distinct {place} from {rows}") == [(int(file.partition["bucket"]),)]


def features(world: World, run: str = f"runs/train/service/{DAY}") -> str:
    """The rows of a training run's features, without their buckets."""
    keys = [str(world.folder / key) for key in world.lake.keys(f"{run}/features/")]
    return content_hash(world.query(f"select * exclude (bucket) from {read_files(keys)}"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("dealers"), dealers=5, customers=1_000)


@pytest.fixture(scope="module")
def four(made: Generated, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake of four buckets with a champion and no score yet."""
    world = world_of(tmp_path_factory.mktemp("four"))
    world.load(made.phases["history"])
    world.train("service", DAY)
    return world


def test_every_row_and_every_version_stays_in_the_bucket_where_it_belongs(four: World, tmp_path: Path) -> None:
    world = copy_of(four.folder, tmp_path)
    before = silver(world)
    told = rebucket_silver(world, buckets=7)
    assert told["rewritten"] == {f"silver/{dataset}": rows for dataset, (_, _, rows, _) in before.items()}
    assert {dataset: world.tables.buckets(f"silver/{dataset}") for dataset in world.datasets} == dict.fromkeys(
        world.datasets, 7
    )
    assert silver(world) == before
    every_row_lies_in_its_bucket(world)
    assert rebucket_silver(world, buckets=7)["rewritten"] == {}
    # back again, from the files that the first re-bucketing wrote
    rebucket_silver(world, buckets=4)
    assert silver(world) == before
    every_row_lies_in_its_bucket(world)


def test_features_and_scores_are_the_same_over_seven_buckets_as_over_four(four: World, tmp_path: Path) -> None:
    seven = copy_of(four.folder, tmp_path / "seven")
    rebucket_silver(seven, buckets=7)
    shutil.rmtree(seven.folder / "runs")
    seven.prepare("service", DAY)
    assert features(seven) == features(four)
    undisturbed = copy_of(four.folder, tmp_path / "four")
    for world in (undisturbed, seven):
        world.score("service", DAY)
    assert seven.scores_hash() == undisturbed.scores_hash()


def test_a_run_that_was_planned_before_goes_on_over_the_buckets_that_it_pinned(four: World, tmp_path: Path) -> None:
    undisturbed, world = copy_of(four.folder, tmp_path / "four"), copy_of(four.folder, tmp_path / "seven")
    undisturbed.score("service", DAY)
    plan_scoring(world, model="service", as_of=DAY, scope="batch")
    rebucket_silver(world, buckets=7)
    world.score("service", DAY)
    assert world.scores_hash() == undisturbed.scores_hash()


def test_training_over_the_versions_that_a_champion_names_sees_what_it_saw(
    four: World, made: Generated, tmp_path: Path
) -> None:
    world = copy_of(four.folder, tmp_path)
    rebucket_silver(world, buckets=7)
    world.load(made.phases["outcomes"])
    lineage = load_champion(world.lake, "service").lineage
    plan = world.prepare("service", DAY, silver=SilverAt(versions=lineage["silver"]))
    assert plan["run"] != lineage["run"]
    assert features(world, plan["run"]) == features(four)


def test_a_gap_run_finds_who_was_scored_over_another_number_of_buckets(
    four: World, made: Generated, tmp_path: Path
) -> None:
    receipts = []
    for name, numbers in (("undisturbed", []), ("disturbed", [7, 4, 3])):
        world = copy_of(four.folder, tmp_path / name)
        world.score("service", DAY)
        for buckets in numbers:
            rebucket_silver(world, buckets=buckets)
        world.load(made.phases["gap"])
        receipts.append(world.score("service", "2025-07-15", scope="gap"))
    assert receipts[0] == receipts[1]
    assert receipts[0]["had"] > 0
    assert receipts[0]["new"] > 0


def test_promoters_at_work_meanwhile_lose_nothing_and_double_nothing(made: Generated, tmp_path: Path) -> None:
    world = world_of(tmp_path / "lake")
    drops = [drop for drop in made.phases["history"] if drop.dataset == "service_records"]
    reports = [world.drop(drop) for drop in drops]
    messages = list(world.promote_queue.messages)
    promote(world.folder, "automotive", messages[:1])
    rebucket_silver(world, buckets=4)
    numbers = [7, 3, 5, 2, 6]
    with processes.pool(4) as pool:
        working: list[Future[int]] = [
            pool.submit(promote, world.folder, "automotive", [message]) for message in [*messages, *messages]
        ]
        rounds = 0
        while not all(one.done() for one in working):
            try:
                rebucket_silver(world, buckets=numbers[rounds % len(numbers)])
            except RetryableError:
                continue
            rounds += 1
        lost = sum(one.result() for one in working)
    assert rounds > 1
    print(f"{rounds} re-bucketings, {lost} lost races of promoters")
    bronze = sum(report["bronze"] for report in reports)
    counted = world.query("select count(*), count(distinct (_content_id, _line)) from s", s="silver/service_records")
    assert counted == [(bronze, bronze)]
    alone = world_of(tmp_path / "alone")
    alone.load(drops)
    assert world.silver_hash("service_records") == alone.silver_hash("service_records")
    snapshot = world.tables.snapshot("silver/service_records")
    assert snapshot is not None
    assert snapshot.buckets in numbers
    for file in snapshot.files:
        rows = read_files([f"{world.folder}/{snapshot.root}/{file.path}"])
        place = bucket_of("tenant_id", snapshot.buckets)
        assert world.query(f"select distinct {place} from {rows}") == [(int(file.partition["bucket"]),)]


@pytest.fixture(scope="module")
def calls(four: World, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How far a re-bucketing burns a fuse."""
    world = copy_of(four.folder, tmp_path_factory.mktemp("calls"))
    fuse = light(world, 1_000_000)
    rebucket_silver(world, buckets=7)
    assert fuse.left is not None
    return 1_000_000 - fuse.left


@pytest.mark.parametrize("share", [number / 16 for number in range(16)])
def test_wherever_it_dies_nothing_is_lost_and_a_second_call_goes_on(
    four: World, calls: int, tmp_path: Path, share: float
) -> None:
    world = copy_of(four.folder, tmp_path)
    before = silver(world)
    whole = world.lake, world.tables
    light(world, int(share * calls))
    with pytest.raises(Crash):
        rebucket_silver(world, buckets=7)
    world.lake, world.tables = whole
    assert silver(world) == before
    rebucket_silver(world, buckets=7)
    assert silver(world) == before
    every_row_lies_in_its_bucket(world)


class Dies(DeltaTables):
    """Tables that die before the commit."""

    def replace(self, table: str, files: Sequence[DataFile], *, version: int, buckets: int | None) -> int:
        raise Crash


def test_what_was_moved_before_a_stop_is_not_moved_again(four: World, tmp_path: Path) -> None:
    world = copy_of(four.folder, tmp_path)
    before = silver(world)
    world.tables = Dies(str(tmp_path))
    with pytest.raises(Crash):
        rebucket_silver(world, buckets=7)
    receipts = {key: world.lake.head(key).last_modified for key in world.lake.keys("rebucket/")}
    assert receipts
    world.tables = DeltaTables(str(tmp_path))
    rebucket_silver(world, buckets=7)
    assert {key: world.lake.head(key).last_modified for key in receipts} == receipts
    assert silver(world) == before


def test_files_of_a_stopped_re_bucketing_that_a_vacuum_took_are_written_anew(four: World, tmp_path: Path) -> None:
    world = copy_of(four.folder, tmp_path)
    before = silver(world)
    rebucket_silver(copy_of(four.folder, tmp_path / "other"), buckets=7)
    # the receipts are there, the files are not
    shutil.copytree(tmp_path / "other/rebucket", tmp_path / "rebucket")
    rebucket_silver(world, buckets=7)
    assert silver(world) == before


def test_nobody_plans_over_two_numbers_of_buckets(four: World, tmp_path: Path) -> None:
    world = copy_of(four.folder, tmp_path)
    versions = dict(load_champion(world.lake, "service").lineage["silver"])
    whole = world.pack_files
    world.pack_files = {**whole, "pack.yaml": whole["pack.yaml"].replace(*FEW)}
    rebucket_silver(world, buckets=7)
    world.pack_files = whole
    with pytest.raises(RetryableError, match=r"7 buckets \(sales\).*being re-bucketed"):
        plan_training(world, model="service", as_of="2025-08-01")
    mixed = SilverAt(versions=versions | {"sales": versions["sales"] + 1})
    with pytest.raises(ConflictError, match="ask for another time or other versions"):
        plan_training(world, model="service", as_of="2025-08-01", silver=mixed)
    rebucket_silver(world, buckets=7)
    assert plan_training(world, model="service", as_of="2025-08-01")["run"] == "runs/train/service/2025-08-01"


def test_a_dataset_that_comes_first_after_it_lies_in_the_lakes_buckets(made: Generated, tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.load([drop for drop in made.phases["history"] if drop.dataset == "sales"][:2])
    rebucket_silver(world, buckets=7)
    world.load([drop for drop in made.phases["history"] if drop.dataset == "leases"][:2])
    assert world.tables.buckets("silver/leases") == 7
    # also where the pack says another number
    world.pack_files = world_of(tmp_path, buckets=5).pack_files
    world.load([drop for drop in made.phases["history"] if drop.dataset == "sales"][2:4])
    assert world.tables.buckets("silver/sales") == 7


def test_a_number_of_buckets_that_is_none_is_refused(tmp_path: Path) -> None:
    for wrong in (0, 5_000, "7", True):
        with pytest.raises(BadInputError, match="expected a whole number from 1 to 4096"):
            rebucket_silver(world_of(tmp_path), buckets=wrong)  # type: ignore[arg-type]
