"""Challenger against champion: paired differences, and a gate that fails only on proof."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from propensity.evaluation.domain.paired import overlap, paired, unpaired
from propensity.evaluation.domain.paired import paired_gates as gates
from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate
from tests.kit.specs import model_spec

LIMITS = Gates()


def drawn(rows: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the chances with which they were drawn."""
    random = np.random.default_rng(seed)
    truth = random.beta(2, 5, rows)
    return (random.random(rows) < truth).astype(np.int8), truth


def test_figures_are_the_differences_of_scikit_learns_under_ties() -> None:
    labels, truth = drawn(800)
    rough = np.round(truth, 1).clip(0.05, 0.95)
    found = paired(labels, rough, truth, seed=1)
    assert found.auc is not None
    assert found.auc.value == pytest.approx(roc_auc_score(labels, rough) - roc_auc_score(labels, truth))
    assert found.log_loss.value == pytest.approx(log_loss(labels, rough) - log_loss(labels, truth))
    assert found.champion_log_loss == pytest.approx(log_loss(labels, truth))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000))
def test_the_same_scores_do_not_differ_and_changing_sides_changes_the_sign(seed: int) -> None:
    labels, truth = drawn(120, seed)
    other = np.random.default_rng(seed).random(120)
    same = paired(labels, truth, truth, seed=7)
    assert (same.log_loss.value, same.log_loss.low, same.log_loss.high) == (0, 0, 0)
    one, two = paired(labels, truth, other, seed=7), paired(labels, other, truth, seed=7)
    assert one == paired(labels, truth, other, seed=7)
    assert one.auc is not None
    assert two.auc is not None
    assert (one.auc.low, one.log_loss.high) == pytest.approx((-two.auc.high, -two.log_loss.low))


@pytest.mark.parametrize(("day", "seen"), [("2026-03-02", False), ("2026-03-01", True), ("2025-11-05", True)])
def test_who_was_fitted_on_a_window_that_shares_days_has_seen_outcomes(day: str, seen: bool) -> None:
    # windows begin 10 days after their date and end 60 after it
    assert overlap(day, ["2025-12-01", "2026-01-11"], model_spec(horizon_days=60, gap_days=10)) is seen


def test_the_interval_of_a_paired_difference_is_that_of_its_standard_error() -> None:
    labels, truth = drawn(3_000)
    other = np.clip(truth + np.random.default_rng(1).normal(0, 0.1, 3_000), 0.01, 0.99)
    found = paired(labels, other, truth, seed=1).log_loss
    gaps = -np.where(labels == 1, np.log(other / truth), np.log((1 - other) / (1 - truth)))
    half = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_a_worse_challenger_fails_with_enough_rows_only() -> None:
    for rows, passes in ((30, True), (4_000, False)):
        labels, truth = drawn(rows)
        worse = np.clip(truth + np.random.default_rng(2).normal(0, 0.2, rows), 0.01, 0.99)
        made = gates("champion", paired(labels, worse, truth, seed=1), "against version 1", LIMITS)
        assert [(gate.name, gate.passed) for gate in made] == [("champion_log_loss", passes), ("champion_auc", passes)]


def tenants_of(rows: int, count: int) -> np.ndarray:
    return np.array([f"t{row % count}" for row in range(rows)])


@pytest.mark.parametrize("count", [4, 30])
def test_the_auc_is_compared_within_tenants(count: int) -> None:
    tenants = tenants_of(3_000, count)
    labels, truth = drawn(3_000)
    other = np.clip(truth + np.random.default_rng(1).normal(0, 0.1, 3_000), 0.01, 0.99)
    found = paired(labels, other, truth, 1, tenants).auc
    assert found is not None
    masks = [tenants == tenant for tenant in sorted(set(tenants))]
    pairs = [labels[mine].sum() * (1 - labels[mine]).sum() for mine in masks]
    gaps = [roc_auc_score(labels[mine], other[mine]) - roc_auc_score(labels[mine], truth[mine]) for mine in masks]
    assert found.value == pytest.approx(np.average(gaps, weights=pairs))
    assert found.low < found.value < found.high < 0


def test_a_challenger_gains_nothing_by_knowing_which_tenant_converts_more() -> None:
    chance = np.random.default_rng(5)
    levels = np.repeat(np.linspace(0.05, 0.5, 20), 200)
    labels, tenants = (chance.random(4_000) < levels).astype(np.int8), np.repeat(tenants_of(20, 20), 200)
    noise = chance.random(4_000)
    challenger, champion = levels + noise / 1_000, 0.2 + noise / 1_000
    pooled, within = paired(labels, challenger, champion, 1).auc, paired(labels, challenger, champion, 1, tenants).auc
    assert pooled is not None
    assert within is not None
    assert pooled.low > 0.1
    assert (within.value, within.low, within.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_tenants_that_differ_make_the_interval_wider_than_rows_do() -> None:
    # in half of the tenants the challenger ranks well, in the others it ranks the wrong way round
    chance = np.random.default_rng(2)
    tenants, labels = np.repeat(tenants_of(12, 12), 400), chance.integers(0, 2, 4_800).astype(np.int8)
    way = np.where(np.repeat(np.arange(12), 400) % 2, 1, -1)
    challenger = 1 / (1 + np.exp(-chance.normal(labels * way, 1)))
    found = paired(labels, challenger, np.full(4_800, 0.5), 1, tenants).auc
    assert found is not None
    assert found.high - found.low > 0.2  # rows alone would say 0.03


def test_rows_of_one_class_have_no_auc_to_differ() -> None:
    ones = np.ones(20, dtype=np.int8)
    found = paired(ones, np.full(20, 0.4), np.full(20, 0.5), seed=1)
    assert found.auc is None
    assert [gate.passed for gate in gates("golden", found, "against version 1", LIMITS)] == [False]


def test_a_champion_that_cannot_score_the_rows_stops_only_who_is_wholly_below_it() -> None:
    champion = Estimate(0.80, 0.78, 0.82, 2_000)
    assert unpaired(Estimate(0.77, 0.74, 0.80, 900), champion, "feature x is gone", LIMITS).passed
    refused = unpaired(Estimate(0.70, 0.67, 0.73, 900), champion, "feature x is gone", LIMITS)
    assert not refused.passed
    assert "cannot be compared (feature x is gone)" in refused.said
    pooled = unpaired(Estimate(0.70, 0.67, 0.73, 900), champion, "gone", LIMITS, "AUC, pooled over tenants,")
    assert "AUC, pooled over tenants, is 0.7" in pooled.said
