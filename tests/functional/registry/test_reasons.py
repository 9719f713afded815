"""Reasons of a champion of trees: in gold/scores, and the same on demand."""

from __future__ import annotations

import pytest
import yaml

from propensity.lake.json_objects import read_json
from propensity.registry.versions import load_version
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()
TREES = {"family": "hist_gradient_boosting", "grid": [{"max_iter": 40, "max_leaf_nodes": 8, "min_samples_leaf": 100}]}


@pytest.fixture(scope="module")
def trees(trained: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = trained.copy(tmp_path_factory.mktemp("trees"))
    # `service` by another name: of so few customers too few buy for the gates
    model = yaml.safe_load(world.pack_files["models/service.yaml"])
    model |= {"name": "buy", "candidates": [TREES], "validation": {"folds": 1}}
    model["training"] = {"as_of_count": 3, "every_days": 90, "seed": 7}
    world.pack_files = {**world.pack_files, "models/buy.yaml": yaml.safe_dump(model)}
    assert world.train("buy", DAY)["failed_gates"] == []
    world.score("buy", DAY)
    return world


def test_a_dealer_reads_why_trees_gave_a_score_and_by_which_method(trees: World) -> None:
    rows = trees.query("select tenant_id, customer_id, reasons, reason_method from scores", scores="gold/scores")
    assert {row[3] for row in rows} == {"shapley"}
    with_reasons = [row for row in rows if row[2]]
    assert len(with_reasons) > 0.9 * len(rows)
    for _, _, reasons, _ in with_reasons:
        moved = [abs(reason["contribution"]) for reason in reasons]
        assert moved == sorted(moved, reverse=True)
        assert len(moved) <= 3
        assert all(reason["text"] and "nan" not in reason["text"] for reason in reasons)
    tenant, customers = rows[0][0], [row[1] for row in rows if row[0] == rows[0][0]][:5]
    request = ScoreRequest("buy", tenant, (*customers, "NOBODY"))
    answer = serve_scores(trees, load_serving(trees, "buy", 1), request, request_id="r", at="2025-07-02T00:00:00Z")
    told = {one["customer_id"]: one for one in answer["scores"]}
    assert told["NOBODY"]["reason_method"] is None
    for _, customer, reasons, _ in [row for row in rows if row[0] == tenant and row[1] in customers]:
        assert told[customer]["reason_method"] == "shapley"
        assert told[customer]["reasons"] == [reason["text"] for reason in reasons]


def test_a_linear_champion_says_that_its_reasons_are_exact(scored: World) -> None:
    assert load_version(scored.lake, "service", 1).lineage["family"] == "logistic_regression"
    [(method, least)] = scored.query(
        "select distinct reason_method, min(len(reasons)) over () from scores", scores="gold/scores"
    )
    assert (method, least) == ("exact", 3)


def test_the_card_of_trees_says_which_way_features_pull_by_trying_them(trees: World) -> None:
    version = load_version(trees.lake, "buy", 1)
    facts = read_json(trees.lake, f"{version.lineage['run']}/evaluation.json")["card"]
    assert facts["method"] == "shapley"
    found = {one["name"]: one for one in facts["features"]}
    assert len(found) == len(version.definition(trees.lake).features)
    assert {one["effect"] for one in facts["features"]} <= {"rises", "falls", "mixed", "none"}
    strongest = max(facts["features"], key=lambda one: one["importance"])
    assert strongest["effect"] != "none"
    assert f"{strongest['importance']:.3f}" in trees.lake.get(f"{version.folder}/card.md").decode()
