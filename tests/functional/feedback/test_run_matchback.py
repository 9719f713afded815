"""What a matchback counts: who could be seen, and nobody whose outcome nobody knows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propensity.feedback.run_matchback import run_matchback
from propensity.kernel.errors import EvidenceError
from propensity.tenants.record_lines import append_record_line as append_line
from tests.kit.registries import crown
from tests.kit.shop import Shop, stocked

DAY, SETTLED = "2025-04-20", "2025-05-21"  # 30 days, and one to settle


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
    # outcomes of the window's last days come in while they settle: a tenant that is closed then was not seen whole
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
