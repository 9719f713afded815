"""Figures within tenants: what they are, how often their intervals are right, and what cannot move them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom, chi2, norm
from sklearn.metrics import roc_auc_score

from propensity.kernel.errors import EvidenceError
from propensity.stats import figures
from propensity.stats.within_tenant import (
    Tenant,
    auc_within,
    by_tenant,
    garwood,
    lift_of_lists,
    observed_over_expected,
    share_of_pairs_within,
)

WORLDS = 200

rows_of_tenants = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.integers(1, 9), st.floats(0, 1)).map(
        lambda row: (row[0], row[1], row[2], round(row[2] * row[3]))
    ),
    min_size=3,
    max_size=30,
)


def drawn(seed: int, tenants: int, rows: int, shift: float, apart: float = 0.8) -> dict[str, Tenant]:
    """Tenants whose rates lie around 20 % and differ by a normal of `apart` in logits.

    Converters have scores that are higher by `shift` deviations.

    The tenants' own rates are in the scores too, and say nothing within a tenant.
    """
    chance, found = np.random.default_rng(seed), []
    for tenant in range(tenants):
        level = np.log(0.25) + chance.normal(0, apart)
        labels = chance.random(rows) < 1 / (1 + np.exp(-level))
        scores = 1 / (1 + np.exp(-level - chance.normal(labels * shift, 1)))
        found += [(f"t{tenant:02}", float(score), 1, int(label)) for score, label in zip(scores, labels, strict=True)]
    return by_tenant(found)


def assert_covers(covered: int, worlds: int = WORLDS, least: float = 0.93) -> None:
    """A share of `least` and more is what chance gives in 99.9 % of series of worlds."""
    assert covered >= binom.ppf(0.001, worlds, least), f"{covered} of {worlds}"


def test_tenants_that_differ_make_the_interval_wider_than_rows_do() -> None:
    """Half of the tenants are ranked nearly perfectly, half by chance: the next tenant may be of either kind."""
    chance, rows = np.random.default_rng(4), []
    for tenant in range(20):
        labels = chance.random(200) < 0.3
        scores = chance.normal(labels * (3.0 if tenant % 2 else 0.0), 1)
        rows += [(f"t{tenant:02}", float(score), 1, int(label)) for score, label in zip(scores, labels, strict=True)]
    found = auc_within(by_tenant(rows))
    # among rows alone, the half-width would be below 0.02
    assert found.high - found.low > 0.15
    assert found.low < 0.74 < found.high


@pytest.mark.parametrize(("tenants", "rows"), [(2, 40), (4, 100), (12, 60), (40, 25)])
def test_the_interval_within_tenants_covers_as_often_as_it_says(tenants: int, rows: int) -> None:
    truth, covered = norm.cdf(0.9 / np.sqrt(2)), 0
    for seed in range(WORLDS):
        found = auc_within(drawn(seed, tenants, rows, shift=0.9))
        covered += found.low <= truth <= found.high
    assert_covers(covered)


def test_differences_between_tenants_are_no_ranking_within() -> None:
    tenants = drawn(1, 40, 100, shift=0.0)
    every = [(g.score, g.rows, g.positives) for tenant in tenants.values() for g in tenant.groups]
    within = auc_within(tenants)
    assert figures.auc(figures.scored(every)).low > 0.6
    assert within.low < 0.5 < within.high < 0.55
    lifted = lift_of_lists(tenants)
    assert lifted.low < 1 < lifted.high


def test_within_one_tenant_the_figure_is_the_pooled_one_and_scikit_learns() -> None:
    tenants = drawn(3, 1, 300, shift=0.7)
    [tenant] = tenants.values()
    pooled = figures.auc(figures.scored((g.score, g.rows, g.positives) for g in tenant.groups))
    assert auc_within(tenants) == pooled
    labels = np.concatenate([np.r_[np.ones(g.positives), np.zeros(g.rows - g.positives)] for g in tenant.groups])
    scores = np.repeat([g.score for g in tenant.groups], [g.rows for g in tenant.groups])
    assert pooled.value == pytest.approx(roc_auc_score(labels, scores))
    assert share_of_pairs_within(tenants.values()) == 1


def test_tenants_weigh_by_their_pairs() -> None:
    # AUC 1 of 1 x 3 pairs, AUC 0 of 2 x 1 pairs
    rows = [("a", 0.9, 1, 1), ("a", 0.1, 3, 0), ("b", 0.1, 2, 2), ("b", 0.9, 1, 0), ("c", 0.5, 7, 7)]
    assert auc_within(by_tenant(rows)).value == pytest.approx(3 / 5)


@given(st.integers(1, 50), st.integers(1, 50))
def test_equal_scores_rank_by_half(positives: int, negatives: int) -> None:
    found = auc_within(by_tenant([("a", 0.3, positives + negatives, positives), ("b", 0.3, 4, 2)]))
    assert found.value == pytest.approx(0.5)
    assert 0 < found.low < 0.5 < found.high < 1


@settings(max_examples=60, deadline=None)
@given(rows_of_tenants, st.randoms(use_true_random=False))
def test_no_order_of_rows_or_names_of_tenants_moves_a_figure(
    rows: list[tuple[str, float, int, int]], random: Random
) -> None:
    def all_of(rows: list[tuple[str, float, int, int]]) -> list[float] | None:
        tenants = by_tenant(rows)
        try:
            found = [auc_within(tenants), lift_of_lists(tenants), observed_over_expected(tenants.values())]
        except EvidenceError:
            return None
        for one in found:
            assert one.low <= one.value <= one.high
        return [figure for one in found for figure in (one.value, one.low, one.high, one.n)]

    mixed = random.sample(rows, len(rows))
    assert all_of(mixed) == all_of(rows)
    turned = all_of([({"a": "z", "b": "k"}.get(row[0], row[0]), *row[1:]) for row in rows])
    assert turned == (pytest.approx(all_of(rows)) if turned else all_of(rows))


def test_five_converters_who_all_rank_first_prove_no_certainty() -> None:
    perfect = auc_within(by_tenant([("a", 0.9, 5, 5), ("a", 0.1, 95, 0)]))
    nearly = auc_within(by_tenant([("a", 0.9, 5, 5), ("a", 0.89, 1, 0), ("a", 0.1, 94, 0), ("a", 0.95, 1, 0)]))
    assert (perfect.value, perfect.high) == (1, 1)
    assert 0.5 < perfect.low < 0.95
    assert nearly.value > 0.98
    assert 0.5 < nearly.low < perfect.low + 0.01  # a value just below 1 has no wilder interval than 1 itself


@pytest.mark.parametrize("count", [0, 1, 2, 13, 100, 2_999, 3_001, 250_000])
@pytest.mark.parametrize("error", [0.05, 0.05 / 40])
def test_garwoods_interval_is_scipys(count: int, error: float) -> None:
    low = chi2.ppf(error / 2, 2 * count) / 2 if count else 0.0
    assert garwood(count, error) == pytest.approx((low, chi2.ppf(1 - error / 2, 2 * count + 2) / 2), rel=1e-5)


@pytest.mark.parametrize(("rate", "rows"), [(0.05, 100), (0.05, 2_000), (0.2, 500)])
def test_the_interval_of_a_level_covers_as_often_as_it_says(rate: float, rows: int) -> None:
    covered, chance = 0, np.random.default_rng(5)
    for _ in range(WORLDS):
        scores = chance.beta(2, 2 / rate - 2, rows)
        labels = chance.random(rows) < scores
        found = observed_over_expected(
            by_tenant([("a", float(p), 1, int(y)) for p, y in zip(scores, labels, strict=True)]).values()
        )
        covered += found.low <= 1 <= found.high
    assert_covers(covered, least=0.95)


def test_scores_at_half_are_a_level_of_two() -> None:
    found = observed_over_expected(by_tenant([("a", 0.1, 1_000, 200)]).values())
    assert found.value == pytest.approx(2)
    assert found.low > 1.7
    corrected = observed_over_expected(by_tenant([("a", 0.1, 1_000, 200)]).values(), 0.001)
    assert corrected.low < found.low


@pytest.mark.parametrize(("tenants", "rows"), [(2, 300), (20, 100)])
def test_the_interval_of_lift_covers_and_stays_within_what_is_possible(tenants: int, rows: int) -> None:
    # of all customers a tenth have a score above `cut`, in deviations of those who do not convert
    cut = brentq(lambda at: 0.2 * norm.sf(at - 0.8) + 0.8 * norm.sf(at) - 0.1, -9, 9)
    truth, covered = norm.sf(cut - 0.8) / 0.1, 0
    for seed in range(WORLDS):
        lists = drawn(seed, tenants, rows, shift=0.8, apart=0.0)
        found = lift_of_lists(lists)
        covered += found.low <= truth <= found.high
        expected = sum(0.1 * one.positives for one in lists.values())
        assert found.low >= 0
        assert found.high <= sum(min(0.1 * one.rows, one.positives) for one in lists.values()) / expected + 1e-9
    assert_covers(covered, least=0.92)


def test_the_interval_of_lift_ends_where_all_conversions_are_in_the_tops() -> None:
    """Two of three converters are in each tenant's top ten of a hundred: with the third there, the lift would be 10."""
    places = {3, 7, 40}
    rows = [(tenant, 1 - place / 200, 1, int(place in places)) for tenant in "ab" for place in range(100)]
    found = lift_of_lists(by_tenant(rows))
    assert found.value == pytest.approx(20 / 3)
    assert found.high == pytest.approx(10)
    # few converters say little of how low it may be
    assert found.low < 5


def test_ties_at_the_edge_of_a_list_count_in_proportion() -> None:
    # 4 of 100 are surely on the list of 10; the next 24, of whom 8 convert, share 6 places
    tenants = by_tenant([("a", 0.9, 4, 3), ("a", 0.5, 24, 8), ("a", 0.1, 72, 9)])
    assert lift_of_lists(tenants).value == pytest.approx((3 + 6 * 8 / 24) / 10 / 0.2)


def test_without_outcomes_there_is_no_evidence() -> None:
    ones_apart = by_tenant([("a", 0.9, 5, 5), ("b", 0.1, 5, 0)])
    with pytest.raises(EvidenceError, match="none of 2 tenants has both"):
        auc_within(ones_apart)
    with pytest.raises(EvidenceError, match="none of 1 tenants has a conversion"):
        lift_of_lists(by_tenant([("b", 0.1, 5, 0)]))
    with pytest.raises(EvidenceError, match="scores sum to 0"):
        observed_over_expected(by_tenant([("b", 0.0, 5, 0)]).values())
    with pytest.raises(EvidenceError, match="same outcome"):
        share_of_pairs_within(by_tenant([("b", 0.1, 5, 0)]).values())
