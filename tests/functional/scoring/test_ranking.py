"""Who has a place on whose list: new tenants among their own, gap runs by the batch's list, and all of them matched."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensity.feedback.run_matchback import match_due
from propensity.registry.calibrations import CalibrationFile, add_calibration
from propensity.registry.versions import load_version
from propensity.scoring.rank_run import rank_run, read_ranks
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from propensity.stats import ranking
from propensity.stats.within_tenant import auc_within, by_tenant
from tests.kit.registries import crown
from tests.kit.shop import Shop, orders

BATCH, GAP, LATER = "2025-04-01", "2025-04-15", "2025-04-20"


def keen(tenant: str, customers: int, begin: date, end: date) -> list[tuple[str, str, str]]:
    """Orders of customers who order about every other week."""
    chance = np.random.default_rng(7)
    out: list[tuple[str, str, str]] = []
    for number in range(customers):
        day = begin + timedelta(days=float(chance.exponential(12)))
        while day < end:
            out.append((f"{tenant}-{len(out)}", f"N{number:04d}", day.isoformat()))
            day += timedelta(days=1 + float(chance.exponential(12)))
    return out


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two tenants and their batch; then a keen tenant, a cold one, one of five customers, and newcomers; a gap run."""
    made = Shop(tmp_path_factory.mktemp("ranking"))
    for tenant in ("north", "south"):
        made.land("orders", tenant, [row for row in orders(tenant, customers=300) if row[2] < BATCH])
    made.promote()
    crown(made.lake, "reorder", made.train("reorder", BATCH)["version"])
    made.score("reorder", BATCH)
    new = keen("keen", 60, date(2025, 3, 1), date(2025, 5, 30))
    made.land("orders", "keen", [row for row in new if row[2] < GAP])
    cold = [(f"cold-{n}", f"Z{n:04d}", (date(2024, 9, 1) + timedelta(days=n)).isoformat()) for n in range(60)]
    made.land("orders", "cold", cold)
    made.land("orders", "tiny", [(f"tiny-{n}", f"T{n}", f"2025-03-{10 + n}") for n in range(5)])
    fresh = [(f"nn-{n}", f"NEW{n:03d}", (date(2025, 4, 2) + timedelta(days=n % 12)).isoformat()) for n in range(80)]
    made.land("orders", "north", fresh, "fresh")
    made.promote()
    made.score("reorder", GAP, scope="gap", request="first")
    for tenant in ("north", "south"):
        made.land("orders", tenant, [row for row in orders(tenant, customers=300) if row[2] >= BATCH], "later")
    made.land("orders", "keen", [row for row in new if row[2] >= GAP], "later")
    made.land("orders", "tiny", [("tiny-late", "T0", "2025-05-02")], "later")
    made.promote()
    return made


def deciles(shop: Shop, run: str) -> dict[str, dict[int | None, int]]:
    found: dict[str, dict[int | None, int]] = defaultdict(dict)
    rows = shop.query(
        f"select tenant_id, decile, count(*) from s where run like '%{run}%' group by all", s="gold/scores"
    )
    for tenant, decile, count in rows:
        found[tenant][decile] = count
    return found


def reasons(shop: Shop, run: str) -> list[tuple[Any, ...]]:
    return shop.query(
        f"select distinct tenant_id, unranked_reason, decile is null and percentile is null from s "
        f"where run like '%{run}%' order by all",
        s="gold/scores",
    )


def test_a_new_tenant_is_ranked_among_its_own_from_twenty_customers_on_and_else_not_at_all(shop: Shop) -> None:
    found = deciles(shop, "-gap-first")
    # among everyone, the keen tenant's customers were in deciles 8 to 10, and the cold one's in 2 to 3
    assert sum(count for decile, count in found["keen"].items() if decile and decile >= 8) <= 25
    assert {1, 10} <= found["keen"].keys()
    assert max(found["keen"].values()) < 20
    # all of the cold tenant were in deciles 2 to 3
    assert {1, 10} <= found["cold"].keys()
    assert max(found["cold"].values()) < 20
    assert sum(found["cold"].values()) == 60
    assert found["tiny"] == {None: 5}
    told = {tenant: (reason, empty) for tenant, reason, empty in reasons(shop, "-gap-first")}
    assert told["tiny"] == ("few_customers", True)
    assert told["keen"] == (None, False)
    assert told["north"] == (None, False)


