"""A backtest from the request to its report: what an origin sees, what it is judged by, and what becomes of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from propensity.backtest.judge_origin import deciles_within
from propensity.backtest.report_backtest import report_backtest
from propensity.backtest.request_backtest import list_backtests, request_backtest, show_backtest, show_page
from propensity.kernel.errors import BadInputError, IncompleteRunError, NotFoundError
from propensity.lake.domain.run_names import origin_run
from propensity.registry.artifact import load_artifact
from propensity.registry.batches import batch_runs
from propensity.registry.versions import load_champion, open_training, version_numbers
from tests.functional.backtest.conftest import DAY
from tests.kit.backtests import ask, backtested, train_origin
from tests.kit.faults import Crash, light
from tests.kit.world import World
from tests.stack.automotive import Generated

ORIGIN = "2025-03-01"  # its window of 90 days has settled by DAY
KNOWN_BY = "2025-06-06"
HEADER = "service_id,revision,customer_id,vin,visited_at,visit_kind,odometer_km,amount,declined_amount,recorded_at"


def judged_files(world: World, backtest: str, origin: str = ORIGIN) -> dict[str, bytes]:
    """What an origin came to, without the names that its backtest's id is in."""
    run = origin_run("service", backtest, date.fromisoformat(origin))
    wanted = ["calibration.json", "candidates/logistic_regression/model.onnx", "judged/scores.parquet"]
    found = {name: world.lake.get(f"{run}/{name}") for name in wanted}
    judged = json.loads(world.lake.get(f"{run}/judged.json"))
    facts = {name: value for name, value in judged.items() if name not in ("run", "scores")}
    return {**found, "judged.json": json.dumps(facts, sort_keys=True).encode()}


def visits(world: World, customers: list[tuple[str, str]], day: str, recorded: str) -> None:
    """Let customers come in on a day, as their dealers recorded it on another."""
    by_tenant: dict[str, list[str]] = {}
    for number, (tenant, customer) in enumerate(customers):
        visit = f"Z-{day.replace('-', '')}-{number},1,{customer},WVWZZZ1JZXW00000{number % 10}"
        line = f"{visit},{day}T10:00:00Z,repair,1000,100,0,{recorded}T12:00:00Z"
        by_tenant.setdefault(tenant, []).append(line)
    for tenant, lines in by_tenant.items():
        report = world.put(f"service_records/tenant_id={tenant}/{day}.csv", "\n".join([HEADER, *lines, ""]).encode())
        assert report["bronze"] == len(lines), report
    world.promote()


def scores(world: World, backtest: str, origin: str = ORIGIN) -> list[dict[str, Any]]:
    run = origin_run("service", backtest, date.fromisoformat(origin))
    found: list[dict[str, Any]] = pq.read_table(world.folder / f"{run}/judged/scores.parquet").to_pylist()
    return found


def test_a_backtest_tells_its_figures_by_origin_and_over_all_origins(tested: tuple[World, dict[str, Any]]) -> None:
    _, answer = tested
    report = answer["report"]
    assert answer["state"] == "ready"
    assert answer["origins"] == ["2024-12-01", ORIGIN]
    assert [origin["counted"] for origin in report["origins"]] == [True, True]
    together = {one["measure"]: one["estimate"] for one in report["together"]}
    assert together["auc_within"]["low"] > 0.6
    assert together["lift_of_lists"]["low"] > 1.2
    rows = sum(origin["judged"]["rows"] for origin in report["origins"])
    assert together["observed_over_expected"]["n"] == rows
    for origin in report["origins"]:
        every = {one["segment"]: one for one in origin["figures"] if one["measure"] == "rate"}
        assert every["all"]["estimate"]["n"] == origin["judged"]["rows"]
        assert origin["judged"]["trained_until"] < origin["judged"]["as_of"]
    gains = report["gains"]
    assert gains["months"] == 2
    by_origin = [origin["gains"] for origin in report["origins"]]
    for name in ("by_model", "by_filter", "gain", "profit", "gain_money"):
        mean = sum(one[name]["value"] for one in by_origin) / 2
        assert gains[name]["value"] == pytest.approx(mean), name
        assert gains[name]["low"] < gains[name]["value"] < gains[name]["high"]
    assert gains["gain"]["value"] == pytest.approx(gains["by_model"]["value"] - gains["by_filter"]["value"])
    assert gains["gain_money"]["value"] == pytest.approx(100 * gains["gain"]["value"])
    assert gains["profit"]["value"] == pytest.approx(100 * gains["by_model"]["value"] - 2 * gains["size"])


def test_the_page_says_what_the_report_says(tested: tuple[World, dict[str, Any]]) -> None:
    world, answer = tested
    kind, page = show_page(world, "service", answer["backtest"])
    assert kind.startswith("text/html")
    for said in ("It passes the release gate.", "2024-12-01", "mean of 2", "EUR"):
        assert said in page
    [listed] = list_backtests(world, "service")["backtests"]
    assert (listed["backtest"], listed["ready"]) == (answer["backtest"], True)


