"""What a feature seems to know of the future, on rows made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.stats.foresight import Foresight, History, area_error, earlier_rows, foresight_of, rank_area

DAYS = np.array(["2025-01-01", "2025-02-01", "2025-03-01"], dtype="datetime64[D]")


def test_an_earlier_row_is_the_newest_whose_outcome_was_known() -> None:
    entity, day = np.repeat([4, 9], 3), np.tile(DAYS, 2)
    assert earlier_rows(entity, day, 28).tolist() == [-1, 0, 1, -1, 3, 4]
    assert earlier_rows(entity, day, 40).tolist() == [-1, -1, 0, -1, -1, 3]
    assert earlier_rows(entity, day, 90).tolist() == [-1] * 6


def test_an_area_counts_ties_half() -> None:
    assert rank_area(np.array([1.0, 2, 2, 3]), np.array([0, 0, 1, 1])) == pytest.approx(0.875)


PEOPLE = 400
LONG = np.datetime64("2025-01-01") + np.arange(6) * np.timedelta64(31, "D")


def world(seed: int = 1) -> tuple[History, np.ndarray, np.ndarray]:
    """(rows, the outcomes (people, dates), each row's date) of people whose outcomes come at rates of their own."""
    chance = np.random.default_rng(seed)
    rate = chance.beta(1, 3, PEOPLE)
    outcomes = chance.random((PEOPLE, len(LONG))) < rate[:, None]
    entity, day = np.repeat(np.arange(PEOPLE), len(LONG)), np.tile(LONG, PEOPLE)
    rows = History(entity, day, outcomes.reshape(-1).astype(np.int64), earlier_rows(entity, day, 31), day == LONG[-1])
    return rows, outcomes, rate


def evidence(rows: History, values: np.ndarray) -> Foresight:
    return foresight_of(["one"], values.reshape(-1, 1).astype(np.float32), rows)[0]


def test_a_sign_that_appears_before_the_outcome_moves_towards_it_and_one_that_was_always_there_does_not() -> None:
    rows, outcomes, _ = world()
    appears = evidence(rows, outcomes.astype(float))
    last = np.where(outcomes.any(axis=1), outcomes.shape[1] - np.argmax(outcomes[:, ::-1], axis=1), 0)
    newest = evidence(rows, np.repeat(last.astype(float), len(LONG)))
    left = last[:, None] - np.arange(len(LONG))
    assert appears.towards is not None
    assert appears.towards > 0.2
    assert (newest.towards, evidence(rows, left.astype(float)).towards) == (0, 0)
    assert newest.alone == 1
    assert newest.early == pytest.approx(0.65, abs=0.1)
    assert newest.rise is not None
    assert newest.rise.above(0.1, 3)


def test_a_day_that_was_agreed_long_before_moves_towards_the_outcome_as_time_passes() -> None:
    rows, outcomes, _ = world()
    first = np.where(outcomes.any(axis=1), np.argmax(outcomes, axis=1), 9)
    days_left = np.abs(first[:, None] - np.arange(len(LONG))).astype(float)
    assert (evidence(rows, days_left).towards or 0) > 0.1


def test_by_a_total_a_persons_outcomes_exclude_each_other_and_by_a_trait_they_do_not() -> None:
    rows, outcomes, rate = world()
    total = evidence(rows, np.repeat(outcomes.sum(axis=1).astype(float), len(LONG)))
    trait = evidence(rows, np.repeat(rate, len(LONG)))
    assert total.together_alone == trait.together_alone > 0.1
    assert total.together < 0
    assert total.exclusion > 2.5
    assert abs(trait.together) < 0.05
    assert abs(trait.exclusion) < 2


def test_a_group_without_any_outcome_says_how_many_are_missing() -> None:
    rows, outcomes, _ = world()
    ever = outcomes.any(axis=1)
    found = evidence(rows, np.repeat(ever.astype(float), len(LONG)))
    assert found.none == pytest.approx((~ever).sum() * len(LONG) * outcomes.mean())
    assert evidence(rows, np.repeat(np.arange(PEOPLE) % 2 * 1.0, len(LONG))).none == 0


def test_of_people_seen_once_no_step_is_known() -> None:
    chance = np.random.default_rng(2)
    label = (chance.random(600) < 0.3).astype(np.int64)
    day = np.repeat(DAYS, 200)
    rows = History(np.arange(600), day, label, np.full(600, -1), day == DAYS[-1])
    found = evidence(rows, label + chance.normal(0, 1, 600))
    assert (found.towards, found.behind, found.fade) == (None, None, None)
    assert (found.together, found.exclusion) == (0, 0)


def test_too_few_outcomes_are_no_evidence() -> None:
    rows, outcomes, _ = world()
    few = History(rows.entity, rows.day, rows.label * (np.arange(len(rows.label)) < 30), rows.before, rows.newest)
    found = evidence(few, outcomes.astype(float))
    assert (found.alone, found.towards, found.none) == (0.5, None, 0)


def test_an_area_is_never_surer_than_half_a_row() -> None:
    labels = np.array([1] * 10 + [0] * 90)
    assert area_error(1.0, labels) > 0
    assert area_error(0.75, labels) == pytest.approx(0.092, abs=0.005)  # half-width 0.18 at 10 positives
