"""What happens between a raw probability and a row of Gold: calibration, ranking, selection, drift bins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.kernel.errors import ConflictError, EvidenceError
from propensity.stats.calibration import Calibration, fit_isotonic, fit_sigmoid, identity
from propensity.stats.drift import drift_of, reference_bins
from propensity.training.domain.selection import Entrant, select

Fit = Callable[..., Calibration]


def crooked(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores whose logit is twice as steep as it should be, and too high by 1."""
    random = np.random.default_rng(4)
    logit = random.normal(-1, 1, rows)
    labels = random.random(rows) < 1 / (1 + np.exp(-logit))
    return 1 / (1 + np.exp(-(2 * logit + 1))), labels


@pytest.mark.parametrize("fit", [fit_sigmoid, fit_isotonic])
def test_a_calibration_straightens_what_is_crooked(fit: Fit) -> None:
    raw, labels = crooked()
    made = fit(raw, labels)
    again = fit_sigmoid(made.apply(raw), labels)
    slope = again.calibrated[1] - again.calibrated[0]
    assert slope == pytest.approx(1.0, abs=0.08)
    assert made.apply(raw).mean() == pytest.approx(labels.mean(), abs=0.01)
    assert (made.rows, made.positives) == (len(raw), labels.sum())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=30, max_size=200),
    st.sampled_from([fit_sigmoid, fit_isotonic]),
)
def test_a_calibration_never_turns_two_customers_around(rows: list[tuple[float, bool]], fit: Fit) -> None:
    raw, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    calibrated = fit(raw, labels).apply(np.sort(raw))
    assert np.all(np.diff(calibrated) >= 0)
    assert np.all((calibrated >= 0) & (calibrated <= 1))


@pytest.mark.parametrize("fit", [fit_sigmoid, fit_isotonic])
def test_a_calibration_of_sampled_rows_with_weights_has_the_rate_of_the_rows_they_stand_for(fit: Fit) -> None:
    raw, labels = crooked()
    kept = labels | (np.arange(len(raw)) % 4 == 0)
    made = fit(raw[kept], labels[kept], np.where(labels[kept], 1.0, 4.0))
    assert made.apply(raw).mean() == pytest.approx(labels.mean(), abs=0.01)
    assert fit(raw[kept], labels[kept]).apply(raw).mean() > labels.mean() + 0.1


@pytest.mark.parametrize("fit", [fit_sigmoid, fit_isotonic])
def test_scores_that_say_nothing_come_out_at_the_rate_in_their_order(fit: Fit) -> None:
    random = np.random.default_rng(4)
    raw, labels = random.uniform(0.3, 0.9, 5_000), np.zeros(5_000, dtype=bool)
    labels[np.argsort(raw)[:50]] = True  # the wrong way round
    calibrated = fit(raw, labels).apply(np.sort(raw))
    assert calibrated == pytest.approx(0.01, abs=0.001)
    assert np.all(np.diff(calibrated) > 0)


def test_a_calibration_reads_back_what_it_wrote() -> None:
    made = fit_isotonic(*crooked())
    assert Calibration.from_json(made.to_json()) == made
    raw = np.linspace(0.001, 0.999, 50)
    assert identity().apply(raw) == pytest.approx(raw, abs=1e-9)
    with pytest.raises(ConflictError, match="ascending"):
        Calibration("table", (0.0, 0.0), (0.0, 1.0), 1, 1)


def test_within_a_standard_error_the_simplest_wins() -> None:
    linear = Entrant("logistic_regression", (0.501, 0.399, 0.452))
    trees = Entrant("hist_gradient_boosting", (0.500, 0.400, 0.450))
    better = Entrant("hist_gradient_boosting", (0.490, 0.389, 0.442))
    assert select([trees, linear], "one_standard_error") is linear
    assert select([trees, linear], "best") is trees
    assert select([better, linear], "one_standard_error") is better
    with pytest.raises(EvidenceError, match="no candidate is left"):
        select([], "best")