def test_a_batch_ranks_every_tenant_in_all_deciles_and_has_every_customer_once(shop: Shop) -> None:
    for tenant, found in deciles(shop, f"{BATCH}-v000001-batch").items():
        assert found.keys() == set(range(1, 11)), tenant
    [(rows, customers)] = shop.query(
        f"select count(*), count(distinct (tenant_id, customer_id)) from s where run like '%{BATCH}%'", s="gold/scores"
    )
    assert rows == customers > 400


def test_a_fifth_that_is_tied_at_the_top_has_the_middle_of_its_places(shop: Shop, tmp_path: Path) -> None:
    other, run = shop.copied(tmp_path / "tied"), f"runs/score/reorder/{BATCH}-v000001-batch"
    scores: dict[str, list[float]] = {"north": [], "south": []}
    for key in other.lake.keys(f"{run}/scored/"):
        columns = dict(other.frames.read(other.folder / key))
        for tenant, found in scores.items():
            mine = columns["tenant_id"] == tenant
            if mine.any():
                edge = np.quantile(columns["score"][mine], 0.8)
                columns["score"] = np.where(mine & (columns["score"] >= edge), 0.9, columns["score"])
                found += columns["score"][mine].tolist()
        other.frames.write(other.folder / key, columns)
    (other.folder / f"{run}/cuts.json").unlink()
    rank_run(other, run=run)
    for tenant, by in read_ranks(other, run).items():
        places = ranking.percentile(np.array(scores[tenant]), by.cuts)
        assert places.tolist() == ranking.mid_ranks(np.array(scores[tenant])).tolist()
        assert set(places[np.array(scores[tenant]) == 0.9]) <= {90, 91}


def test_newcomers_have_the_percentile_that_the_batch_gave_for_their_score(shop: Shop) -> None:
    rows = shop.query(
        "select n.score, n.percentile, max(b.percentile) filter (b.score <= n.score) "
        "from s n join s b using (tenant_id) "
        "where n.tenant_id = 'north' and n.scope = 'gap' and b.scope = 'batch' and b.as_of = date '2025-04-01' "
        "group by n.customer_id, n.score, n.percentile",
        s="gold/scores",
    )
    assert len(rows) == 80
    for score, percentile, batch in rows:
        assert percentile == (batch or 1), score


def test_the_next_gap_run_ranks_by_the_lists_of_the_one_before(shop: Shop, tmp_path: Path) -> None:
    other = shop.copied(tmp_path / "next")
    other.land("orders", "keen", [("k1", "LATE1", "2025-04-16")], "one")
    other.land("orders", "tiny", [(f"tiny-x{n}", f"X{n:02d}", f"2025-04-{1 + n:02d}") for n in range(15)], "more")
    other.promote()
    receipt = other.score("reorder", LATER, scope="gap", request="second")
    assert receipt["new"] >= 16
    found = deciles(other, "-gap-second")
    assert sum(found["keen"].values()) == 1
    assert None not in found["keen"]
    # five were known and unranked; with fifteen more the tenant has a list
    assert sum(found["tiny"].values()) == 15
    assert None not in found["tiny"]


def test_batch_gap_and_on_demand_say_the_same_of_everyone(shop: Shop) -> None:
    rows = shop.query(
        "select tenant_id, customer_id, score, percentile, decile, unranked_reason from s "
        "where tenant_id in ('keen', 'tiny', 'north') and as_of = date '2025-04-15' order by all",
        s="gold/scores",
    )
    serving = load_serving(shop, "reorder", 1)
    for tenant in ("keen", "tiny", "north"):
        mine = [row[1:] for row in rows if row[0] == tenant]
        request = ScoreRequest("reorder", tenant, tuple(row[0] for row in mine))
        answers = serve_scores(shop, serving, request, request_id=tenant, at="2025-04-15T00:00:00Z")["scores"]
        for row, answer in zip(mine, answers, strict=True):
            assert answer["score"] == pytest.approx(row[1], abs=1e-6)
            assert tuple(answer[name] for name in ("percentile", "decile", "unranked_reason")) == row[2:]


