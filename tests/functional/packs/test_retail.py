"""The loop on a real shop's invoices: Online Retail II, which is not part of this project."""

from __future__ import annotations

import json

import pytest

from propensity.feedback.run_matchback import match_due
from tests.kit.world import World
from tests.stack import scenarios
from tests.stack.lake import rows_in_file
from tests.stack.stack import ROOT

DATA = ROOT.parent / "shared/data/online_retail_ii"

pytestmark = pytest.mark.skipif(
    not (DATA / "year_2009_2010.parquet").exists(), reason=f"left out: Online Retail II is not in {DATA}"
)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> scenarios.Scenario:
    return scenarios.retail(DATA, tmp_path_factory.mktemp("retail"))


@pytest.fixture(scope="module")
def loaded(scenario: scenarios.Scenario, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World("retail", tmp_path_factory.mktemp("lake"))
    reports = world.load(scenario.history)
    assert sum(report["rows_in"] for report in reports) == 525_461 + 541_909
    assert sum(report["bronze"] for report in reports) == 525_461 + 541_909
    return world


def test_every_row_of_every_file_is_read(scenario: scenarios.Scenario) -> None:
    assert len(scenario.history) == 1 + 305
    assert sum(rows_in_file(drop.path) for drop in scenario.history) == 525_461 + 541_909


def test_days_that_are_in_both_sources_count_once_and_equal_lines_stay(loaded: World) -> None:
    counted = loaded.query("select count(distinct (tenant_id, _key)) from lines", lines="silver/invoice_lines")
    assert counted == [(1_044_847,)]


def test_scores_as_of_a_day_find_those_who_bought_in_the_90_that_followed(loaded: World) -> None:
    loaded.train("purchase_90d", "2011-09-01")
    receipt = loaded.score("purchase_90d", "2011-09-01")
    match_due(loaded, slot="2011-11-30")
    segments = json.loads(loaded.lake.get(f"{receipt['run']}/matchback-2011-11-30.json"))["segments"]
    assert segments["all"]["auc"]["value"] >= 0.800
    assert segments["top_decile"]["lift"]["value"] >= 2.15
    assert segments["all"]["auc"]["n"] == receipt["population"]
