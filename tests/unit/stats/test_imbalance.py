"""Classes are weighted in a fit, and the logit is corrected for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from propensity.stats.calibration import identity
from propensity.stats.imbalance import balance_of


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_balanced_classes_count_the_same_and_all_rows_as_before(positives: float, negatives: float) -> None:
    made = balance_of("balanced", positives, negatives)
    assert made.positive * positives == pytest.approx(made.negative * negatives)
    assert made.positive * positives + made.negative * negatives == pytest.approx(positives + negatives)
    assert balance_of("none", positives, negatives).offset == 0


def test_the_offset_gives_a_weighted_fit_its_probabilities_back() -> None:
    random = np.random.default_rng(3)
    matrix = random.normal(size=(50_000, 2))
    labels = random.random(len(matrix)) < 1 / (1 + np.exp(4.5 - matrix[:, 0]))
    balance = balance_of("balanced", float(labels.sum()), float((~labels).sum()))
    weights = np.where(labels, balance.positive, balance.negative)
    plain = LogisticRegression(C=np.inf).fit(matrix, labels).predict_proba(matrix)[:, 1]
    raw = LogisticRegression(C=np.inf).fit(matrix, labels, sample_weight=weights).predict_proba(matrix)[:, 1]
    assert raw.mean() > 10 * labels.mean()
    corrected = identity(offset=balance.offset).apply(raw)
    assert corrected.mean() == pytest.approx(labels.mean(), rel=0.03)
    assert np.abs(corrected - plain).max() < 0.1