def test_a_backtest_is_seen_by_neither_registry_nor_batches_nor_the_search_for_open_trainings(
    tested: tuple[World, dict[str, Any]], champion: World
) -> None:
    world, _ = tested
    assert version_numbers(world.lake, "service") == version_numbers(champion.lake, "service") == [1]
    assert batch_runs(world) == batch_runs(champion)
    assert open_training(world.lake, "service") is None
    # executions of a model are found by its name between two dashes
    assert "-service-" not in f"backtest-{tested[1]['backtest']}-{ORIGIN}"
    for table in ("gold/scores", "gold/matchback"):
        snapshots = [one.tables.snapshot(table) for one in (world, champion)]
        assert len({snapshot and snapshot.version for snapshot in snapshots}) == 1
    assert not list(world.lake.keys("registry/service/golden/")) or (
        list(world.lake.keys("registry/service/golden/")) == list(champion.lake.keys("registry/service/golden/"))
    )


def test_an_origin_is_ranked_as_a_batch_ranks(champion: World) -> None:
    tenants, values, deciles = [], [], []
    query = "select tenant_id, score, coalesce(decile, 0) from s"
    for tenant, score, decile in champion.query(query, s="gold/scores"):
        tenants.append(tenant)
        values.append(score)
        deciles.append(decile)
    names = np.array(tenants, dtype=object)
    found = deciles_within(names, np.array(values), np.zeros(len(values), dtype=bool))
    assert found.tolist() == deciles


def test_what_happens_after_an_origin_has_settled_changes_nothing_of_it(
    tested: tuple[World, dict[str, Any]], tmp_path: Path
) -> None:
    world, answer = tested
    changed = world.copy(tmp_path / "world")
    everyone = [(row["tenant_id"], row["customer_id"]) for row in scores(world, answer["backtest"])]
    visits(changed, everyone[::2], "2025-06-10", "2025-06-11")
    # it happened within the window, but nobody knew by the day that it is judged on
    visits(changed, everyone[1::2], "2025-05-20", KNOWN_BY)
    again = ask(changed, "service", "later", as_of=DAY, origins=2)
    train_origin(changed, "service", again["backtest"], ORIGIN)
    assert judged_files(changed, again["backtest"]) == judged_files(world, answer["backtest"])


def test_outcomes_behind_an_origin_change_its_labels_and_nothing_that_it_learnt(
    tested: tuple[World, dict[str, Any]], tmp_path: Path
) -> None:
    world, answer = tested
    changed = world.copy(tmp_path / "world")
    before = scores(world, answer["backtest"])
    came = [(row["tenant_id"], row["customer_id"]) for row in before if not row["label"]][:50]
    visits(changed, came, "2025-04-10", "2025-04-11")
    again = ask(changed, "service", "behind", as_of=DAY, origins=2)
    train_origin(changed, "service", again["backtest"], ORIGIN)
    mine, theirs = judged_files(changed, again["backtest"]), judged_files(world, answer["backtest"])
    for name in ("calibration.json", "candidates/logistic_regression/model.onnx"):
        assert mine[name] == theirs[name], name
    after = scores(changed, again["backtest"])
    assert [(row["customer_id"], row["score"]) for row in after] == [
        (row["customer_id"], row["score"]) for row in before
    ]
    assert sum(row["label"] for row in after) == sum(row["label"] for row in before) + len(came)


def test_a_backtest_that_is_killed_goes_on_and_comes_to_the_same_report(
    tested: tuple[World, dict[str, Any]], champion: World, tmp_path: Path
) -> None:
    _, answer = tested
    at = answer["at"]
    world = champion.copy(tmp_path / "world")
    body = {"as_of": DAY, "origins": 2}

    def run() -> None:
        asked = request_backtest(world, "service", body, key="k", by="arn:anna", at=at, request_id="k")
        for origin in asked["origins"]:
            train_origin(world, "service", asked["backtest"], origin)
        report_backtest(world, model="service", backtest=asked["backtest"])

    lake, tables = world.lake, world.tables
    for left in (30, 160):
        light(world, left)
        with pytest.raises(Crash):
            run()
        world.lake, world.tables = lake, tables
    with pytest.raises(IncompleteRunError, match="has not been judged"):
        report_backtest(world, model="service", backtest=answer["backtest"])
    assert show_backtest(world, "service", answer["backtest"])["state"] == "running"
    run()
    assert show_backtest(world, "service", answer["backtest"])["report"] == answer["report"]


