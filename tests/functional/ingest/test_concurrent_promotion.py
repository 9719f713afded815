"""24 processes promote at once, each file by two of them, with keys that overlap: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

from tests.kit import processes
from tests.kit.promoters import promote
from tests.kit.world import World
from tests.stack.automotive import generate

DATASET = "service_records"


def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    made = generate(tmp_path / "data", dealers=12, customers=600)
    world = World("automotive", tmp_path / "lake")
    drops = [drop for drop in made.phases["history"] if drop.dataset == DATASET]
    # each file once more under another name, so that keys overlap
    reports = [world.drop(drop) for drop in drops]
    reports += [
        world.put(f"{drop.key.rpartition('/')[0]}/again-{drop.path.name}", drop.path.read_bytes()) for drop in drops
    ]
    messages = list(world.promote_queue.messages)
    shares = [messages[start::12] for start in range(12)] * 2
    with processes.pool(24) as pool:
        list(pool.map(promote, [world.folder] * 24, ["automotive"] * 24, shares))
    bronze = sum(report["bronze"] for report in reports)
    counted = world.query("select count(*), count(distinct (_content_id, _line)) from s", s=f"silver/{DATASET}")
    assert counted == [(bronze, bronze)]
    # the views are those that one process alone gives
    alone = World("automotive", tmp_path / "alone")
    for drop in drops:
        alone.drop(drop)
    alone.promote()
    assert world.silver_hash(DATASET) == alone.silver_hash(DATASET)
