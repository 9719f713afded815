"""The loop on generated dealers, in one process: its figures and its four laws."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from propensity.feedback.check_drift import check_drift
from propensity.feedback.run_matchback import match_due, run_matchback
from propensity.kernel.errors import EvidenceError, NotFoundError
from propensity.release.manage_registry import approve, list_versions, roll_back
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from tests.kit.registries import APPROVERS, BUSINESS, TECHNICAL
from tests.kit.world import World
from tests.stack.automotive import AS_OF, GAP_DAY, KNOWN_BY, Generated, generate
from tests.stack.lake import rows_in_file

DAY = AS_OF.isoformat()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("dealers"), dealers=3, customers=1_400)


@pytest.fixture(scope="module")
def loaded(generated: Generated, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with history in Silver, and `service` trained and scored."""
    world = World("automotive", tmp_path_factory.mktemp("lake"), rows_per_item=4_000).with_dates(4)
    world.load(generated.phases["history"])
    world.train("service", DAY)
    world.score("service", DAY)
    return world


def both_approve(world: World, model: str, version: int, at: str = DAY) -> None:
    """Promote by hand a version that its gates held back."""
    for by in (TECHNICAL, BUSINESS):
        approve(world, model, version, by=by, why="meant to", at=f"{at}T00:00:00Z", approvers=APPROVERS)


def test_quarantine_equals_the_manifest_row_by_row(generated: Generated, tmp_path: Path) -> None:
    world = World("automotive", tmp_path)
    drops = [drop for phase in generated.phases.values() for drop in phase]
    reports = {drop.key: world.drop(drop) for drop in drops}
    for drop in drops:
        report = reports[drop.key]
        assert report["rows_in"] == report["bronze"] + report["quarantine"] == rows_in_file(drop.path), drop.key
    expected = Counter(
        (fault["key"], fault["line"], column, rule)
        for fault in json.loads(generated.manifest.read_text())["faults"]
        for column, rule in fault["reasons"]
    )
    found: Counter[tuple[str, int, str, str]] = Counter()
    for report in reports.values():
        if report["quarantine_key"]:
            path = tmp_path / report["quarantine_key"]
            found.update(
                duckdb.execute(
                    "select _source_key, line, reason.column, reason.rule from "
                    f"(select _source_key, line, unnest(reasons) as reason from '{path}')"
                ).fetchall()
            )
    assert found == expected


def test_dropping_the_same_files_twice_and_in_another_order_changes_nothing(
    loaded: World, generated: Generated, tmp_path: Path
) -> None:
    other = World("automotive", tmp_path, rows_per_item=4_000).with_dates(4)
    shuffled = [*generated.phases["history"], *generated.phases["history"][::3]]
    random.Random(5).shuffle(shuffled)  # noqa: S311 - an order, not a secret
    for start in range(0, len(shuffled), 7):
        other.load(shuffled[start : start + 7])
    for dataset in loaded.datasets:
        assert other.silver_hash(dataset) == loaded.silver_hash(dataset), dataset
        assert other.silver_hash(dataset, "2024-01-01") == loaded.silver_hash(dataset, "2024-01-01"), dataset
    other.train("service", DAY)
    other.score("service", DAY)
    assert other.scores_hash() == loaded.scores_hash()


def test_a_rerun_of_training_and_scoring_changes_nothing(loaded: World) -> None:
    before = sorted(loaded.lake.keys("")), loaded.scores_hash()
    assert loaded.train("service", DAY)["version"] == 1
    loaded.score("service", DAY)
    assert (sorted(loaded.lake.keys("")), loaded.scores_hash()) == before


def test_everyone_of_the_population_is_scored_once_with_its_provenance(loaded: World) -> None:
    [(rows, people, low, high)] = loaded.query(
        "select count(*), count(distinct (tenant_id, customer_id)), min(score), max(score) from scores",
        scores="gold/scores",
    )
    [(population,)] = loaded.query(
        """select count(distinct (tenant_id, customer_id)) from (
            select tenant_id, customer_id from sales
            where _event_time < '2025-07-01' and _known_at < '2025-07-01' and _event_time >= '2021-07-01'
            union all select tenant_id, customer_id from visits
            where _event_time < '2025-07-01' and _known_at < '2025-07-01' and _event_time >= '2021-07-01')""",
        sales="silver/sales",
        visits="silver/service_records",
    )
    assert rows == people == population
    assert 0 < low < high < 1
    [(run, versions)] = loaded.query("select distinct run, table_versions from scores", scores="gold/scores")
    assert run == f"runs/score/service/{DAY}-v000001-batch"
    assert set(json.loads(versions)) == {"customers", "leases", "sales", "service_records", "vehicles"}