def test_the_same_request_is_the_same_backtest_and_is_started_once(plain: World, tmp_path: Path) -> None:
    world = plain.copy(tmp_path / "world")
    first, second = (ask(world, "service", "k", as_of=DAY, origins=1) for _ in range(2))
    assert first == second
    assert first["state"] == "running"
    other = ask(world, "service", "other", as_of=DAY, origins=1)
    assert other["backtest"] != first["backtest"]
    assert sorted(name for _, name in world.workflows.started) == sorted(
        f"backtest-{one['backtest']}" for one in (first, other)
    )
    world.workflows.fail("too little data")
    assert show_backtest(world, "service", first["backtest"])["reason"] == "too little data"


def test_monthly_origins_overlap_and_only_those_that_share_no_day_are_counted(plain: World, tmp_path: Path) -> None:
    world = plain.copy(tmp_path / "world")
    report = backtested(world, "service", as_of=DAY, origins=2, every_months=1)["report"]
    assert [(one["judged"]["as_of"], one["counted"]) for one in report["origins"]] == [
        ("2025-02-01", False),
        (ORIGIN, True),
    ]
    assert report["gains"]["months"] == 1
    assert report["proof"]["as_of"] == [ORIGIN]
    assert any("overlap" in note and "2025-02-01" in note for note in report["notes"])


def test_an_origin_on_which_a_version_was_trained_is_not_trained_again(
    champion: World, dealers: Generated, tmp_path: Path
) -> None:
    world = champion.copy(tmp_path / "world")
    world.load(dealers.phases["outcomes"])
    answer = backtested(world, "service", as_of="2025-11-01", origins=1)
    [origin] = answer["report"]["origins"]
    assert (origin["judged"]["as_of"], origin["judged"]["version"]) == (DAY, 1)
    run = origin_run("service", answer["backtest"], date.fromisoformat(DAY))
    assert not list(world.lake.keys(f"{run}/candidates/"))
    version = load_champion(world.lake, "service")
    assert load_artifact(world, version).calibration_number == 0
    batch = dict(world.query("select customer_id || tenant_id, score from s", s="gold/scores"))
    again = {row["customer_id"] + row["tenant_id"]: row["score"] for row in scores(world, answer["backtest"], DAY)}
    assert again == {name: batch[name] for name in again}
    assert any("version 1" in note for note in answer["report"]["notes"])


def yaml_of(world: World, **changes: Any) -> str:
    own = world.pack_files
    with world.edited("models/service.yaml") as model:
        model |= changes
    text, world.pack_files = world.pack_files["models/service.yaml"], own
    return text


def test_a_model_that_is_not_deployed_is_tried_by_its_own_yaml(plain: World, tmp_path: Path) -> None:
    world = plain.copy(tmp_path / "world")
    text = yaml_of(world, name="winter", features=["service_history"])
    answer = backtested(world, "winter", as_of=DAY, origins=1, definition=text)
    assert answer["own_definition"]
    assert answer["report"]["together"][0]["estimate"]["low"] > 0.5
    assert "came with the request" in show_page(world, "winter", answer["backtest"])[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": ["vehicle", "horoscope"]}, "features/horoscope"),
        (
            {"target": {"description": "", "sql": "select tenant_id, customer_id from outcome.weather"}},
            "outcome.weather",
        ),
        ({"target": {"description": "", "sql": "select tenant_id, customer_id from sales"}}, "reads no outcome"),
        ({"filter": {"description": "", "sql": "select tenant_id, customer_id from leases where x > 1"}}, '"x"'),
        ({"name": "other"}, "name is 'other'"),
        ({"colour": "red"}, "colour"),
        ({"candidates": [{"family": "logistic_regression", "grid": [{"depth": 3}]}]}, "depth"),
    ],
)
def test_a_yaml_that_names_what_the_pack_lacks_is_refused(plain: World, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match="definition: ") as refused:
        ask(plain, "service", as_of=DAY, definition=yaml_of(plain, **changes))
    assert said in str(refused.value)
    assert not list(plain.lake.keys("runs/backtest/"))


def test_a_request_that_cannot_be_is_refused_with_its_field(plain: World) -> None:
    tomorrow = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    for body, field in (
        ({"origins": 13}, "origins"),
        ({"origins": 0}, "origins"),
        ({"as_of": tomorrow}, "as_of"),
        ({"every_months": 0}, "every_months"),
        ({"definition": "x" * 100_001}, "definition"),
        ({"definition": "]"}, "definition"),
        ({"definition": "a: &a [1]\nb: *a\n"}, "alias"),
        ({"as_of": "0001-01-01"}, "as_of"),
        ({"as_of": "1901-01-01", "origins": 12}, "ask for fewer"),
        ({"silver": 1}, "silver"),
    ):
        with pytest.raises(BadInputError, match=field):
            ask(plain, "service", **body)
    with pytest.raises(NotFoundError, match="no model 'winter'"):
        ask(plain, "winter")
    with pytest.raises(NotFoundError, match="none of this id"):
        show_backtest(plain, "service", "service_0000000000000000")
