"""Generated dealers go through the loop: a late feed is told by the audit, a changed export changes nothing."""

from __future__ import annotations

import json
from math import log1p
from typing import Any

import pytest

from propensity.feedback.audit_features import audit_due
from propensity.feedback.run_matchback import run_matchback
from tests.kit.folder_lake import FolderLake
from tests.kit.planted import MODEL, simple
from tests.kit.registries import crown
from tests.kit.world import World
from tests.stack.automotive import AS_OF, KNOWN_BY, Generated, generate
from tests.stack.planted import served_found
from tests.stack.summary import tenant_outcomes
from tests.stack.tenants import tenant_figures

DEALERS, LATE, CHANGING, SMALL = 4, "dealer_02", "dealer_03", "dealer_04"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("files"), dealers=DEALERS, customers=2_400)


@pytest.fixture(scope="module")
def scored(made: Generated, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """The dealers trained on, scored, matched and audited; and the batch's run."""
    world = simple(World("automotive", tmp_path_factory.mktemp("lake")).with_dates(4))
    world.load(made.phases["history"])
    crown(world.lake, MODEL, world.train(MODEL, AS_OF.isoformat())["version"])
    run = world.score(MODEL, AS_OF.isoformat())["run"]
    world.load([*made.phases["gap"], *made.phases["outcomes"]])
    run_matchback(world, run=run, known_by=KNOWN_BY.isoformat())
    assert audit_due(world, slot=KNOWN_BY.isoformat())["audited"][0]["run"] == run
    return world, run


def test_the_audit_names_the_dealer_whose_visits_came_late(scored: tuple[World, str], made: Generated) -> None:
    world, run = scored
    found = served_found(FolderLake(world), run, made.manifest, limit=0.05)
    assert [one["tenant_id"] for one in found["named"]] == [LATE]
    [late] = found["late"]
    assert late["differing"] > 0.1 * late["n"]


def test_an_export_with_other_values_under_the_old_days_changes_nobody_s_features(
    scored: tuple[World, str], made: Generated
) -> None:
    world, run = scored
    found = served_found(FolderLake(world), run, made.manifest, limit=0.05)
    [changed] = found["changed"]
    assert (changed["tenant_id"], changed["differing"]) == (CHANGING, 0)
    assert changed["changed"] > 50
    # both exports are in Silver, and were not refused
    assert (
        world.query(
            f"select count(*) from v where tenant_id = '{CHANGING}' and first_registered_on = '2005-01-01'",
            v="silver/vehicles",
        )[0][0]
        >= changed["changed"] - 10
    )


def test_a_dealer_with_too_few_customers_has_scores_and_no_places(scored: tuple[World, str]) -> None:
    world, run = scored
    figures: dict[str, Any] = {one["tenant_id"]: one for one in tenant_figures(tenant_outcomes(FolderLake(world), run))}
    assert len(figures) == DEALERS
    assert figures[SMALL]["unranked"] == "few_customers"
    assert 0 < figures[SMALL]["n"] < 20
    assert {figures[tenant]["unranked"] for tenant in figures if tenant != SMALL} == {None}


def test_dealers_whose_rates_differ_get_levels_of_their_own(scored: tuple[World, str], made: Generated) -> None:
    world, run = scored
    rates = {one["tenant_id"]: one[MODEL]["rate"] for one in json.loads(made.manifest.read_text())["dealers"]}
    assert max(rates.values()) / min(rates.values()) > 3
    for one in tenant_figures(tenant_outcomes(FolderLake(world), run)):
        if one["tenant_id"] not in (SMALL, LATE):
            assert 0.75 < one["observed_over_expected"] < 1.33, one


def test_the_dealer_s_own_level_is_one_number_per_dealer_and_unknown_of_few(scored: tuple[World, str]) -> None:
    world, run = scored
    items = [json.loads(world.lake.get(item))["out"] for item in world.items(f"{run}/items.json")]
    listed = ", ".join(f"'{world.folder}/{out}'" for out in items)
    rows = world.query(
        "select tenant_id, min(log_dealer_visits_12m), max(log_dealer_visits_12m), count(log_dealer_visits_12m) "
        f"from read_parquet([{listed}]) group by 1 order by 1"
    )
    *levels, small = rows
    assert small[:2] == (SMALL, None)
    assert all(low == high and count > 100 for _, low, high, count in levels)
    # counted another way: visits of a year that ended three months ago, per hundred customers of the time before it
    first, last = "2024-04-01", "2025-04-01"
    [(visits, customers)] = world.query(
        f"""with seen as (
            select customer_id, sold_on::timestamp as day, 0 as visit from s
                where tenant_id = '{LATE}' and recorded_at < '{AS_OF}'
            union all
            select customer_id, any_value(visited_at), 1 from v
                where tenant_id = '{LATE}' and recorded_at < '{AS_OF}' group by service_id, customer_id),
        known as (select customer_id from seen group by 1 having min(day) < '{first}')
        select count(*) filter (visit = 1 and day >= '{first}' and day < '{last}'), count(distinct customer_id)
        from seen semi join known using (customer_id)""",
        s="silver/sales",
        v="silver/service_records",
    )
    [told] = [low for tenant, low, *_ in levels if tenant == LATE]
    assert told == pytest.approx(log1p(100 * visits / customers), abs=1e-5)
