"""Gates: which bound must keep which limit, and what sentinels and probes find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from propensity.evaluation.domain.gates import floor, latency, leaks, sentinels, within
from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate, wilson
from propensity.training.domain.probes import probes

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
    assert gate.said == "ranking is 0.62 (95 % interval 0.48 to 0.76, n 80): it is not proven to be above 0.5"


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