def test_deciles_are_per_tenant_and_about_equal(loaded: World) -> None:
    rows = loaded.query(
        "select tenant_id, decile, count(*), min(score), max(score) from scores group by all order by 1, 2",
        scores="gold/scores",
    )
    sizes = Counter(tenant for tenant, _, count, _, _ in rows for _ in range(count))
    # trees give many customers the same score, and equal scores are in one decile
    ties = dict(
        loaded.query(
            "select tenant_id, max(equal) from "
            "(select tenant_id, count(*) as equal from scores group by tenant_id, score) group by tenant_id",
            scores="gold/scores",
        )
    )
    # the last dealer has too few customers for a list
    assert [(tenant, decile) for tenant, decile, *_ in rows if tenant == "dealer_03"] == [("dealer_03", None)]
    rows = [row for row in rows if row[0] != "dealer_03"]
    for tenant, _, count, _, _ in rows:
        assert abs(count - sizes[tenant] / 10) <= 1 + ties[tenant]
    for (tenant, _, _, _, high), (following, _, _, low, _) in pairwise(rows):
        assert tenant != following or high <= low


def test_the_future_and_late_arrivals_leave_the_training_set_unchanged(
    generated: Generated, loaded: World, tmp_path: Path
) -> None:
    other = World("automotive", tmp_path, rows_per_item=4_000).with_dates(4)
    other.load(generated.phases["history"])
    visit = "service_id,revision,customer_id,vin,visited_at,visit_kind,odometer_km,amount,declined_amount,recorded_at\n"
    [(customer, tenant)] = other.query(
        "select min(customer_id), tenant_id from visits group by tenant_id order by tenant_id limit 1",
        visits="silver/service_records",
    )
    late = f"X000001,1,{customer},WAUZZZ8K000000001,2024-03-01 10:00:00,repair,10,99.0,,2025-07-01 00:00:00\n"
    ahead = f"X000002,1,{customer},WAUZZZ8K000000001,2025-07-01 00:00:00,repair,10,99.0,,2025-07-01 00:00:01\n"
    report = other.put(f"service_records/tenant_id={tenant}/late.csv", (visit + late + ahead).encode())
    assert report["bronze"] == 2
    other.promote()
    plan, untouched = other.prepare("service", DAY), loaded.prepare("service", DAY)
    assert plan["run"] == untouched["run"]
    made = list(other.lake.keys(f"{plan['run']}/features/"))
    assert made == list(loaded.lake.keys(f"{plan['run']}/features/")) != []
    for key in made:
        assert other.lake.get(key) == loaded.lake.get(key), key


def test_a_gap_run_scores_only_the_newcomers_and_answers_with_a_receipt(loaded: World, generated: Generated) -> None:
    loaded.load(generated.phases["gap"])
    receipt = loaded.score("service", GAP_DAY.isoformat(), "gap")
    assert receipt["new"] > 0
    assert receipt["population"] == receipt["had"] + receipt["new"]
    assert (receipt["failed"], receipt["coverage"]) == (0, 1.0)
    [(twice,)] = loaded.query(
        "select count(*) - count(distinct (tenant_id, customer_id)) from scores", scores="gold/scores"
    )
    assert twice == 0
    again = loaded.score("service", GAP_DAY.isoformat(), "gap", request="next")
    assert (again["had"], again["new"]) == (receipt["population"], 0)


def test_a_gap_run_before_the_first_batch_is_refused_with_what_to_do(loaded: World, generated: Generated) -> None:
    if loaded.train("buy", DAY)["failed_gates"]:  # of so few customers its gates may leave it a candidate
        both_approve(loaded, "buy", 1)
    with pytest.raises(NotFoundError, match="run scope batch first"):
        loaded.score("buy", GAP_DAY.isoformat(), "gap")


def test_outcomes_are_matched_when_their_window_has_closed(loaded: World, generated: Generated) -> None:
    run = f"runs/score/service/{DAY}-v000001-batch"
    with pytest.raises(EvidenceError, match="not all known yet"):
        run_matchback(loaded, run=run, known_by="2025-09-28")
    loaded.load(generated.phases["outcomes"])
    day = KNOWN_BY.isoformat()
    assert [one["run"] for one in match_due(loaded, slot=day)["matched"]] == [run]
    assert match_due(loaded, slot=day)["matched"] == []
    report = json.loads(loaded.lake.get(f"{run}/matchback-{day}.json"))
    said, unranked = report["segments"], report["unranked"]["few_customers"]
    assert 0 < unranked < 20
    ranked = sum(said[f"decile_{decile}"]["rate"]["n"] for decile in range(1, 11))
    assert ranked + unranked == said["all"]["rate"]["n"]
    assert said["high_against_low"]["rate_difference"]["low"] > 0
    [(converted, rows)] = loaded.query(
        "select count(*) filter (converted), count(*) from truth", truth="gold/ground_truth"
    )
    assert (converted, rows) == (said["all"]["rate"]["positives"], said["all"]["rate"]["n"])
    [(lines, without_n)] = loaded.query(
        "select count(*), count(*) filter (n is null or low > value or high < value) from m", m="gold/matchback"
    )
    assert lines > 20
    assert without_n == 0


