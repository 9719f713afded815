"""What a dealer has and why, and what a new dealer can have from when, by the registry and its rows in Silver."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propensity.kernel.errors import BadInputError, ConflictError
from propensity.lake.domain.run_records import BuildResult
from propensity.lake.run_files import results_of
from propensity.pack.current import pack_definition
from propensity.portal import report_readiness as module
from propensity.portal.report_readiness import report_readiness, show_models
from propensity.tenants.record_lines import append_record_line
from propensity.training.domain.training_set import TrainingSet
from tests.kit.handlers import CONTEXT, event, handler
from tests.kit.shop import CONTACTED, TENANTS, stocked
from tests.kit.shop import DAY as SHOP_DAY
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()
NEW = "dealer_new"


def of(answer: dict[str, Any], model: str) -> dict[str, Any]:
    found: dict[str, Any]
    [found] = [one for one in answer["models"] if one["model"] == model]
    return found


@pytest.fixture(scope="module")
def joined(trained: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """`trained` with a dealer who has sent visits for half a year."""
    world = trained.copy(tmp_path_factory.mktemp("joined"))
    lines = ["service_id,revision,customer_id,vin,visited_at,visit_kind,odometer_km,amount,declined_amount,recorded_at"]
    for number in range(60):
        day = date(2025, 1, 1) + timedelta(days=3 * number)
        lines.append(
            f"N{number:06d},1,N{number % 40:05d},WAUZZZ8K{number:09d},{day} 10:00:00,repair,10,99.0,,{day} 12:00:00"
        )
    report = world.put(f"service_records/tenant_id={NEW}/first.csv", "\n".join(lines).encode())
    assert report["bronze"] == 60
    world.promote()
    return world


def test_a_dealer_reads_its_rung_with_reason_and_evidence_per_model(joined: World) -> None:
    answer = show_models(joined, tenant_id="dealer_01")
    assert [one["model"] for one in answer["models"]] == ["buy", "service"]
    service, buy = of(answer, "service"), of(answer, "buy")
    assert (service["version"], buy["version"], buy["rung"]) == (1, None, None)
    assert service["rung"] in ("heuristic", "global", "intercept", "segment", "own")
    assert service["evidence"]["rows"] > 1_000
    assert service["reason"].endswith(".")
    assert "No champion yet" in buy["reason"]
    new = of(show_models(joined, tenant_id=NEW), "service")
    assert (new["rung"], new["evidence"]) == ("global", None)
    assert "Not known when version 1 was trained" in new["reason"]
    assert "dealer_01" not in json.dumps(show_models(joined, tenant_id=NEW))


def test_a_new_dealer_reads_what_it_has_what_is_missing_and_from_when(joined: World) -> None:
    service = of(report_readiness(joined, tenant_id=NEW, day=DAY), "service")
    assert (service["today"]["rung"], service["population"]) == ("global", 40)
    assert service["history"]["first"] == "2025-01-01"
    assert "No row of sales has arrived." in service["missing"]
    # the window of 90 days from 26 March is the newest that has settled (a week); the window before it opens too early:
    # the dealer had no visit yet
    dates = {one["as_of"]: one for one in service["training"]["dates"]}
    assert (dates["2025-03-26"]["rows"], dates["2024-12-19"]["rows"]) == (28, 0)
    # customers 0 to 27 had come by then; of them 0 to 17 came again before 24 June
    assert dates["2025-03-26"]["positives"] == 18
    intercept, own = service["rungs"]
    assert (intercept["needs"], intercept["has"], intercept["from"]) == (200, 28, None)
    assert "40 customers are too few" in intercept["why"]
    assert own["has"] == service["training"]["rows"] - service["training"]["positives"]
    assert own["from"] is None
    assert "Never at this rate" in own["why"]


def test_a_large_dealer_is_ready_at_the_next_training(joined: World) -> None:
    for rung in of(report_readiness(joined, tenant_id="dealer_01", day=DAY), "service")["rungs"]:
        assert rung["has"] >= rung["needs"]
        assert rung["from"] == "2026-01-01"  # twice a year, on the first


def test_training_counts_the_rows_that_the_report_counts(joined: World) -> None:
    said = of(report_readiness(joined, tenant_id="dealer_01", day=DAY), "service")["training"]
    evidence = of(show_models(joined, tenant_id="dealer_01"), "service")["evidence"]
    assert (said["rows"], said["positives"]) == (evidence["rows"], evidence["positives"])


CENSORED = "select distinct tenant_id, customer from orders where customer like '%0'"
TREATED = {"description": "d", "sql": CONTACTED, "policy": "exclude"}


@pytest.mark.parametrize(
    "model",
    [{}, {"censored": {"sql": CENSORED, "silent_days": 200}}, {"treatment": TREATED}],
    ids=["a tenant fell silent", "customers out of sight, a tenant closed", "treated customers"],
)
def test_readiness_counts_exactly_the_rows_that_a_training_of_the_same_day_takes(
    tmp_path: Path, model: dict[str, Any]
) -> None:
    shop = stocked(tmp_path / "stock").copied(tmp_path / "shop", **model)
    if "censored" in model:
        for state, at in (("active", "2024-01-01"), ("suspended", "2025-03-01"), ("active", "2025-03-20")):
            body = {"state": state, "why": "because"}
            append_record_line(shop.lake, "south", body, ["orders"], by="ops", at=f"{at}T00:00:00+00:00")
    plan = shop.prepare("reorder", SHOP_DAY.isoformat())
    spec = pack_definition(shop, "reorder").model
    results = results_of(shop.lake, plan["run"], BuildResult, len(shop.items(plan["build_items"])))
    told = [result.to_json() for result in results]
    trained = TrainingSet.of(told, spec, until=SHOP_DAY, silent_days=spec.censored.silent_days)
    left_out: Counter[str] = Counter()
    for tenant in TENANTS:
        said = of(report_readiness(shop, tenant_id=tenant, day=SHOP_DAY.isoformat()), "reorder")
        taken = [stratum for stratum in trained.strata if stratum.tenant_id == tenant]
        rows = Counter({day.isoformat(): 0 for day in trained.population})
        for stratum in taken:
            rows[stratum.as_of.isoformat()] += stratum.rows
        assert {one["as_of"]: one["rows"] for one in said["training"]["dates"]} == rows
        assert said["training"]["rows"] == rows.total()
        assert said["training"]["positives"] == sum(stratum.rows for stratum in taken if stratum.label)
        if said["training"]["left_out"]:
            assert f"leaves out {sum(said['training']['left_out'].values())} rows: " in " ".join(said["missing"])
        left_out.update(said["training"]["left_out"])
    assert left_out == sum((Counter({reason: rows}) for (_, reason), rows in trained.left_out.items()), Counter())
    assert left_out


def test_a_dealer_of_whom_nothing_came_has_the_rate_of_everyone_and_reads_what_to_send(joined: World) -> None:
    service = of(report_readiness(joined, tenant_id="nobody_yet", day=DAY), "service")
    assert (service["today"]["rung"], service["population"]) == (None, 0)
    assert len([one for one in service["missing"] if one.startswith("No row of")]) == 5
    assert "97 days older" in service["missing"][-1]
    assert service["rungs"][1]["from"] is None
    with pytest.raises(BadInputError):
        report_readiness(joined, tenant_id="a/b", day=DAY)


def test_what_is_too_much_for_one_answer_says_so(joined: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ", 1_000)
    with pytest.raises(ConflictError, match="rebucket_silver"):
        report_readiness(joined, tenant_id=NEW, day=DAY)


def test_what_takes_too_long_for_one_answer_says_so(joined: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.02)
    with pytest.raises(ConflictError, match="takes more than 0 seconds of one answer"):
        report_readiness(joined, tenant_id=NEW, day=DAY)


def test_the_route_answers_for_the_tenant_of_the_path(aws: SimpleNamespace, tmp_path: Path) -> None:
    sent = event("report_readiness")
    answer = handler("report_readiness")(sent, CONTEXT)
    assert answer["statusCode"] == 200
    body = json.loads(answer["body"])
    assert (body["tenant_id"], len(body["models"])) == ("dealer_01", 2)
    models = handler("report_readiness")({**sent, "resource": "/v1/tenants/{tenant}/models"}, CONTEXT)
    assert {one["rung"] for one in json.loads(models["body"])["models"]} == {None}
