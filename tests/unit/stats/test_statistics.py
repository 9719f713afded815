"""Statistics compared with scikit-learn and scipy, and laws that hold for any data."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, norm
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from propensity.kernel.errors import EvidenceError
from propensity.stats import figures as statistics
from propensity.stats.calibration import fit_sigmoid
from propensity.stats.figures import Scored, scored


def sample(rows: int = 5_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, Scored]:
    random = np.random.default_rng(seed)
    scores = np.round(random.beta(2, 6, rows), 3)  # rounding makes ties
    labels = (random.random(rows) < scores**0.8).astype(int)
    return (
        scores,
        labels,
        scored((score, 1, label) for score, label in zip(scores.tolist(), labels.tolist(), strict=True)),
    )


def test_figures_equal_scikit_learns_under_ties() -> None:
    scores, labels, data = sample()
    assert statistics.auc(data).value == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert statistics.average_precision(data).value == pytest.approx(metrics.average_precision_score(labels, scores))
    assert statistics.brier(data).value == pytest.approx(metrics.brier_score_loss(labels, scores))
    assert statistics.log_loss(data).value == pytest.approx(
        metrics.log_loss(labels, np.clip(scores, 1e-7, 1)), rel=1e-9
    )


def test_calibration_equals_an_unpenalised_logistic_regression_on_the_logit() -> None:
    scores, labels, data = sample()
    x = np.log(np.clip(scores, 1e-7, 1 - 1e-7) / (1 - np.clip(scores, 1e-7, 1 - 1e-7))).reshape(-1, 1)
    fitted = LogisticRegression(C=inf, tol=1e-10, max_iter=1000).fit(x, labels)
    slope, intercept = statistics.calibration(data)
    assert slope.value == pytest.approx(fitted.coef_[0][0], abs=1e-4)
    assert intercept.value == pytest.approx(fitted.intercept_[0], abs=1e-4)
    assert slope.low < slope.value < slope.high


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-14, 14),
    st.floats(0.01, 3),
    st.floats(0.1, 3),
    st.floats(-16, 16),
    st.integers(0, 2**32 - 1),
)
def test_calibration_is_the_greatest_likelihood_however_far_off_the_scores_are(
    mean: float, deviation: float, slope: float, intercept: float, seed: int
) -> None:
    """On some of these data Newton's full steps would swing for ever."""
    random = np.random.default_rng(seed)
    logit = np.clip(random.normal(mean, deviation, 2_000), -16, 16)
    labels = random.random(2_000) < 1 / (1 + np.exp(-(slope * logit + intercept)))
    assume(20 <= labels.sum() <= 1_980)
    raw = 1 / (1 + np.exp(-logit))
    found = statistics.calibration(scored(zip(raw.tolist(), [1] * 2_000, labels.tolist(), strict=True)))
    fitted = LogisticRegression(C=inf, tol=1e-10, max_iter=1000, solver="newton-cholesky").fit(logit[:, None], labels)
    assert found[0].value == pytest.approx(fitted.coef_[0][0], abs=1e-4)
    assert found[1].value == pytest.approx(fitted.intercept_[0], abs=1e-4)
    assume(fitted.coef_[0][0] > 0.01)
    assert fit_sigmoid(raw, labels).apply(raw).mean() == pytest.approx(labels.mean(), abs=0.002)


def test_the_interval_of_auc_covers_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        labels = np.r_[np.ones(80), np.zeros(300)].astype(int)
        scores = random.normal(labels * 1.0, 1.0)
        squeezed = 1 / (1 + np.exp(-scores))
        found = statistics.auc(scored(zip(squeezed.tolist(), [1] * 380, labels.tolist(), strict=True)))
        covered += found.low <= 0.7602 <= found.high  # Phi(1 / sqrt 2)
    assert 0.91 <= covered / 300 <= 0.98


@pytest.mark.parametrize(("positives", "rows"), [(5, 200), (13, 400), (40, 2_000)])
def test_the_interval_of_auc_covers_with_few_positives(positives: int, rows: int) -> None:
    covered, chance = 0, np.random.default_rng(11)
    labels = np.r_[np.ones(positives), np.zeros(rows - positives)].astype(int)
    for _ in range(400):
        squeezed = 1 / (1 + np.exp(-chance.normal(labels * 1.2, 1.0)))
        found = statistics.auc(scored(zip(squeezed.tolist(), [1] * rows, labels.tolist(), strict=True)))
        covered += found.low <= norm.cdf(1.2 / np.sqrt(2)) <= found.high
    assert covered >= binom.ppf(0.001, 400, 0.94), covered


def test_a_perfect_model_has_no_calibration_error() -> None:
    chance, zero, said = np.random.default_rng(4), 0, []
    for _ in range(200):
        scores = chance.beta(2, 8, 1_000)
        labels = (chance.random(1_000) < scores).astype(int)
        found = statistics.ece(scored(zip(scores.tolist(), [1] * 1_000, labels.tolist(), strict=True)))
        zero += found.low == 0
        said.append(found.value)
    assert zero >= binom.ppf(0.001, 200, 0.95), zero
    assert np.mean(said) < 0.015  # the plain error has a mean of 0.03


def test_the_calibration_error_of_an_imperfect_model_is_what_it_is() -> None:
    chance, covered = np.random.default_rng(4), 0
    for _ in range(200):
        scores = chance.beta(2, 8, 4_000) * 0.7
        labels = (chance.random(4_000) < scores / 0.7).astype(int)
        found = statistics.ece(scored(zip(scores.tolist(), [1] * 4_000, labels.tolist(), strict=True)))
        covered += found.low <= 0.06 <= found.high  # the mean of 0.3 x beta(2, 8)
        assert found.value == pytest.approx(0.06, abs=0.03)
    assert covered >= binom.ppf(0.001, 200, 0.95), covered


