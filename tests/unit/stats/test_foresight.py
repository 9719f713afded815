"""What a feature seems to know of the future, on rows made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.stats.foresight import History, earlier_rows, foresight_of, rank_area

DAYS = np.array(["2025-01-01", "2025-02-01", "2025-03-01"], dtype="datetime64[D]")


def test_an_earlier_row_is_the_newest_whose_outcome_was_known() -> None:
    entity, day = np.repeat([4, 9], 3), np.tile(DAYS, 2)
    assert earlier_rows(entity, day, 28).tolist() == [-1, 0, 1, -1, 3, 4]
    assert earlier_rows(entity, day, 40).tolist() == [-1, -1, 0, -1, -1, 3]
    assert earlier_rows(entity, day, 90).tolist() == [-1] * 6


def test_an_area_counts_ties_half() -> None:
    assert rank_area(np.array([1.0, 2, 2, 3]), np.array([0, 0, 1, 1])) == pytest.approx(0.875)


def test_a_value_that_counts_days_down_does_not_move_and_one_that_reacts_does() -> None:
    people = 60
    entity, day = np.repeat(np.arange(people), 3), np.tile(DAYS, people)
    label = (np.arange(people * 3) * 7 % 5 < 2).astype(np.int64)
    down = np.repeat(np.arange(people) * 10.0, 3) - day.astype(np.int64)
    reacts = label * 3.0 + np.arange(people * 3) % 4
    before = earlier_rows(entity, day, 28)
    rows = History(entity, day, label, before, day == DAYS[-1])
    found = foresight_of(["down", "reacts"], np.column_stack([down, reacts]).astype(np.float32), rows)
    assert found[0].moving == 0
    assert found[1].moving is not None
    assert found[1].moving > 0.3
    assert found[1].alone > found[0].alone
    assert {feature.oddness for feature in found} == {None}
