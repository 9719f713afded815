"""Movers: each row says how far the customer has moved since the batch before, and which feature explains it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.features.build_features import build_features
from propensity.kernel.errors import IncompleteRunError
from propensity.lake.domain.run_records import ScoringPlan
from propensity.lake.run_files import read_plan
from propensity.operations.maintain_tables import maintain_tables
from propensity.operations.rebucket_silver import rebucket_silver
from propensity.registry.artifact import load_artifact
from propensity.registry.versions import load_version
from propensity.scoring.label_shard import label_shard
from propensity.scoring.plan_scoring import plan_scoring
from propensity.scoring.rank_run import read_ranks
from tests.kit.registries import crown
from tests.kit.shop import Shop, orders

FIRST, SECOND, THIRD = "2025-04-01", "2025-05-01", "2025-05-31"
COLUMNS = (
    "tenant_id, customer_id, percentile, previous_score, previous_as_of::varchar, percentile_change, movement, "
    "moved_by, moved_contribution, moved_text"
)


def rows(shop: Shop, run: str, where: str = "true") -> list[dict[str, Any]]:
    names = [name.strip().split("::")[0] for name in COLUMNS.split(",")]
    found = shop.query(f"select {COLUMNS} from s where run = '{run}' and {where} order by all", s="gold/scores")
    return [dict(zip(names, row, strict=True)) for row in found]


def rounded(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the last digits, which depend on how many rows a model scores at once."""
    return [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()} for row in found
    ]