def test_until_the_next_batch_a_recalibration_moves_neither_scores_nor_places_on_demand(
    shop: Shop, tmp_path: Path
) -> None:
    other = shop.copied(tmp_path / "recalibrated")
    other.online.items.update(shop.online.items)
    table = {"method": "table", "raw_logit": [-2.0, 0.0], "calibrated_logit": [-3.0, 0.5], "rows": 9, "positives": 3}
    asked = CalibrationFile(
        model="reorder", version=1, number=1, by="anna", why="prices fell", at=GAP, calibration=table
    )
    assert add_calibration(other.lake, load_version(other.lake, "reorder", 1), asked)
    loaded = load_serving(other, "reorder", 1).artifact
    assert loaded
    assert loaded.calibration_number == 1

    def agreed() -> int:
        rows = other.query(
            "select customer_id, score, percentile, decile, calibration from s where tenant_id = 'north' "
            "qualify as_of = max(as_of) over (partition by customer_id) order by 1 limit 90",
            s="gold/scores",
        )
        request = ScoreRequest("reorder", "north", tuple(row[0] for row in rows))
        answer = serve_scores(other, load_serving(other, "reorder", 1), request, request_id="r", at=f"{LATER}T00:00Z")
        for row, one in zip(rows, answer["scores"], strict=True):
            assert one["score"] == pytest.approx(row[1], abs=1e-6)
            assert (one["percentile"], one["decile"], one["calibration"]) == row[2:]
        return int(rows[0][4])

    assert agreed() == 0
    other.score("reorder", LATER)
    assert agreed() == 1


def test_what_a_gap_run_scored_is_matched_at_its_own_day(shop: Shop) -> None:
    said = match_due(shop, slot="2025-06-20")
    assert said["not_matched"] == []
    assert [one["run"].rpartition("/")[2] for one in said["matched"]] == [
        f"{BATCH}-v000001-batch",
        f"{GAP}-v000001-gap-first",
    ]
    assert match_due(shop, slot="2025-06-20")["matched"] == []
    truth = shop.query(
        "select tenant_id, as_of::varchar, count(*) from t where tenant_id in ('keen', 'tiny') "
        "group by all order by all",
        t="gold/ground_truth",
    )
    assert truth == [("keen", GAP, sum(deciles(shop, "-gap-first")["keen"].values())), ("tiny", GAP, 5)]
    report = json.loads(shop.lake.get(f"runs/score/reorder/{GAP}-v000001-gap-first/matchback-2025-05-16.json"))
    segments = report["segments"]
    assert report["unranked"]["few_customers"] == segments["unranked"]["rate"]["n"] >= 5
    placed = sum(one["rate"]["n"] for name, one in segments.items() if name.startswith("decile_"))
    assert placed + sum(report["unranked"].values()) == segments["all"]["rate"]["n"]
    thirds = sum(segments[f"decile_{number}"]["rate"]["n"] for number in (8, 9, 10) if f"decile_{number}" in segments)
    assert segments["high"]["rate"]["n"] == thirds


def test_the_auc_of_a_matchback_is_that_of_each_tenants_own_customers(shop: Shop) -> None:
    match_due(shop, slot="2025-06-20")
    run = f"runs/score/reorder/{GAP}-v000001-gap-first"
    rows = shop.query(
        f"select tenant_id, score, count(*), count(*) filter (converted) from t where run = '{run}' group by all",
        t="gold/ground_truth",
    )
    figures = json.loads(shop.lake.get(f"{run}/matchback-2025-05-16.json"))["segments"]["all"]
    assert figures["auc_within"]["value"] == pytest.approx(auc_within(by_tenant(rows)).value)
    # keen and cold tenants side by side: between them, any score ranks well
    assert figures["auc"]["value"] > figures["auc_within"]["value"] + 0.05


def test_figures_within_tenants_stand_before_the_pooled_ones_which_say_that_they_are(shop: Shop) -> None:
    match_due(shop, slot="2025-06-20")
    run = f"runs/score/reorder/{BATCH}-v000001-batch"
    rows = dict(
        shop.query(f"select measure, pooled from m where run = '{run}' and segment = 'all'", m="gold/matchback")
    )
    assert [name for name, pooled in rows.items() if not pooled] == [
        "rate",
        "auc_within",
        "lift_of_lists",
        "observed_over_expected",
    ]
    assert {"auc", "ece", "calibration_slope", "brier_skill"} <= {name for name, pooled in rows.items() if pooled}
    figures = json.loads(shop.lake.get(f"{run}/matchback-2025-05-02.json"))["segments"]["all"]
    assert (figures["auc_within"]["pooled"], figures["auc"]["pooled"]) == (False, True)