@pytest.mark.parametrize(("rows", "rate"), [(300, 0.1), (1_000, 0.05), (2_000, 0.3)])
def test_the_interval_of_lift_covers_as_often_as_it_says(rows: int, rate: float) -> None:
    cut = brentq(lambda at: rate * norm.sf(at - 1) + (1 - rate) * norm.sf(at) - 0.1, -9, 9)
    truth, covered, chance = norm.sf(cut - 1) / 0.1, 0, np.random.default_rng(6)
    for _ in range(400):
        labels = (chance.random(rows) < rate).astype(int)
        squeezed = 1 / (1 + np.exp(-chance.normal(labels, 1.0)))
        found = statistics.lift(scored(zip(squeezed.tolist(), [1] * rows, labels.tolist(), strict=True)), rows / 10)
        covered += found.low <= truth <= found.high
        assert found.high <= min(1 / labels.mean(), 10) + 1e-9
    assert binom.ppf(0.001, 400, 0.93) <= covered <= 0.985 * 400, covered


@pytest.mark.parametrize(("hits", "top"), [(0, 10), (10, 10), (10, 20), (3, 100)])
def test_the_interval_of_lift_ends_at_what_is_possible(hits: int, top: int) -> None:
    found = statistics.lift(scored([(0.9, top, hits), (0.1, 110 - top, 12 - hits)]), top)
    assert 0 <= found.low <= found.value <= found.high <= min(12, top) / top / (12 / 110) + 1e-9


def test_half_width_of_auc_at_ten_positives_is_what_was_measured() -> None:
    random = np.random.default_rng(3)
    labels = np.r_[np.ones(10), np.zeros(400)].astype(int)
    widths = []
    for _ in range(50):
        squeezed = 1 / (1 + np.exp(-random.normal(labels * 0.95, 1.0)))
        found = statistics.auc(scored(zip(squeezed.tolist(), [1] * 410, labels.tolist(), strict=True)))
        widths.append((found.high - found.low) / 2)
    assert np.mean(widths) == pytest.approx(0.15, abs=0.04)


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (3, 20), (500, 1_000), (10, 10)])
def test_wilson_is_scipys(hits: int, rows: int) -> None:
    found, interval = statistics.wilson(hits, rows), binomtest(hits, rows).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_newcombes_interval_is_that_of_his_paper() -> None:
    # Newcombe (1998), table II, case (a): 56/70 against 48/80, method 10
    found = statistics.difference(statistics.wilson(56, 70), statistics.wilson(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_lift_shares_a_tie_at_the_edge_in_proportion() -> None:
    data = scored([(0.9, 10, 8), (0.5, 100, 30), (0.1, 90, 2)])
    assert statistics.lift(data, 20).value == pytest.approx((8 + 30 / 10) / 20 / 0.2)
    assert statistics.lift(data, 200).value == pytest.approx(1.0)
    with pytest.raises(EvidenceError, match="top 201 of 200"):
        statistics.lift(data, 201)


def test_one_class_is_no_evidence() -> None:
    with pytest.raises(EvidenceError, match="0 of 5 rows are positive"):
        scored([(0.2, 5, 0)])


def test_equal_scores_have_no_slope() -> None:
    slope, _ = statistics.calibration(scored([(0.3, 100, 30)]))
    assert (slope.value, slope.n) == (0.0, 100)


groups = st.lists(
    st.tuples(st.floats(0, 1), st.integers(1, 30), st.floats(0, 1)).map(
        lambda one: (one[0], one[1], round(one[1] * one[2]))
    ),
    min_size=2,
    max_size=40,
).filter(lambda rows: 0 < sum(row[2] for row in rows) < sum(row[1] for row in rows))


@settings(max_examples=200, deadline=None)
@given(groups)
def test_every_interval_holds_its_value_and_every_n_is_the_rows(rows: list[tuple[float, int, int]]) -> None:
    data = scored(rows)
    figures = [
        statistics.auc(data),
        statistics.average_precision(data),
        statistics.brier(data),
        statistics.log_loss(data),
        statistics.ece(data),
        statistics.brier_skill(data),
        *statistics.calibration(data),
    ]
    for figure in figures:
        assert figure.low - 1e-9 <= figure.value <= figure.high + 1e-9
        assert figure.n == sum(row[1] for row in rows)


@settings(max_examples=200, deadline=None)
@given(groups)
def test_turning_the_ranking_around_mirrors_auc(rows: list[tuple[float, int, int]]) -> None:
    turned = scored([(1 - score, count, hits) for score, count, hits in rows])
    # 1 - score may merge scores that differ by less than floats near 1 do
    if len(turned.groups) == len(scored(rows).groups):
        assert statistics.auc(turned).value == pytest.approx(1 - statistics.auc(scored(rows)).value, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=12), st.data())
def test_psi_is_zero_for_equal_shares_and_never_negative(counts: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 1_000), min_size=len(counts), max_size=len(counts)))
    assert statistics.psi(statistics.shares(counts), statistics.shares(counts)) == 0
    assert statistics.psi(statistics.shares(counts), statistics.shares(other)) >= 0


def test_psi_without_drift_is_its_noise() -> None:
    random = np.random.default_rng(2)
    reference = [2_000] * 10
    found = [
        statistics.psi(statistics.shares(reference), statistics.shares(random.multinomial(500, [0.1] * 10).tolist()))
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(statistics.psi_noise(10, 20_000, 500), rel=0.15)