def test_reference_bins_count_every_row_and_the_missing_ones_last() -> None:
    matrix = np.array([[1, 0], [2, 0], [3, 1], [4, np.nan]], dtype=np.float32)
    found = reference_bins(["many", "few"], matrix, np.array([0.1, 0.2, 0.3, 0.4]), "2025-07-01")
    for bins in (*found["features"].values(), found["score"]):
        assert sum(bins["counts"]) == 4
        assert len(bins["counts"]) == len(bins["edges"]) + 2
    assert found["features"]["few"]["counts"][-1] == 1


def test_few_rows_are_never_called_drift() -> None:
    few = drift_of("f", [100, 100], [30, 0], limit=0.2, min_rows=200)
    many = drift_of("f", [1_000, 1_000], [300, 0], limit=0.2, min_rows=200)
    assert few.psi == pytest.approx(many.psi)
    assert (few.over, many.over) == (False, True)
    assert few.noise > many.noise > 0


@pytest.mark.parametrize(("rows", "centre", "spread"), [(2_000, -2.5, 1.0), (6_000, -3.0, 1.0), (3_000, -3.5, 0.8)])
def test_the_likeliest_customers_of_isotonic_calibration_convert_as_often_as_it_says(
    rows: int, centre: float, spread: float
) -> None:
    said, came = np.zeros(2), np.zeros(2)
    for world in range(20):
        chance = np.random.default_rng([world, rows])

        def drawn(count: int, chance: np.random.Generator = chance) -> tuple[np.ndarray, np.ndarray]:
            truth = chance.normal(centre, spread, count)
            return 1 / (1 + np.exp(-1.3 * truth - 0.3)), 1 / (1 + np.exp(-truth))

        raw, truth = drawn(rows)
        calibration = fit_isotonic(raw, (chance.random(rows) < truth).astype(int))
        raw, truth = drawn(20_000)
        scores = calibration.apply(raw)
        order = np.argsort(-scores)
        for place, top in enumerate((200, 2_000)):
            said[place] += scores[order[:top]].sum()
            came[place] += truth[order[:top]].sum()
    assert said / came == pytest.approx([1, 1], abs=0.08)


def test_beyond_its_outer_knots_isotonic_calibration_is_no_steeper_than_the_sigmoid() -> None:
    """Steep at both ends: what lies beyond the last rows is not known to go on like that."""
    chance = np.random.default_rng(5)
    logits = chance.normal(0, 1.5, 20_000)
    truth = 1 / (1 + np.exp(-np.sign(logits) * np.abs(logits) ** 3 / 4))
    raw, labels = 1 / (1 + np.exp(-logits)), (chance.random(20_000) < truth).astype(int)
    made, sigmoid = fit_isotonic(raw, labels), fit_sigmoid(raw, labels)
    assert len(made.raw) > 4
    slope = sigmoid.calibrated[1] - sigmoid.calibrated[0]
    steps = np.diff(made.calibrated) / np.diff(made.raw)
    assert max(steps[1:-1]) > slope  # within, the data may be steeper
    assert max(steps[0], steps[-1]) <= slope + 1e-9


def test_isotonic_calibration_follows_a_top_that_converts_less_than_a_sigmoid_says() -> None:
    chance = np.random.default_rng(8)
    logits = chance.normal(-2, 1.2, 40_000)
    truth = 1 / (1 + np.exp(-np.minimum(logits, -1.5 + 0.3 * np.maximum(logits + 1.5, 0))))
    raw, labels = 1 / (1 + np.exp(-logits)), (chance.random(40_000) < truth).astype(int)
    top = np.argsort(-raw)[:400]
    said = [fit(raw[:20_000], labels[:20_000]).apply(raw)[top].mean() for fit in (fit_sigmoid, fit_isotonic)]
    assert said[0] > 1.2 * truth[top].mean()
    assert said[1] == pytest.approx(truth[top].mean(), rel=0.12)