def run_of(day: str, version: int = 1) -> str:
    return f"runs/score/reorder/{day}-v{version:06d}-batch"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Three batches of two tenants and of one with twelve customers. Two customers come new before the second batch."""
    made = Shop(tmp_path_factory.mktemp("movers"))
    for tenant in ("north", "south"):
        made.land("orders", tenant, orders(tenant, customers=300))
    made.land("orders", "tiny", [(f"t{n}", f"T{n:02d}", f"2025-03-{10 + n}") for n in range(12)])
    made.land("orders", "north", [("n1", "NEW1", "2025-04-20"), ("n2", "NEW2", "2025-04-22")], "new")
    made.promote()
    crown(made.lake, "reorder", made.train("reorder", FIRST)["version"])
    for day in (FIRST, SECOND):
        made.score("reorder", day)
    return made


def test_of_the_first_batch_nobody_has_enough_history_and_the_word_says_so(shop: Shop) -> None:
    found = rows(shop, run_of(FIRST))
    assert len(found) > 500
    assert {row["movement"] for row in found} == {"not_enough_history"}
    assert {(row["previous_score"], row["percentile_change"], row["moved_by"], row["moved_text"]) for row in found} == {
        (None, None, None, None)
    }


def test_each_row_has_the_score_and_the_change_of_place_since_the_batch_before(shop: Shop) -> None:
    then = {
        (tenant, customer): (score, percentile)
        for tenant, customer, score, percentile in shop.query(
            f"select tenant_id, customer_id, score, percentile from s where run = '{run_of(FIRST)}'", s="gold/scores"
        )
    }
    found = rows(shop, run_of(SECOND))
    known = [row for row in found if (row["tenant_id"], row["customer_id"]) in then]
    assert len(known) > 500
    for row in known:
        score, percentile = then[row["tenant_id"], row["customer_id"]]
        assert row["previous_score"] == score
        assert row["previous_as_of"] == FIRST
        if percentile is None or row["percentile"] is None:
            assert (row["percentile_change"], row["movement"]) == (None, "unranked")
        else:
            assert row["percentile_change"] == row["percentile"] - percentile
    new = [row for row in found if (row["tenant_id"], row["customer_id"]) not in then]
    assert {"NEW1", "NEW2"} <= {row["customer_id"] for row in new}
    for row in new:
        assert (row["previous_score"], row["previous_as_of"], row["percentile_change"]) == (None, None, None)
        assert row["movement"] == "not_enough_history"


def test_nothing_is_null_without_a_word_and_the_words_mean_what_they_say(shop: Shop) -> None:
    found = rows(shop, run_of(SECOND))
    assert {"explained", "not_enough_history", "unranked"} <= {row["movement"] for row in found}
    for row in found:
        explained = row["movement"] == "explained"
        assert (row["moved_by"] is not None) == explained
        assert (row["moved_text"] is not None) == (row["moved_contribution"] is not None) == explained
        if explained:
            # a feature explains a rise by raising the score
            assert row["percentile_change"] * row["moved_contribution"] > 0
            way = "raises" if row["percentile_change"] > 0 else "lowers"
            assert row["moved_text"].endswith(f"before ({way} the score)") or "hardly changed" in row["moved_text"]
        if row["movement"] == "unchanged":
            assert row["percentile_change"] == 0
    assert {row["movement"] for row in found if row["tenant_id"] == "tiny"} == {"unranked"}


def test_the_feature_is_the_one_whose_contribution_changed_most_the_way_of_the_customer(shop: Shop) -> None:
    artifact = load_artifact(shop, load_version(shop.lake, "reorder", 1))
    names = artifact.definition.feature_names
    values = {}
    for day in (FIRST, SECOND):
        listed = ", ".join(f'"{name}"::double' for name in names)
        for tenant, customer, *measured in shop.query(
            f"select tenant_id, customer_id, {listed} from f where as_of = date '{day}'",
            f=f"features/{artifact.version.lineage['feature_set']}",
        ):
            values[day, tenant, customer] = np.array(measured)
    coefficients = np.array(artifact.explanation["coefficients"]) / np.array(artifact.explanation["scale"])
    checked = 0
    for row in rows(shop, run_of(SECOND), "movement in ('explained', 'others_moved')"):
        mine = row["tenant_id"], row["customer_id"]
        parts = (values[SECOND, *mine] - values[FIRST, *mine]) * coefficients
        way = np.sign(row["percentile_change"])
        if row["movement"] == "others_moved":
            continue
        assert row["moved_by"] == names[int(np.argmax(parts * way))]
        assert row["moved_contribution"] == pytest.approx(parts[names.index(row["moved_by"])], abs=1e-5)
        checked += 1
    assert checked > 300


def test_a_place_that_changed_by_what_others_did_names_no_feature(shop: Shop) -> None:
    cuts = read_ranks(shop, run_of(SECOND))
    seen: Counter[str] = Counter()
    for row in rows(shop, run_of(SECOND), "movement in ('explained', 'others_moved')"):
        # where the customer would stand now with the score of then
        stays = 1 + sum(row["previous_score"] >= cut for cut in cuts[row["tenant_id"]].cuts)
        own, change = row["percentile"] - stays, row["percentile_change"]
        most = 2 * own * np.sign(change) >= abs(change)
        if row["movement"] == "explained":
            assert most
        elif most:
            seen["too little"] += 1  # no feature moved the score enough to be a reason
        seen[row["movement"]] += 1
    assert seen["explained"] > 100
    assert seen["others_moved"] - seen["too little"] > 10


def test_a_rerun_of_every_step_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "again")
    before = {key: other.lake.get(key) for key in other.lake.keys(run_of(SECOND))}
    scores = rows(other, run_of(SECOND))
    other.score("reorder", SECOND)
    assert {key: other.lake.get(key) for key in other.lake.keys(run_of(SECOND))} == before
    assert rows(other, run_of(SECOND)) == scores


def test_the_plan_pins_the_batch_so_that_one_that_comes_in_between_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "pinned")
    plan = plan_scoring(other, model="reorder", as_of=THIRD, scope="batch")
    other.score("reorder", "2025-05-20")
    receipt = other.score("reorder", THIRD)
    assert receipt["run"] == plan["run"]
    assert {row["previous_as_of"] for row in rows(other, run_of(THIRD)) if row["previous_as_of"]} == {SECOND}


def test_a_tenant_alone_moves_as_it_does_beside_others(shop: Shop, tmp_path: Path) -> None:
    alone = Shop(tmp_path / "alone")
    for key in shop.lake.keys("registry/"):
        alone.lake.put_new(key, shop.lake.get(key))
    alone.land("orders", "south", orders("south", customers=300))
    alone.promote()
    for day in (FIRST, SECOND):
        alone.score("reorder", day)
    assert rounded(rows(alone, run_of(SECOND))) == rounded(rows(shop, run_of(SECOND), "tenant_id = 'south'"))


def test_after_a_compaction_and_a_vacuum_the_next_run_still_explains(shop: Shop, tmp_path: Path) -> None:
    def movements(made: Shop) -> list[dict[str, Any]]:
        made.score("reorder", THIRD)
        return rows(made, run_of(THIRD))

    expected = movements(shop.copied(tmp_path / "as-it-is"))
    other = shop.copied(tmp_path / "maintained")
    told = maintain_tables(other, slot=SECOND, retention=timedelta(0))
    assert any(table.startswith("features/") for table in told["compacted"])
    assert movements(other) == expected
    assert any(row["movement"] == "explained" for row in expected)


def test_features_that_are_gone_are_told_and_the_scores_are_compared_all_the_same(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "gone")
    receipt = json.loads(other.lake.get(f"{run_of(SECOND)}/receipt.json"))
    assert receipt["features_version"] is not None
    plan = read_plan(other.lake, run_of(SECOND), ScoringPlan)
    for number in range(1, len(plan.groups) + 1):
        item = json.loads(other.lake.get(f"{run_of(SECOND)}/items/{number:04d}.json"))
        (other.folder / item["out"]).unlink()
    other.score("reorder", THIRD)
    found = rows(other, run_of(THIRD))
    told = {row["movement"] for row in found}
    assert "features_gone" in told
    assert "explained" not in told
    assert sum(row["percentile_change"] is not None for row in found) > 400


def test_another_feature_set_compares_scores_and_says_that_the_model_changed(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "other-features")
    other.pack_files["features/history.sql"] = other.pack_files["features/history.sql"].replace("90 day", "60 day")
    crown(other.lake, "reorder", other.train("reorder", SECOND)["version"])
    other.score("reorder", THIRD)
    found = rows(other, run_of(THIRD, 2))
    told = {row["movement"] for row in found}
    assert "model_changed" in told
    assert not told & {"explained", "features_gone", "others_moved"}
    assert sum(row["percentile_change"] is not None for row in found) > 400


def test_another_version_with_the_same_features_explains_by_its_own_contributions(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "other-version")
    crown(other.lake, "reorder", other.train("reorder", SECOND)["version"])
    other.score("reorder", THIRD)
    found = rows(other, run_of(THIRD, 2))
    told = {row["movement"] for row in found}
    assert "explained" in told
    assert "others_moved" not in told  # it would say that the customer's own score stood still


def test_a_second_version_of_the_same_day_is_compared_with_the_day_before(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "same-day")
    crown(other.lake, "reorder", other.train("reorder", SECOND)["version"])
    other.score("reorder", SECOND)
    assert {row["previous_as_of"] for row in rows(other, run_of(SECOND, 2)) if row["previous_as_of"]} == {FIRST}


def test_without_the_earlier_runs_own_files_the_batch_before_that_one_counts(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "expired")
    [first, *_] = other.lake.keys(f"{run_of(SECOND)}/scored/")
    (other.folder / first).unlink()
    other.score("reorder", THIRD)
    assert {row["previous_as_of"] for row in rows(other, run_of(THIRD)) if row["previous_as_of"]} == {FIRST}


def test_after_a_rebucketing_everybody_is_still_found(shop: Shop, tmp_path: Path) -> None:
    other, same = shop.copied(tmp_path / "rebucketed", 300), shop.copied(tmp_path / "same", 300)
    rebucket_silver(other, buckets=7)
    for made in (other, same):
        made.score("reorder", THIRD)
    assert rounded(rows(other, run_of(THIRD))) == rounded(rows(same, run_of(THIRD)))
    assert any(row["movement"] == "explained" for row in rows(other, run_of(THIRD)))


def test_a_gap_run_compares_with_the_batch_before_and_newcomers_have_no_history(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "gap")
    late = [(f"g{n}", f"GAP{n}", (date(2025, 5, 2) + timedelta(days=n)).isoformat()) for n in range(5)]
    other.land("orders", "north", late, "late")
    other.promote()
    receipt = other.score("reorder", "2025-05-10", scope="gap", request="pull")
    found = rows(other, receipt["run"])
    assert len(found) == receipt["new"] >= 5
    assert {row["movement"] for row in found if row["customer_id"].startswith("GAP")} == {"not_enough_history"}


def test_a_file_with_other_rows_than_the_features_is_refused(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "torn")
    plan = plan_scoring(other, model="reorder", as_of=THIRD, scope="batch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.kit.world.label_shard", lambda *_, **__: None)
        with pytest.raises(IncompleteRunError):
            other.score("reorder", THIRD)
    [item, *_] = other.items(plan["items"])
    out = json.loads(other.lake.get(item))["earlier"]["out"]
    columns = other.frames.read(other.folder / out)
    shutil.rmtree((other.folder / out).parent)
    (other.folder / out).parent.mkdir()
    other.frames.write(other.folder / out, {name: column[:-1] for name, column in columns.items()})
    with pytest.raises(IncompleteRunError, match="expected a row for each of the item's features"):
        label_shard(other, item=item)
    (other.folder / out).unlink()
    build_features(other, item=item)
    label_shard(other, item=item)
