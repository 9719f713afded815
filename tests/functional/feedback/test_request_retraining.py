"""Trainings off the cadence: after several violated checks, with a pause, each recorded, and none started twice."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.feedback.domain.retraining import Check, apart, decide, drift_check, performance_check
from propensity.feedback.request_retraining import list_requests, request_by_hand, request_retraining
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.json_objects import dumps
from propensity.pack.current import pack_definition
from propensity.pack.domain.model_spec import Retraining
from propensity.registry.versions import register
from propensity.stats.figures import Scored, auc
from propensity.stats.figures import scored as measured
from tests.kit.handlers import CONTEXT, event, handler
from tests.kit.registries import crown, trainable

MODEL = "service"  # trained every six months
RULES = Retraining()
HAND = {"why": "the dealer group changed its prices", "by": "arn:anna", "at": "2025-07-02T09:00:00Z"}


@pytest.fixture
def ports() -> SimpleNamespace:
    """With a champion that was trained in January."""
    made = trainable("automotive")
    champion(made, "2025-01-01")
    return made


def champion(ports: Any, as_of: str) -> None:
    definition = pack_definition(ports, MODEL)
    files = {f"definition/{name}": text.encode() for name, text in definition.files().items()}
    files["metrics.json"] = dumps({"auc": figure(0.80)})
    number = register(ports.lake, MODEL, files, {"run": as_of, "as_of": as_of}).number
    crown(ports.lake, MODEL, number)
    ports.lake.put(f"runs/train/{MODEL}/{as_of}/plan.json", b"{}")


def figure(value: float, half: float = 0.01) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 5_000}


def drift(as_of: str, over: int, of: int = 10, score: bool = False) -> dict[str, Any]:
    columns = [{"name": f"f{number}", "psi": 0.3, "over": number < over, "rows": 500} for number in range(of)]
    return {
        "as_of": as_of,
        "limit": 0.2,
        "columns": [*columns, {"name": "score", "psi": 0.1, "over": score, "rows": 500}],
    }


def outcomes(known_by: str, auc: float, slope: float = 1.0, skill: float = 0.1) -> dict[str, Any]:
    figures = {"auc": figure(auc), "calibration_slope": figure(slope, 0.1), "brier_skill": figure(skill)}
    return {"known_by": known_by, "segments": {"all": figures}}


def batch(ports: SimpleNamespace, as_of: str, seen: dict[str, Any], version: int = 1) -> None:
    run = f"runs/score/{MODEL}/{as_of}-v{version:06d}-batch"
    ports.lake.put(f"{run}/receipt.json", b"{}")
    name = f"matchback-{seen['known_by']}.json" if "known_by" in seen else "drift.json"
    ports.lake.put(f"{run}/{name}", dumps(seen))


def ask(ports: SimpleNamespace, slot: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = request_retraining(ports, slot=slot, models=[MODEL])["requests"]
    return found


def test_one_violated_check_is_declined_and_on_record_and_the_second_starts_a_training(ports: SimpleNamespace) -> None:
    batch(ports, "2025-05-01", drift("2025-05-01", over=4))
    [first] = ask(ports, "2025-05-01")
    assert (first["accepted"], first["cause"], first["version"]) == (False, "drift", 1)
    assert "1 of the last 1 drift checks violated; it takes 2 of 5" in first["decision"]
    batch(ports, "2025-06-01", drift("2025-06-01", over=4))
    [second] = ask(ports, "2025-06-01")
    assert (second["accepted"], second["execution"]) == (True, f"train-{MODEL}-2025-06-01")
    assert "PSI over 0.2 for 4 of 10 features (f0, f1, f2, f3)" in second["checks"][-1]["said"]
    assert list(ports.workflows.started.values()) == [{"model": MODEL, "as_of": "2025-06-01", "then_score": False}]
    assert list_requests(ports, MODEL)["requests"] == [first, second]


def test_the_newest_check_must_be_violated(ports: SimpleNamespace) -> None:
    for day, over in (("2025-03-01", 4), ("2025-04-01", 4), ("2025-05-01", 0)):
        batch(ports, day, drift(day, over=over))
    assert ask(ports, "2025-05-01") == []


def test_drift_and_performance_are_counted_apart(ports: SimpleNamespace) -> None:
    batch(ports, "2025-02-01", outcomes("2025-05-09", auc=0.70))
    batch(ports, "2025-05-01", drift("2025-05-01", over=0, score=True))
    assert [(one["cause"], one["accepted"]) for one in ask(ports, "2025-05-10")] == [
        ("drift", False),
        ("performance", False),
    ]
    assert ports.workflows.started == {}


def test_checks_of_another_version_or_of_later_days_do_not_count(ports: SimpleNamespace) -> None:
    batch(ports, "2025-04-01", drift("2025-04-01", over=9))
    batch(ports, "2025-05-01", drift("2025-05-01", over=9))
    assert [one["decision"][:9] for one in ask(ports, "2025-04-15")] == ["1 of the "]
    champion(ports, "2025-05-01")
    assert ask(ports, "2025-05-02") == []


def test_a_look_that_is_repeated_finds_its_request_and_starts_nothing_more(ports: SimpleNamespace) -> None:
    for day in ("2025-05-01", "2025-06-01"):
        batch(ports, day, drift(day, over=4))
    first = ask(ports, "2025-06-01")
    keys = list(ports.lake.keys(""))
    assert ask(ports, "2025-06-02") == first
    assert list(ports.lake.keys("")) == keys
    assert len(ports.workflows.started) == 1
    ports.workflows.started.clear()  # after 90 days Step Functions forgets a name
    ports.lake.put(f"runs/train/{MODEL}/2025-06-01/plan.json", b"{}")
    assert ask(ports, "2025-06-03") == first
    assert ports.workflows.started == {}


def test_a_start_that_was_lost_is_made_up_for(ports: SimpleNamespace) -> None:
    for day in ("2025-05-01", "2025-06-01"):
        batch(ports, day, drift(day, over=4))
    ask(ports, "2025-06-01")
    ports.workflows.started.clear()
    ask(ports, "2025-06-02")
    assert [one["as_of"] for one in ports.workflows.started.values()] == ["2025-06-01"]


def test_by_hand_a_training_starts_whatever_the_pause_says_and_the_reason_is_kept(ports: SimpleNamespace) -> None:
    ports.lake.put(f"runs/train/{MODEL}/2025-07-01/plan.json", b"{}")
    made = request_by_hand(ports, MODEL, **HAND, request_id="r1")
    assert (made["accepted"], made["cause"], made["why"], made["by"]) == (True, "by_hand", HAND["why"], "arn:anna")
    assert list(ports.workflows.started) == [("train_model", f"train-{MODEL}-2025-07-02-r1")]
    ports.lake.put(f"runs/train/{MODEL}/2025-07-02/plan.json", b"{}")
    again = request_by_hand(ports, MODEL, **HAND, request_id="r2")
    assert (again["accepted"], again["execution"]) == (False, None)
    assert again["decision"].startswith("planned as of 2025-07-02 already; where that training failed, redrive")
    assert len(list_requests(ports, MODEL)["requests"]) == 2
    with pytest.raises(BadInputError, match="why: expected a sentence"):
        request_by_hand(ports, MODEL, **{**HAND, "why": " "}, request_id="r3")
    with pytest.raises(NotFoundError, match="no model 'nothing'"):
        request_by_hand(ports, "nothing", **HAND, request_id="r4")


def test_by_hand_a_training_starts_although_one_of_that_day_ended_without_a_plan(ports: SimpleNamespace) -> None:
    ports.workflows.start("train_model", f"train-{MODEL}-2025-07-02", {"then_score": True})
    ports.workflows.end()
    made = request_by_hand(ports, MODEL, **HAND, request_id="r1")
    assert ("train_model", made["execution"]) in ports.workflows.started
    ports.workflows.end()
    # the same request, delivered again, starts nothing and does not say that it did
    assert request_by_hand(ports, MODEL, **HAND, request_id="r1") == {**made, "execution": None}
    assert request_by_hand(ports, MODEL, **HAND, request_id="r2")["execution"] == f"train-{MODEL}-2025-07-02-r2"


def test_a_captured_request_sent_three_times_starts_one_training(ports: SimpleNamespace) -> None:
    """Each sending of the same signed bytes has a request id of its own."""
    answers = [request_by_hand(ports, MODEL, **HAND, request_id=f"r{number}") for number in (1, 2, 3)]
    assert list(ports.workflows.started) == [("train_model", f"train-{MODEL}-2025-07-02-r1")]
    assert answers == [answers[0]] * 3
    assert len(list_requests(ports, MODEL)["requests"]) == 1


def test_of_two_requests_at_the_same_instant_one_starts_a_training(ports: SimpleNamespace) -> None:
    lake = ports.lake
    answers: list[Any] = []

    class Meeting:
        """A lake in which another request is answered whole just before this one is written."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake, name)

        def put_new(self, key: str, body: bytes) -> bool:
            if not answers:
                answers.append(None)
                answers[0] = request_by_hand(
                    SimpleNamespace(**vars(ports) | {"lake": lake}), MODEL, **HAND, request_id="r2"
                )
            return bool(lake.put_new(key, body))

    ports.lake = Meeting()
    mine = request_by_hand(ports, MODEL, **HAND, request_id="r1")
    assert answers == [mine]
    assert list(ports.workflows.started) == [("train_model", f"train-{MODEL}-2025-07-02-r2")]


