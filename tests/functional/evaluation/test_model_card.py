"""The model card of a trained version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from propensity.evaluation.card import write_card
from propensity.evaluation.domain.model_card import CardSource as Told
from propensity.evaluation.domain.model_card import lift_chart, model_card
from propensity.kernel.pages import to_html, to_markdown
from propensity.lake.json_objects import read_json
from propensity.registry.versions import Version, load_version
from propensity.serving.serve_scores import MAX_CUSTOMERS, ScoreRequest, load_serving, serve_scores
from tests.kit.world import World
from tests.unit.kernel.test_charts import Reader


@pytest.fixture(scope="module")
def version(trained: World) -> Version:
    return load_version(trained.lake, "service", 1)


@pytest.fixture(scope="module")
def evaluation(trained: World, version: Version) -> dict[str, Any]:
    return read_json(trained.lake, f"{version.lineage['run']}/evaluation.json")


@pytest.mark.parametrize("name", ["card.html", "card.md"])
def test_a_card_names_every_feature_and_gate_and_gives_metrics_with_intervals(
    trained: World, version: Version, evaluation: dict[str, Any], name: str
) -> None:
    text = trained.lake.get(f"{version.folder}/{name}").decode()
    definition = version.definition(trained.lake)
    for feature in definition.features:
        assert feature.name in text
    for gate in evaluation["gates"]:
        assert gate["name"] in text
    auc = evaluation["metrics"]["auc"]
    assert f"{auc['low']:.3g} to {auc['high']:.3g}" in text
    assert f"{auc['n']:,}" in text
    for said in (definition.model.intended_use, definition.model.ethical_considerations, version.lineage["run"]):
        assert said
        assert " ".join(said.split()[:5]) in text


def test_a_card_opens_with_the_conversions_gained_and_then_says_how_it_was_judged(
    trained: World, version: Version, evaluation: dict[str, Any]
) -> None:
    title, opening, heading, judged, connected = (
        trained.lake.get(f"{version.folder}/card.md").decode().split("\n\n")[:5]
    )
    gained, size = evaluation["report"]["gains"]["over_filter"]["conversions"], evaluation["report"]["model"]["size"]
    assert title.startswith("# Model card: service")
    assert opening.startswith(f"A list of {size:,} customers by this version holds {abs(gained['value']):.0f} ")
    assert "conversions (95 %: " in opening
    assert opening.endswith((" gates passed.", " failed.")) or " gates " in opening
    assert heading == "## How it was judged"
    assert f"On {evaluation['metrics']['auc']['n']:,} customers as of {evaluation['report']['fold']}" in judged
    assert f"The model is of the family {evaluation['family']}" in judged.replace("\\", "")
    # the fold's AUC and the AUC of later outcomes are told apart where the first stands
    assert "The AUC of this fold is 0." in connected
    assert "Each scoring run gets an AUC of its own once its outcomes are known (matchback)" in connected


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (189.2, 156.4, 222.6, "189 more conversions (95 %: 156 to 223)"),
        (-12.0, -20.0, -4.0, "12 fewer conversions (95 %: 4 to 20)"),
        (3.0, -9.0, 15.0, "3 more conversions (95 %: -9 to 15)"),
        (-3.0, -15.0, 9.0, "3 fewer conversions (95 %: -9 to 15)"),
    ],
)
def test_conversions_gained_are_told_with_their_sign(
    trained: World, version: Version, evaluation: dict[str, Any], value: float, low: float, high: float, said: str
) -> None:
    plan = {**read_json(trained.lake, f"{version.lineage['run']}/plan.json"), "run": "r", "seed": 7}
    gains = {"over_filter": {"conversions": {"value": value, "low": low, "high": high, "n": 9}}}
    changed = {**evaluation, "report": {**evaluation["report"], "gains": gains}}
    page = model_card(Told(version.definition(trained.lake), plan, changed, [], {}))
    assert said in page.summary
    without = model_card(Told(version.definition(trained.lake), plan, {**evaluation, "report": {}}, [], {}))
    assert without.summary.startswith("There is neither a manual filter nor a champion")


def test_its_html_is_whole_loads_nothing_and_holds_both_charts(trained: World, version: Version) -> None:
    text = trained.lake.get(f"{version.folder}/card.html").decode()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert text.count("<svg") == 2
    assert not {"script", "link", "img", "@src", "@href"} & reader.tags
    assert "prefers-color-scheme: dark" in text


def test_it_shows_every_slice_and_holds_the_version_against_the_filter_and_the_other_candidates(
    trained: World, version: Version, evaluation: dict[str, Any]
) -> None:
    text, report = trained.lake.get(f"{version.folder}/card.md").decode(), evaluation["report"]
    assert f"| the manual filter | {report['filter']['size']:,} |" in text
    gained = report["gains"]["over_filter"]["conversions"]
    assert f"{gained['value']:.3g} ({gained['low']:.3g} to {gained['high']:.3g})" in text
    for part in json.loads(trained.lake.get(f"{version.folder}/slices.json")):
        assert (f"| {part['slice']}: {part['value']}" if part["value"] else f"| {part['slice']} |") in text
    for candidate in report["candidates"]:
        assert candidate["why"] in text


def test_what_it_measured_is_of_the_version(trained: World, version: Version, evaluation: dict[str, Any]) -> None:
    facts = evaluation["card"]
    assert sum(one["rate"]["n"] for one in facts["reliability"]) == evaluation["metrics"]["auc"]["n"]
    assert facts["tenths"][0]["lift"]["value"] == pytest.approx(evaluation["metrics"]["lift_of_lists"]["value"])
    explanation = version.json(trained.lake, "explanation.json")
    signs = {"rises": 1, "falls": -1, "none": 0}
    for one, coefficient in zip(facts["features"], explanation["coefficients"], strict=True):
        assert one["importance"] == pytest.approx(abs(coefficient))
        assert signs[one["effect"]] in (0, 1 if coefficient > 0 else -1)
    assert [len(one["top"]) for one in facts["segments"]] == [5, 5]
    assert sum(one["n"] for one in facts["segments"]) == facts["rows"]


def test_decile_10_is_the_likeliest_in_the_answers_and_in_the_card_s_chart(
    scored: World, evaluation: dict[str, Any]
) -> None:
    tenant = "dealer_01"
    ids = sorted(key[1] for key in scored.online.items if key[0] == tenant)
    serving, answers = load_serving(scored, "service", 1), []
    for start in range(0, len(ids), MAX_CUSTOMERS):
        request = ScoreRequest("service", tenant, tuple(ids[start : start + MAX_CUSTOMERS]))
        answers += serve_scores(scored, serving, request, request_id=f"r{start}", at="2025-07-02T00:00:00Z")["scores"]
    of = {number: [one["score"] for one in answers if one["decile"] == number] for number in range(1, 11)}
    assert all(of.values())
    assert all(max(of[number]) <= min(of[number + 1]) for number in range(1, 10))
    assert min(of[10]) > max(of[1])

    chart = lift_chart(evaluation["card"]["tenths"], pooled=False)
    rows = {row[0]: float(row[1]) for row in chart.table.rows}
    assert list(rows) == [str(number) for number in range(10, 0, -1)]
    assert sum(rows[str(number)] for number in (10, 9, 8)) > sum(rows[str(number)] for number in (1, 2, 3))
    assert "10 is the likeliest" in "".join(chart.chart.itertext())


def test_a_chart_by_tenth_is_of_the_tenants_lists_or_says_that_it_is_pooled(
    trained: World, version: Version, evaluation: dict[str, Any]
) -> None:
    plan = {**read_json(trained.lake, f"{version.lineage['run']}/plan.json"), "run": "r", "seed": 7}
    facts = evaluation["card"]
    early = {**{name: fact for name, fact in facts.items() if name != "tenths"}, "gains": facts["tenths"]}
    for given, said in (
        (facts, "Lift by decile of each tenant's list"),
        (early, "Lift by decile, pooled over tenants"),
    ):
        told = Told(version.definition(trained.lake), plan, {**evaluation, "card": given}, [], {})
        assert f"{said} (n = " in to_markdown(model_card(told))


def test_the_same_evaluation_gives_the_same_bytes(trained: World, version: Version, tmp_path: Path) -> None:
    again, run = trained.copy(tmp_path), version.lineage["run"]
    for name in ("card.html", "card.md"):
        again.lake.remove(f"{run}/{name}")
    write_card(again, run, read_json(again.lake, f"{run}/evaluation.json"))
    for name in ("card.html", "card.md"):
        assert again.lake.get(f"{run}/{name}") == trained.lake.get(f"{version.folder}/{name}")


def test_an_evaluation_from_before_there_were_cards_still_makes_one_and_slices_are_shown(
    trained: World, version: Version, evaluation: dict[str, Any]
) -> None:
    old = {name: value for name, value in evaluation.items() if name not in ("card", "report")}
    plan = {**read_json(trained.lake, f"{version.lineage['run']}/plan.json"), "run": "r", "seed": 7}
    estimate = {"value": 0.7, "low": 0.61, "high": 0.79, "n": 99}
    part = {"slice": "region", "value": "north <b>", "protected": True, "n": 99, "positives": 9, "evidence": "enough"}
    slices = [{**part, "auc": None, "calibration": estimate}]
    training = {
        "limits": ["7 rows were under a campaign"],
        "left_out": {"censored": 1234},
        "dates": [{"as_of": "2025-01-01", "rows": 99}, {"as_of": "2025-02-01", "rows": 0}],
    }
    page = model_card(Told(version.definition(trained.lake), plan, old, slices, training))
    html = to_html(page)
    assert "region: north &lt;b&gt; (protected)" in html
    assert "0.7 (0.61 to 0.79)" in html
    assert "7 rows were under a campaign" in html
    assert "1,234 censored" in html
    assert "no row is left of 1: 2025-02-01" in html
    assert "Effects were not measured" in to_markdown(page)
