"""Gates: which bound must keep which limit, and what sentinels and probes find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from propensity.evaluation.domain.gates import evidence, floor, latency, leaks, level, quality, within
from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate, wilson
from propensity.stats.sentinels import sentinels
from propensity.stats.within_tenant import by_tenant
from propensity.training.domain.probes import probes
from tests.kit.tenant_worlds import judged

LIMITS = Gates()


@given(hits=st.integers(0, 200), more=st.integers(0, 200), limit=st.floats(0, 1))
def test_a_floor_passes_only_what_is_proven_and_a_range_fails_only_what_is_refuted(
    hits: int, more: int, limit: float
) -> None:
    found = wilson(hits, hits + more + 1)
    proven, refuted = floor("f", found, limit, "rate"), within("w", found, (limit, 1), "rate")
    assert proven.passed == (found.low > limit)
    assert refuted.passed == (found.high >= limit)
    assert not proven.passed or refuted.passed
    assert (proven.n, proven.interval) == (found.n, (found.low, found.high))


def test_the_same_rate_passes_a_floor_with_enough_rows_only() -> None:
    assert not floor("f", wilson(6, 10), 0.5, "rate").passed
    assert floor("f", wilson(600, 1000), 0.5, "rate").passed


def test_a_gate_says_its_figure_its_evidence_and_its_limit() -> None:
    gate = floor("auc_floor", Estimate(0.62, 0.48, 0.76, 80), 0.5, "ranking")
    said = "ranking is 0.62 (95 % interval 0.48 to 0.76, n 80): not enough evidence that it is above 0.5"
    assert (gate.said, gate.to_json()["outcome"], gate.to_json()["passed"]) == (said, "not_enough_evidence", False)
    below = floor("auc_floor", Estimate(0.45, 0.41, 0.49, 900), 0.5, "ranking")
    assert below.said.endswith("it is proven to be no higher than 0.5")
    assert below.outcome == "failed"


def test_too_few_positives_are_not_enough_evidence_and_no_failure() -> None:
    assert [gate.outcome for gate in evidence((29, 900), (10, 200), LIMITS)] == ["not_enough_evidence", "passed"]


def test_without_a_tenant_that_has_both_outcomes_there_is_no_evidence_of_ranking() -> None:
    one = Estimate(1.5, 1.2, 2.0, 100)
    figures = {"auc_within": None, "lift_of_lists": one, "brier_skill": one, "calibration_slope": one}
    gate = quality(figures, LIMITS)[0]
    assert (gate.name, gate.figure, gate.outcome) == ("auc_floor", None, "not_enough_evidence")


@pytest.mark.parametrize(("seen", "outcome"), [(100, "passed"), (130, "passed"), (190, "failed"), (50, "failed")])
def test_scores_far_from_what_came_fail_the_level(seen: int, outcome: str) -> None:
    gate = level(by_tenant([("a", 0.1, 500, seen // 2), ("b", 0.1, 500, seen - seen // 2)]), LIMITS)
    assert (gate.name, gate.outcome, gate.n) == ("level", outcome, 1_000)
    assert gate.figure == pytest.approx(seen / 100)


def test_a_few_rows_prove_no_level() -> None:
    assert level(by_tenant([("a", 0.1, 20, 4)]), LIMITS).passed


def test_one_tenants_wrong_level_is_told_and_stops_nobody() -> None:
    rows = [(f"t{number}", 0.1, 500, 50) for number in range(30)]
    gate = level(by_tenant([*rows, ("odd", 0.1, 500, 120)]), LIMITS)
    assert gate.passed
    assert gate.said.endswith(
        "of 31 tenants, each by an interval that is corrected for their number, proven to be outside: odd 2.4 (n 500)"
    )
    # of one tenant alone 80 conversions are proof of more than 1.2 times the scores; among 31 tenants they are not
    close = LIMITS.model_copy(update={"level_high": 1.2})
    alone, among = (level(by_tenant([*others, ("odd", 0.1, 500, 80)]), close) for others in ([], rows))
    assert not alone.passed
    assert "odd" in alone.said.split("proven to be outside:")[-1]
    assert "odd" not in among.said


def test_of_sound_models_with_few_positives_hardly_one_fails() -> None:
    outcomes = [gate.outcome for seed in range(20) for gate in judged(seed, auc=0.66).values()]
    # 20 worlds with five gates each; a floor may fail in 2.5 % of sound ones, which is 5 or fewer in 99.9 % of series
    assert outcomes.count("failed") <= binom.ppf(0.999, 40, 0.025)
    assert 0 < outcomes.count("not_enough_evidence") < outcomes.count("passed")


def test_a_weak_model_with_few_positives_has_not_enough_evidence() -> None:
    ranking = [judged(seed, auc=0.57)["auc_floor"].outcome for seed in range(20)]
    assert ranking.count("not_enough_evidence") >= 14
    assert ranking.count("failed") <= binom.ppf(0.999, 20, 0.025)


def test_a_model_that_knows_only_the_tenants_rates_does_not_pass() -> None:
    found = [judged(seed, auc=0.5, rows=400)["auc_floor"].outcome for seed in range(20)]
    assert found.count("failed") >= 14
    assert "passed" not in found


def test_a_range_of_slopes_has_two_ends() -> None:
    with pytest.raises(ValidationError, match="calibration_slope_low must be below"):
        Gates(calibration_slope_low=1.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_sentinel_is_the_best_reading_of_a_feature(seed: int) -> None:
    chance = np.random.default_rng(seed)
    labels = np.r_[0, 1, chance.integers(0, 2, 60)].astype(np.int8)
    values = chance.integers(0, 9, 62).astype(np.float32)
    [found] = sentinels(["x"], values[:, None], labels)
    area = roc_auc_score(labels, values)
    assert found.auc == pytest.approx(max(area, 1 - area))
    cuts = [abs(matthews_corrcoef(labels, values >= cut)) for cut in np.unique(values)]
    assert found.copy == pytest.approx(max(cuts))


def test_that_a_value_is_there_at_all_can_be_the_leak() -> None:
    labels = np.r_[np.ones(40), np.zeros(400)].astype(np.int8)
    chance = np.random.default_rng(2)
    values = np.where(labels == 1, chance.random(440), np.nan).astype(np.float32)
    codes = np.where(labels == 1, 1, chance.choice([0, 2], 440)).astype(np.float32)
    found = sentinels(["filled", "code"], np.c_[values, codes], labels, {"code"})
    assert [one.auc for one in found] == [1, 1]
    gates = leaks(found, 440, LIMITS)
    assert [gate.passed for gate in gates] == [False, False]
    assert "look at filled, code" in gates[0].said
    # five rows that agree prove nothing
    few = np.where(np.arange(440) % 88 == 0, labels, np.nan).astype(np.float32)
    [rare] = sentinels(["rare"], few[:, None], labels)
    assert rare.auc < 0.6


def test_a_latency_is_said_by_its_step_so_that_a_resumed_run_says_the_same() -> None:
    assert latency(0.02, 400, 4, LIMITS) == latency(7.9, 400, 4, LIMITS)
    found = {p99: latency(p99, 400, 4, LIMITS) for p99 in (60.0, 101.0, 9_000.0)}
    assert [(gate.figure, gate.passed) for gate in found.values()] == [(100, True), (500, False), (None, False)]


def test_probes_hold_missing_unseen_and_extreme_values_and_both_sides_of_a_split() -> None:
    matrix = np.array([[1.0, 0.0], [2.5, 1.0], [np.nan, 1.0]], dtype=np.float32)
    said, rows = probes(["age", "colour"], matrix, [0, 2])
    made = dict(zip(said, rows.tolist(), strict=True))
    assert rows.dtype == np.float32
    assert np.isnan(rows[said.index("every value missing")]).all()
    assert made["colour of an unseen category"] == [2.5, 2.0]
    assert made["age at a split"][0] == 1.75
    assert made["age just below a split"][0] < 1.75 < made["age just above a split"][0]
    assert made["age far above its most"][0] > 10 > 2.5 > 1 > made["age far below its least"][0]
    assert np.isnan(made["age missing"][0])
    assert made["age missing"][1] == 1


def test_a_column_without_any_value_is_probed_all_the_same() -> None:
    said, rows = probes(["never"], np.full((5, 1), np.nan, np.float32), [0])
    assert said == ["every value missing", "every value 0", "usual values", "never missing", "never 0"]
    assert rows.shape == (5, 1)
