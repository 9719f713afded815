"""A scoring run whose steps fail at every write: killed, throttled, done twice, or overtaken by another run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propensity.adapters.delta_tables import DeltaTables
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.kernel.errors import RetryableError
from propensity.lake.gold_tables import SCORES
from tests.kit.faults import Crash, fused, insist
from tests.kit.registries import crown
from tests.kit.replays import Meeting
from tests.kit.shop import DAY, Shop, stocked

MODEL = "reorder"


@pytest.fixture(scope="module")
def trained_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with a champion, whose runs have several work items of several buckets."""
    shop = stocked(tmp_path_factory.mktemp("broken_runs"))
    crown(shop.lake, MODEL, shop.train(MODEL, f"{DAY}")["version"])
    return shop


@pytest.fixture
def shop(trained_shop: Shop, tmp_path: Path) -> Shop:
    return trained_shop.copied(tmp_path, rows_per_item=1_000)


def visible(shop: Shop) -> list[tuple[int, int]]:
    """(rows, customers) of gold/scores as another process sees them; none where nothing is visible."""
    found = DeltaTables(str(shop.folder)).snapshot(SCORES)
    if found is None or not found.files:
        return []
    return [*shop.query("select count(*), count(distinct (tenant_id, customer_id)) from s", s=SCORES)]


def outcome(shop: Shop) -> tuple[Any, ...]:
    """What a run leaves: rows of Gold, the online table, and each object but those of Delta's logs."""
    prefixes = ("runs/score/", "features/", "gold/scores/model=")
    keys = [key for prefix in prefixes for key in shop.lake.keys(prefix) if "/_delta_log/" not in key]
    return shop.scores_hash(), sorted(shop.online.items.items()), {key: shop.lake.get(key) for key in keys}


@pytest.mark.parametrize("error", [Crash, lambda: RetryableError("SlowDown; try again")], ids=["killed", "throttled"])
def test_each_step_may_fail_at_any_write_and_the_run_is_unseen_until_it_is_whole(
    shop: Shop, trained_shop: Shop, tmp_path_factory: pytest.TempPathFactory, error: Callable[[], BaseException]
) -> None:
    whole = trained_shop.copied(tmp_path_factory.mktemp("undisturbed"), rows_per_item=1_000)
    receipt = whole.score(MODEL, f"{DAY}")
    everybody = receipt["population"]
    tries: dict[str, int] = {}

    def unseen_or_whole() -> None:
        assert visible(shop) in ([], [(everybody, everybody)])

    for name, step in shop.scoring(MODEL, f"{DAY}"):
        _, tried = insist(shop, step, error, unseen_or_whole)
        tries[name] = tries.get(name, 0) + tried
        assert visible(shop) == ([(everybody, everybody)] if name in ("commit_run", "publish_scores") else [])
    print(tries)
    assert all(tried > 2 for tried in tries.values())
    assert outcome(shop) == outcome(whole)


def test_a_step_that_is_done_twice_changes_nothing(shop: Shop) -> None:
    """Twice at once, and again when the run is long committed."""
    steps = []
    for name, step in shop.scoring(MODEL, f"{DAY}"):
        steps.append(step)
        assert step() == step(), name
    once = outcome(shop)
    answers = [step() for step in steps]
    assert outcome(shop) == once
    assert visible(shop) == [(answer["population"],) * 2 for answer in answers if "population" in answer]


def test_files_of_a_try_that_another_release_goes_on_from_are_told_as_they_are(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release after the kill writes the same rows in other bytes."""
    written = {"build_features": duckdb_bytes, "label_shard": arrow_bytes}
    for name, step in shop.scoring(MODEL, f"{DAY}"):
        if name in written:
            with pytest.raises(Crash), fused(shop, Meeting(1, end)):
                step()
            with monkeypatch.context() as later:
                written[name](later)
                step()
        else:
            step()
    tables = [SCORES, *(f"features/{one.name}" for one in (shop.folder / "features").iterdir())]
    assert len(tables) == 2
    for table in tables:
        found = shop.tables.snapshot(table)
        assert found is not None
        assert {file.path: file.size for file in found.files} == {
            file.path: (shop.folder / table / file.path).stat().st_size for file in found.files
        }
        assert shop.query("select count(*) from t", t=table) == [(found.rows(),)]


def duckdb_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(self: DuckDbSql, sql: str, parameters: Sequence[object] = ()) -> None:
        plain(self, sql.replace("compression zstd", "compression snappy"), parameters)

    plain = DuckDbSql.execute
    monkeypatch.setattr(DuckDbSql, "execute", execute)


def arrow_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def writer(path: Path, schema: Any, **options: Any) -> Any:
        return plain(path, schema, **{**options, "compression": "snappy"})

    plain = pq.ParquetWriter
    monkeypatch.setattr(pq, "ParquetWriter", writer)


def end() -> None:
    raise Crash
