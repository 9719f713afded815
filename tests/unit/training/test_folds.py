"""Which as-of dates a model is validated on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from propensity.kernel.errors import EvidenceError
from propensity.training.data import TrainingData, folds
from tests.kit.specs import model_spec

SPEC: dict[str, Any] = {"settle_days": 0, "training": {"as_of_count": 3, "every_months": 1}}
MONTHS = np.array(["2026-01-02", "2026-02-02", "2026-03-05", "2026-04-05"], dtype="datetime64[D]")


def lists(*positives: int, rows: int = 20) -> TrainingData:
    """Consecutive months with this many rows and positives each."""
    labels = np.concatenate([np.arange(rows) < count for count in positives]).astype(np.int8)
    return TrainingData(np.zeros((len(labels), 1), np.float32), labels, np.repeat(MONTHS[: len(positives)], rows))


def days(data: TrainingData, least: int) -> list[str]:
    spec = model_spec(**SPEC, validation={"folds": 3, "min_positives": least})
    return [str(fold.day) for fold in folds(data, spec)]


def test_a_date_with_fewer_of_either_class_than_asked_for_is_no_fold() -> None:
    data = lists(5, 4, 5, 16)
    assert days(data, 1) == ["2026-02-02", "2026-03-05", "2026-04-05"]
    assert days(data, 5) == ["2026-03-05"]


def test_what_is_too_small_to_validate_on_is_still_trained_on() -> None:
    spec = model_spec(**SPEC, validation={"min_positives": 5})
    [fold] = folds(lists(2, 5), spec)
    assert fold.train.sum() == 20


def test_where_no_date_is_large_enough_the_error_says_so() -> None:
    with pytest.raises(EvidenceError, match="no as-of date with 6 positives and as many negatives"):
        days(lists(5, 5), 6)
