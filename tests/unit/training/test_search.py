"""Settings are drawn from a space and halved: what is tried, in which order, and what is left."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from propensity.pack.domain.model_spec import Candidate, Range
from propensity.training.domain.search import FACTOR, MIN_ROWS, Setting, Trial, halve, settings_of
from propensity.training.domain.search import halving_shares as shares
from tests.kit.specs import model_spec

SPACE = Candidate.model_validate(
    {
        "family": "logistic_regression",
        "grid": [{"C": 1.0}],
        "space": {
            "C": {"low": 0.0001, "high": 10, "log": True},
            "max_iter": {"low": 100, "high": 900, "whole": True},
            "l1_ratio": [0, 0.5],
        },
        "draws": 40,
    }
)


@given(st.integers(0, 1_000), st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
def test_what_is_drawn_lies_in_the_space_and_is_the_same_for_the_same_seed(seed: int, dates: list[int]) -> None:
    found = settings_of(SPACE, dates, seed)
    assert found == settings_of(SPACE, dates, seed)
    assert found[: len(dates)] == [Setting({"C": 1.0}, count) for count in dates]
    drawn = found[len(dates) :]
    assert 30 <= len(drawn) <= 40
    for one in drawn:
        assert one.dates in dates
        assert 0.0001 <= one.parameters["C"] <= 10
        assert one.parameters["l1_ratio"] in (0, 0.5)
        assert isinstance(one.parameters["max_iter"], int)
        assert 100 <= one.parameters["max_iter"] <= 900


def test_a_logarithmic_range_gives_each_order_of_magnitude_its_share() -> None:
    wide = SPACE.model_copy(update={"draws": 1_000})
    orders = [math.floor(math.log10(one.parameters["C"])) for one in settings_of(wide, [3], 1)[1:]]
    assert {order: 150 < orders.count(order) < 250 for order in (-4, -3, -2, -1, 0)} == dict.fromkeys(
        range(-4, 1), True
    )


@given(st.integers(1, 200), st.integers(1, 10_000_000))
def test_shares_rise_to_all_rows_and_none_is_too_small_to_tell(settings: int, rows: int) -> None:
    found = shares(settings, rows)
    assert found[-1] == 1.0
    assert found == sorted(set(found))
    assert all(share * rows >= MIN_ROWS for share in found[:-1])
    # after each round a third is left, so that the last one has few
    if len(found) > 1:
        assert settings / FACTOR ** (len(found) - 2) > FACTOR


def test_halving_keeps_the_best_third_of_each_rung_and_ties_in_their_order() -> None:
    settings = [Setting({"C": float(number)}, 1) for number in range(27)]
    seen: list[tuple[float, float]] = []

    def measure(setting: Setting, share: float) -> Trial:
        given = float(setting.parameters["C"])
        seen.append((given, share))
        return Trial(setting, share, abs(given // 2 - 5))

    trials, left = halve(settings, 9 * MIN_ROWS, measure)
    assert [one.parameters["C"] for one in left] == [10.0, 11.0, 8.0]
    assert [(trial.setting.parameters["C"], trial.share) for trial in trials] == seen
    assert [share for _, share in seen] == pytest.approx([1 / 9] * 27 + [1 / 3] * 9)
    # too few rows to judge on a share of them: all settings are tried on all rows
    assert halve(settings, MIN_ROWS, measure) == ([], settings)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"C": {"low": 1, "high": 1}}, "expected low < high"),
        ({"C": {"low": 0, "high": 1, "log": True}}, "low > 0 with log"),
        ({"C": []}, "space: C: expected values"),
    ],
)
def test_a_space_that_nothing_can_be_drawn_from_is_refused(space: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Candidate.model_validate({"family": "logistic_regression", "space": space})


def test_a_range_of_whole_numbers_includes_both_ends() -> None:
    ends = Candidate(family="random_forest", space={"max_depth": Range(low=2, high=4, whole=True)}, draws=100)
    found = {one.parameters.get("max_depth") for one in settings_of(ends, [1], 3)}
    assert found == {None, 2, 3, 4}


def test_a_family_stands_among_the_candidates_once() -> None:
    twice = [{"family": "random_forest"}, {"family": "logistic_regression"}, {"family": "random_forest"}]
    with pytest.raises(ValueError, match="candidates: random_forest stands there more than once"):
        model_spec(candidates=twice)