def test_what_ended_before_its_plan_is_started_again_by_the_next_days_look(ports: SimpleNamespace) -> None:
    for day in ("2025-05-01", "2025-06-01"):
        batch(ports, day, drift(day, over=4))
    [asked] = ask(ports, "2025-06-01")
    ports.workflows.end()
    assert ask(ports, "2025-06-01") == [{**asked, "execution": None}]
    again = f"{asked['execution']}-2025-06-02"
    assert ask(ports, "2025-06-02") == ask(ports, "2025-06-02") == [{**asked, "execution": again}]
    payloads = [payload for (_, name), payload in ports.workflows.started.items() if name == again]
    assert payloads == [{"model": MODEL, "as_of": "2025-06-01", "then_score": False}]


def test_a_training_whose_plan_has_expired_still_counts(ports: SimpleNamespace) -> None:
    """It counts for the pause, and where somebody asks by hand for the same training."""
    register(ports.lake, MODEL, {}, {"run": f"runs/train/{MODEL}/2025-05-20", "as_of": "2025-05-20"})
    register(ports.lake, MODEL, {}, {"run": f"runs/train/{MODEL}/2025-05-30-at-0a1b", "as_of": "2025-05-30"})
    for day in ("2025-05-01", "2025-06-01"):
        batch(ports, day, drift(day, over=4))
    [declined] = ask(ports, "2025-06-01")
    assert (declined["accepted"], "trained as of 2025-05-20, cool-down" in declined["decision"]) == (False, True)
    by_hand = request_by_hand(ports, MODEL, **{**HAND, "at": "2025-05-20T09:00:00Z"}, request_id="r1")
    assert (by_hand["accepted"], ports.workflows.started) == (False, {})


