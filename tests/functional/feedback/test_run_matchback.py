"""What a matchback counts: customers whose outcome is known, and nobody else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propensity.feedback.domain.retraining import performance_check
from propensity.feedback.run_matchback import match_due, run_matchback
from propensity.kernel.errors import EvidenceError
from propensity.pack.domain.model_spec import Retraining
from propensity.tenants.record_lines import append_record_line as append_line
from tests.kit.registries import crown
from tests.kit.shop import Shop, stocked

DAY, SETTLED = "2025-04-20", "2025-05-21"  # after the horizon of 30 days, and one day to settle

NOBODY = "select distinct tenant_id, customer from outcome.orders where customer = 'nobody'"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, str]:
    """A shop whose customers of three tenants were scored; one of the tenants stopped sending in February."""
    shop = stocked(tmp_path_factory.mktemp("shop")).told(
        censored={"sql": "select distinct tenant_id, customer from orders where customer like '%0'"}
    )
    crown(shop.lake, "reorder", shop.train("reorder", DAY)["version"])
    run: str = shop.score("reorder", DAY)["run"]
    return shop, run


def matched(shop: Shop, run: str) -> tuple[dict[str, Any], Counter[str]]:
    """The summary, and how many customers of each tenant gold/ground_truth has."""
    run_matchback(shop, run=run, known_by=SETTLED)
    rows = shop.query("select tenant_id, customer_id from truth", truth="gold/ground_truth")
    assert not any(customer.endswith("0") for _, customer in rows)
    return json.loads(shop.lake.get(f"{run}/matchback-{SETTLED}.json")), Counter(tenant for tenant, _ in rows)


def test_customers_whose_outcome_could_not_be_seen_are_counted_by_reason_and_in_no_figure(
    scored: tuple[Shop, str], tmp_path: Path
) -> None:
    shop, run = scored
    population = Counter(
        (tenant, customer.endswith("0"))
        for tenant, customer in shop.query("select tenant_id, customer_id from scores", scores="gold/scores")
    )
    plain = shop.copied(tmp_path / "plain")
    said, seen = matched(plain, run)
    censored = sum(population[tenant, True] for tenant in ("north", "south", "west"))
    assert said["left_out"] == {"censored": censored, "tenant_silent": population["west", False]}
    assert seen == {"north": population["north", False], "south": population["south", False]}
    assert said["segments"]["all"]["rate"]["n"] == sum(seen.values())
    # outcomes of the last days arrive in the settle days: of a tenant suspended then, some may be missing
    closed = shop.copied(tmp_path / "closed")
    at = "2025-05-20T12:00:00+00:00"
    append_line(closed.lake, "south", {"state": "suspended", "why": "because"}, ["orders"], by="ops", at=at)
    without, left = matched(closed, run)
    assert left == {"north": population["north", False]}
    assert without["left_out"]["tenant_closed"] == population["south", True] + population["south", False]
    assert sum(without["left_out"].values()) + sum(left.values()) == sum(population.values())
    append_line(closed.lake, "north", {"state": "suspended", "why": "because"}, ["orders"], by="ops", at=at)
    with pytest.raises(EvidenceError, match=r"model reorder, left out \d+ censored, \d+ tenant_closed.*0 of 0 rows"):
        run_matchback(closed, run=run, known_by="2025-05-22")
    outcomes = pq.read_table(closed.folder / f"{run}/outcomes/{SETTLED}.parquet")
    assert sum(outcomes["rows"].to_pylist()) == sum(left.values())


def test_where_nobody_converted_the_rates_stand_and_a_finding_says_what_there_cannot_be(
    scored: tuple[Shop, str], tmp_path: Path
) -> None:
    shop, run = scored
    quiet = shop.copied(tmp_path / "quiet", target={"description": "d", "sql": NOBODY})
    definition = "registry/reorder/versions/000001/definition/model.yaml"
    quiet.lake.put(definition, quiet.pack_files["models/reorder.yaml"].encode())
    told = match_due(quiet, slot=SETTLED)
    assert (len(told["matched"]), told["not_matched"]) == (1, [])
    assert told["matched"][0]["positives"] == 0
    report = json.loads(quiet.lake.get(f"{run}/matchback-{SETTLED}.json"))
    everyone, n = report["segments"]["all"], told["matched"][0]["rows"]
    assert everyone.keys() == {"rate", "observed_over_expected"}
    assert (everyone["rate"]["value"], everyone["rate"]["n"]) == (0, n)
    assert everyone["rate"]["high"] == pytest.approx(1.96**2 / (n + 1.96**2), rel=1e-3)  # Wilson's interval of 0 of n
    assert everyone["observed_over_expected"]["high"] < 1
    assert report["findings"] == [f"none of {n:,} customers converted; figures of the ranking need both kinds"]
    assert "rate" in report["segments"]["decile_10"]
    assert "lift" not in report["segments"]["decile_10"]
    # the level is far off, and the check says so although there is no AUC to compare
    check = performance_check(report, {"auc": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 100}}, Retraining())
    assert (check.violated, "conversions over expected 0.000" in check.said) == (True, True)


def test_a_later_matchback_without_new_data_counts_the_same_customers(scored: tuple[Shop, str], tmp_path: Path) -> None:
    shop, run = scored
    other = shop.copied(tmp_path / "late")
    # a tenant that left within the window: until the window's end, nobody could call it silent
    rows = [(f"b{n}-{day}", f"B{n:02d}", day) for n in range(8) for day in ("2025-04-08", "2025-05-09")]
    other.land("orders", "brief", rows)
    other.promote()
    gap = other.score("reorder", "2025-04-21", scope="gap", request="late")["run"]
    counted = [
        run_matchback(other, run=gap, known_by=day)["rows"] for day in ("2025-05-22", "2025-07-30", "2026-06-01")
    ]
    assert counted[0] == counted[1] == counted[2] > 0
    again = [run_matchback(other, run=run, known_by=day)["rows"] for day in (SETTLED, "2026-06-01")]
    assert again[0] == again[1] > 0


def test_who_sends_again_after_the_window_was_silent_in_it_all_the_same(
    scored: tuple[Shop, str], tmp_path: Path
) -> None:
    shop, run = scored
    other = shop.copied(tmp_path / "again")
    before = run_matchback(other, run=run, known_by=SETTLED)["rows"]
    other.land("orders", "west", [("again", "C00001", "2025-06-10")], "again")
    other.promote()
    assert run_matchback(other, run=run, known_by="2025-06-20")["rows"] == before
