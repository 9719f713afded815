"""The loop on a telephone centre's lists: Bank Marketing, which is not part of this project."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from propensity.features.build_features import build_features
from propensity.feedback.run_matchback import match_due
from propensity.kernel.errors import PackError
from propensity.runtime.pack_files import pack_files
from propensity.training.plan_training import plan_training
from tests.kit.world import World
from tests.stack import bank_marketing, scenarios
from tests.stack.lake import rows_in_file
from tests.stack.stack import ROOT

DATA = ROOT.parent / "shared/data/bank_marketing"
MODEL = "models/subscribe.yaml"
AS_OF = "2009-06-02"
JUNE = 715

pytestmark = pytest.mark.skipif(
    not (DATA / bank_marketing.ARCHIVE).exists(), reason=f"left out: Bank Marketing is not in {DATA}"
)


def tried_little() -> dict[str, str]:
    """The pack with one setting of one family, and wide gates for its slope: search and gates have their own tests."""
    files = pack_files("leads")
    model = yaml.safe_load(files[MODEL])
    model |= {"candidates": [{"family": "logistic_regression", "grid": [{"C": 0.001}]}]}
    model |= {"training": {"as_of_count": 13, "every_months": 1}}
    model["gates"] |= {"calibration_slope_low": 0.1, "calibration_slope_high": 10.0}
    return {**files, MODEL: yaml.safe_dump(model)}


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> scenarios.Scenario:
    return scenarios.leads(DATA, tmp_path_factory.mktemp("lists"), as_of=date.fromisoformat(AS_OF))


@pytest.fixture(scope="module")
def loaded(scenario: scenarios.Scenario, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with everything up to June's list, but without June's outcomes."""
    world = World("leads", tmp_path_factory.mktemp("lake"))
    world.pack_files = tried_little()
    for report in world.load(scenario.history):
        assert (report["bronze"], report["warnings"]) == (report["rows_in"], [])
    return world


def test_the_months_are_those_of_2008_to_2010_and_every_call_is_in_one_list_and_one_outcome(tmp_path: Path) -> None:
    calls = bank_marketing.calls(DATA)
    assert (len(calls), Counter(call["y"] for call in calls)["yes"]) == (41_188, 4_640)

    written = bank_marketing.write(calls, tmp_path)

    months = [month for month, _, _ in written]
    assert (len(months), months[0], months[-1]) == (26, date(2008, 5, 1), date(2010, 11, 1))
    assert months == sorted(set(months))
    for files in zip(*((leads, outcomes) for _, leads, outcomes in written), strict=True):
        assert sum(rows_in_file(path) for path in files) == 41_188


def test_what_is_known_at_the_call_and_what_is_known_after_it_are_two_datasets(loaded: World) -> None:
    columns = [{row[0] for row in loaded.query("describe t", t=f"silver/{name}")} for name in loaded.datasets]
    outcomes, leads = columns
    assert {"call_seconds", "subscribed"} <= outcomes
    assert not leads & {"call_seconds", "duration", "subscribed", "y"}


def test_the_length_of_the_call_in_a_file_of_leads_is_left_out_with_a_warning(
    loaded: World, scenario: scenarios.Scenario, tmp_path: Path
) -> None:
    world = loaded.copy(tmp_path)
    header, *rows = scenario.history[-1].path.read_text().splitlines()
    file = "\n".join([f"{header},duration", *(f"{row},999" for row in rows)])

    report = world.put("leads/tenant_id=other/june.csv", file.encode())

    assert report["bronze"] == JUNE
    # the warning says where the column stands, and not its name, which could be a person's
    [warning] = [warning for warning in report["warnings"] if "is not in the contract and was left out" in warning]
    assert f"column {header.count(',') + 2}" in warning
    assert "duration" not in warning
    world.promote()
    assert "duration" not in {row[0] for row in world.query("describe t", t="silver/leads")}


@pytest.mark.parametrize("dataset", ["lead_outcomes", "outcome.lead_outcomes"])
def test_a_feature_of_the_months_own_outcomes_is_refused_or_knows_none(
    loaded: World, dataset: str, tmp_path: Path
) -> None:
    """The bare name is cut at the as-of date like any dataset, and June's calls have no outcome by then."""
    world = loaded.copy(tmp_path)
    sql = f"select tenant_id, lead_id, call_seconds as n from {dataset}"
    group = "{group: length, description: d, owner: o, features: [{name: n, description: d}]}"
    model = yaml.safe_load(tried_little()[MODEL]) | {"features": ["lead", "length"]}
    world.pack_files = {
        **tried_little(),
        "features/length.sql": sql,
        "features/length.yaml": group,
        MODEL: yaml.safe_dump(model),
    }
    if dataset.startswith("outcome."):
        with pytest.raises(PackError, match=r"names outcome\.lead_outcomes"):
            plan_training(world, model="subscribe", as_of=AS_OF)
    else:
        plan = plan_training(world, model="subscribe", as_of=AS_OF)
        [item] = world.items(plan["build_items"])
        build_features(world, item=item)
        assert _known(world, item, "n") == 0


def _known(world: World, item: str, column: str) -> int:
    """How many of an item's rows have a value in the column."""
    table = pq.read_table(world.folder / json.loads(world.lake.get(item))["out"])
    assert table.num_rows > 0
    return int(table.num_rows - table[column].null_count)


def test_a_list_is_scored_before_its_calls_and_matched_when_its_month_is_closed(
    loaded: World, scenario: scenarios.Scenario
) -> None:
    trained = loaded.train("subscribe", AS_OF)
    assert trained["failed_gates"] == []

    receipt = loaded.score("subscribe", AS_OF)
    assert receipt["population"] == JUNE

    loaded.load(scenario.gap)
    pulled = loaded.score("subscribe", scenario.gap_day.isoformat(), scope="gap")
    assert (pulled["population"], pulled["had"], pulled["new"]) == (178, 0, 178)

    loaded.load(scenario.outcomes)
    match_due(loaded, slot="2009-07-02")
    segments = json.loads(loaded.lake.get(f"{receipt['run']}/matchback-2009-07-02.json"))["segments"]
    assert (segments["all"]["auc"]["n"], segments["all"]["rate"]["positives"]) == (JUNE, 264)
    assert segments["all"]["auc"]["low"] > 0.5
    assert segments["filter"]["rate"]["n"] > 0