def test_performance_is_violated_by_an_interval_beyond_the_limit_and_not_by_a_value() -> None:
    def violated(**seen: float) -> bool:
        return performance_check(outcomes("2025-05-09", **seen), {"auc": figure(0.80)}, RULES).violated

    assert not violated(auc=0.80)
    assert not violated(auc=0.765)  # the interval reaches up to 0.775
    assert violated(auc=0.755)
    assert not violated(auc=0.80, slope=0.65)
    assert violated(auc=0.80, slope=0.55)
    assert violated(auc=0.80, slope=1.6)
    assert violated(auc=0.80, skill=-0.02)


def test_a_fall_of_the_auc_has_the_uncertainty_of_both_figures() -> None:
    def violated(registered_half: float) -> bool:
        return performance_check(outcomes("2025-05-09", 0.75), {"auc": figure(0.80, registered_half)}, RULES).violated

    assert violated(0.01)
    assert not violated(0.06)  # registered on few converters: it may have been 0.75 from the start


def drawn(chance: np.random.Generator, positives: int, rows: int) -> Scored:
    """The outcomes of a model whose true AUC is 0.66, wherever it is measured."""
    labels = np.arange(rows) < positives
    scores = chance.normal(labels * 0.6, 1)
    return measured((float(score), 1, int(label)) for score, label in zip(scores, labels, strict=True))