def test_drift_is_checked_once_per_run(loaded: World) -> None:
    run = f"runs/score/service/{DAY}-v000001-batch"
    first = check_drift(loaded, run=run)
    assert first["features"] == 24
    check_drift(loaded, run=run)
    assert loaded.query("select count(*) from drift", drift="gold/drift") == [(25,)]


def test_on_demand_answers_what_the_batch_committed(loaded: World) -> None:
    rows = loaded.query(
        f"select tenant_id, customer_id, score, decile, [r.text for r in reasons] from scores where as_of = '{DAY}' "
        "order by tenant_id, customer_id limit 5",
        scores="gold/scores",
    )
    tenant = rows[0][0]
    request = ScoreRequest("service", tenant, (*(row[1] for row in rows), "NOBODY"))
    answer = serve_scores(
        loaded, load_serving(loaded, "service", 1), request, request_id="r1", at="2025-07-02T00:00:00Z"
    )
    *known, unknown = answer["scores"]
    for row, one in zip(rows, known, strict=True):
        assert (one["customer_id"], one["decile"], one["reasons"]) == (row[1], row[3], row[4])
        assert one["score"] == row[2]
        assert (one["model_version"], one["as_of"], one["source"]) == (1, DAY, "champion")
    assert (unknown["source"], unknown["decile"]) == ("fallback", None)
    assert 0.2 < unknown["score"] < 0.5
    assert loaded.inference_queue.messages[-1]["request_id"] == "r1"


def test_scoring_follows_the_alias_features_included(loaded: World) -> None:
    """A second version with other features is promoted, scored, and rolled back, by ledger lines alone."""
    files = dict(loaded.pack_files)
    path = "features/relation.yaml"
    files[path] = files[path].replace(
        'default: 0, reason: "{value:.0f} vehicles bought', 'default: 1, reason: "{value:.0f} vehicles bought'
    )
    assert files[path] != loaded.pack_files[path]
    first, original = list_versions(loaded, "service"), loaded.pack_files
    loaded.pack_files = files
    later = "2025-08-01"
    registered = loaded.train("service", later)
    # the gates notice a feature that has another meaning under its old name
    assert (registered["version"], registered["failed_gates"]) == (2, ["changed_features"])
    both_approve(loaded, "service", 2, at=later)
    assert list_versions(loaded, "service")["champion"] == 2
    second = loaded.score("service", later)
    loaded.pack_files = original
    by, why, at = "arn:aws:iam::1:user/anna", "list looked wrong", "2025-08-02T00:00:00Z"
    assert roll_back(loaded, "service", by=by, why=why, at=at, from_version=2)["version"] == 1
    third = loaded.score("service", "2025-09-01")
    sets = dict(loaded.query("select distinct run, feature_set from scores", scores="gold/scores"))
    assert sets[second["run"]] != sets[third["run"]]
    assert sets[third["run"]] == first["versions"][0]["feature_set"]
    again = roll_back(loaded, "service", version=2, by=by, why="looked again", at=at)
    assert again["version"] == 2
    ledger = list_versions(loaded, "service")["ledger"]
    assert [(move["version"], move["by"]) for move in ledger if move["alias"] == "champion"] == [
        (1, "register_model"),
        (2, BUSINESS),
        (1, by),
        (2, by),
    ]
    roll_back(loaded, "service", by=by, why=why, at=at, from_version=2)


def test_without_effects_the_scores_order_nobody(tmp_path: Path) -> None:
    made = generate(tmp_path / "data", dealers=4, customers=14_000, no_effect=True)
    world = World("automotive", tmp_path / "lake").with_dates(4)
    world.load(made.phases["history"])
    for model in ("buy", "service"):
        with world.edited(f"models/{model}.yaml") as spec:
            # trees that find nothing give nearly everybody one score, which would stop the batch
            spec["sanity"] = {"constant_share": 1.0}
        registered = world.train(model, DAY)
        # nothing was proven, so only two people can promote it
        assert "auc_floor" in registered["failed_gates"]
        both_approve(world, model, 1)
        world.score(model, DAY)
    world.load([*made.phases["gap"], *made.phases["outcomes"]])
    match_due(world, slot=KNOWN_BY.isoformat())
    for model in ("buy", "service"):
        key = f"runs/score/{model}/{DAY}-v000001-batch/matchback-{KNOWN_BY.isoformat()}.json"
        auc = json.loads(world.lake.get(key))["segments"]["all"]["auc"]
        assert auc["value"] == pytest.approx(0.5, abs=0.03), (model, auc)