def test_a_sound_model_that_was_registered_on_few_converters_is_hardly_ever_violated() -> None:
    """Registered on 32 of 320, matched on 300 of 3,000: were the first exactly known, one check in eight would be."""
    violated = naive = 0
    for world in range(300):
        chance = np.random.default_rng(world)
        first, then = (asdict(auc(drawn(chance, *size))) for size in ((32, 320), (300, 3_000)))
        seen = {"known_by": "2025-05-09", "segments": {"all": {"auc_within": then}}}
        violated += performance_check(seen, {"auc_within": first}, RULES).violated
        naive += first["value"] - then["high"] > RULES.auc_drop
    assert violated / 300 <= 0.02
    assert naive / 300 >= 0.1


def test_a_fall_of_a_pooled_auc_says_that_it_is_pooled() -> None:
    seen = outcomes("2025-05-09", auc=0.60)
    check = performance_check(seen, {"auc": figure(0.80)}, RULES)
    assert (check.violated, check.said.startswith("AUC, pooled over tenants for want of one within them,")) == (
        True,
        True,
    )


def test_within_tenants_is_compared_where_both_sides_have_it() -> None:
    seen = outcomes("2025-05-09", auc=0.80)
    seen["segments"]["all"]["auc_within"] = figure(0.55)
    assert not performance_check(seen, {"auc": figure(0.80)}, RULES).violated
    check = performance_check(seen, {"auc": figure(0.80), "auc_within": figure(0.70)}, RULES)
    assert (check.violated, "AUC within tenants 0.550" in check.said) == (True, True)


def test_a_wrong_level_is_violated_by_its_interval() -> None:
    for value, half, violated in ((1.7, 0.2, True), (0.6, 0.1, True), (1.3, 0.2, False), (1.0, 0.1, False)):
        seen = outcomes("2025-05-09", auc=0.80)
        seen["segments"]["all"]["observed_over_expected"] = figure(value, half)
        assert performance_check(seen, {"auc": figure(0.80)}, RULES).violated is violated


def test_months_with_a_window_of_ninety_days_are_one_check_in_three(ports: SimpleNamespace) -> None:
    for month in range(1, 7):
        batch(ports, f"2025-0{month}-01", outcomes(f"2025-0{month + 3}-09", auc=0.70))
    # as of June, March and, before it, none that ends by March: January and February overlap with March
    [asked] = ask(ports, "2025-10-01")
    assert [check["window"][0] for check in asked["checks"]] == ["2025-03-01", "2025-06-01"]
    [sooner] = ask(ports, "2025-05-20")  # January and February saw nearly the same days
    assert (len(sooner["checks"]), sooner["accepted"]) == (1, False)


@given(st.lists(st.integers(0, 400), max_size=12), st.integers(1, 120))
def test_checks_that_count_together_saw_no_day_twice(begins: list[int], horizon: int) -> None:
    days = [date(2025, 1, 1) + timedelta(days=begin) for begin in sorted(begins)]
    checks = [Check(day, "performance", True, "", (day, day + timedelta(days=horizon))) for day in days]
    chosen = apart(checks)
    assert chosen[-1:] == checks[-1:]
    windows = [check.window for check in chosen if check.window]
    assert all(one[1] <= other[0] for one, other in pairwise(windows))
    # none that fits was left out
    assert all(any(one[0] < day + timedelta(days=horizon) and day < one[1] for one in windows) for day in days)


def test_two_who_ask_before_there_is_a_plan_start_one_training(ports: SimpleNamespace) -> None:
    first = request_by_hand(ports, MODEL, **HAND, request_id="r1")
    second = request_by_hand(ports, MODEL, **{**HAND, "at": "2025-07-02T09:00:00.2Z"}, request_id="r2")
    assert list(ports.workflows.started) == [("train_model", first["execution"])]
    assert (second["accepted"], second["execution"]) == (False, None)
    assert second["decision"] == f"{first['execution']} trains as of 2025-07-02 already; ask again if it fails"
    assert len(list_requests(ports, MODEL)["requests"]) == 2


def test_a_request_by_hand_waits_for_the_training_that_checks_asked_for(ports: SimpleNamespace) -> None:
    for day in ("2025-06-02", "2025-07-02"):
        batch(ports, day, drift(day, over=4))
    [asked] = ask(ports, "2025-07-02")
    by_hand = request_by_hand(ports, MODEL, **HAND, request_id="r1")
    assert (by_hand["accepted"], len(ports.workflows.started)) == (False, 1)
    assert asked["execution"] in by_hand["decision"]


def test_drift_is_violated_by_the_score_or_by_a_share_of_the_features() -> None:
    assert not drift_check(drift("2025-05-01", over=2), RULES).violated
    assert drift_check(drift("2025-05-01", over=3), RULES).violated
    assert drift_check(drift("2025-05-01", over=0, score=True), RULES).violated


@given(
    st.lists(st.booleans(), max_size=20), st.integers(1, 6), st.integers(1, 6), st.integers(0, 60), st.integers(0, 40)
)
def test_a_request_is_accepted_by_enough_of_the_newest_checks_and_after_the_pause(
    before: list[bool], violations: int, window: int, since: int, pause: int
) -> None:
    rules = Retraining(violations=min(violations, window), of_last=window, cool_down_days=pause)
    seen = [*before, True]
    day = date(2025, 1, 1) + timedelta(days=len(seen))
    checks = [Check(date(2025, 1, 1) + timedelta(days=place), "drift", one, "") for place, one in enumerate(seen)]
    decision = decide(checks, rules, day=day, trained=day - timedelta(days=since))
    assert decision.accepted == (sum(seen[-window:]) >= rules.violations and since >= pause)
    # where an earlier check is violated too, a yes never becomes a no
    if before and decision.accepted:
        worse = [Check(one.day, one.kind, True, "") for one in checks]
        assert decide(worse, rules, day=day, trained=day - timedelta(days=since)).accepted


def test_the_handler_looks_daily_and_takes_requests_by_hand(aws: SimpleNamespace) -> None:
    asked = handler("request_retraining")
    assert asked(event("request_retraining"), CONTEXT) == {"slot": "2025-11-01", "requests": []}
    route = {**event("manage_registry"), "resource": "/v1/models/{model}/retraining"}
    by_hand = {**route, "httpMethod": "POST", "body": json.dumps({"why": "new price list"})}
    answers = [asked(by_hand, CONTEXT) for _ in range(2)]
    assert [one["statusCode"] for one in answers] == [200, 200]
    made = json.loads(answers[0]["body"])
    assert json.loads(answers[1]["body"]) == made  # one signed request, delivered twice
    assert (made["accepted"], made["by"]) == (True, "arn:aws:iam::000000000000:user/anna")
    assert json.loads(asked(route, CONTEXT)["body"])["requests"] == [made]
    refused = asked({**by_hand, "body": "{}"}, CONTEXT)
    assert (refused["statusCode"], json.loads(refused["body"])["error"]) == (400, "BadInputError")
