"""What a search may cost: how many settings fit, and which forests would be too expensive to score with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.kernel.errors import PackError
from propensity.pack.domain.model_spec import Candidate, Family
from propensity.training.domain.cost import affordable, check_candidate, fit_seconds, search_seconds
from propensity.training.domain.search import Setting


def settings(count: int) -> list[Setting]:
    return [Setting({"max_iter": 10 * (number + 1)}, 3) for number in range(count)]


def price(setting: Setting) -> float:
    return float(setting.parameters["max_iter"])


@given(st.integers(1, 60), st.integers(1_000, 1_000_000), st.floats(1, 50_000))
def test_as_many_settings_are_tried_as_the_budget_pays_for_and_one_at_least(
    count: int, rows: int, budget: float
) -> None:
    made = settings(count)
    kept = affordable(made, rows, price, budget)
    assert 1 <= kept <= count
    assert kept == 1 or search_seconds([price(one) for one in made[:kept]], rows) <= budget
    if kept < count:
        assert search_seconds([price(one) for one in made[: kept + 1]], rows) > budget


def test_halving_costs_less_than_trying_everything_on_all_rows() -> None:
    prices = [1.0] * 27
    assert search_seconds(prices, 1_000_000) == pytest.approx(27 / 9 + 9 / 3 + 3 + 1)
    assert search_seconds(prices, 1_000) == pytest.approx(27 + 1)


@pytest.mark.parametrize("family", ["logistic_regression", "hist_gradient_boosting", "random_forest"])
def test_more_rows_cost_more_until_a_tree_has_its_share(family: Family) -> None:
    few, many, more = (fit_seconds(family, {}, rows, 40) for rows in (10_000, 150_000, 1_000_000))
    assert 0 < few < many < more


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"grid": [{"n_estimators": 101}]}, "n_estimators 101: expected a number not above 100"),
        ({"grid": [{"max_depth": None}]}, "max_depth None: expected a number not above 10"),
        ({"space": {"max_depth": [4, 11]}}, "max_depth 11"),
        ({"space": {"min_samples_leaf": {"low": 20, "high": 90, "whole": True}}}, "min_samples_leaf 20.* not below 50"),
    ],
)
def test_a_forest_that_would_be_too_dear_to_score_with_is_refused(stated: dict[str, object], said: str) -> None:
    with pytest.raises(PackError, match=f"model buy: candidate random_forest, {said}"):
        check_candidate(Candidate.model_validate({"family": "random_forest", **stated}), "model buy")


@pytest.mark.parametrize(
    "stated",
    [
        {"grid": [{"max_depth": None}]},
        {"space": {"max_depth": [4, 11]}},
        {"space": {"min_samples_leaf": {"low": 20, "high": 90, "whole": True}}},
    ],
)
def test_what_is_too_dear_in_a_forest_is_not_in_boosted_trees(stated: dict[str, object]) -> None:
    check_candidate(Candidate.model_validate({"family": "hist_gradient_boosting", **stated}), "model buy")


@pytest.mark.parametrize(
    ("family", "stated", "said"),
    [
        ("hist_gradient_boosting", {"grid": [{"min_sample_leaf": 9}]}, "min_sample_leaf: expected one of .*_leaf"),
        ("hist_gradient_boosting", {"grid": [{"n_estimators": 101}]}, "n_estimators: expected one of .*max_iter"),
        ("hist_gradient_boosting", {"grid": [{"learning_rate": "0.06"}]}, "learning_rate '0.06': .*valid number"),
        ("hist_gradient_boosting", {"space": {"max_iter": {"low": 40, "high": 200}}}, "max_iter 40.0: .*`whole: true`"),
        ("logistic_regression", {"grid": [{"C": 0.1}, {"C": -1.0}]}, "C -1.0: .*greater than 0"),
        ("logistic_regression", {"space": {"l1_ratio": [0, 1.5]}}, "l1_ratio 1.5: .*less than or equal to 1"),
        ("random_forest", {"space": {"max_features": ["sqrt", "most"]}}, "max_features 'most': .*'sqrt' or 'log2'"),
    ],
)
def test_a_parameter_that_its_family_does_not_take_is_refused_by_name(
    family: str, stated: dict[str, object], said: str
) -> None:
    with pytest.raises(PackError, match=f"model buy: candidate {family}, {said}"):
        check_candidate(Candidate.model_validate({"family": family, **stated}), "model buy")


def test_a_forest_within_the_bounds_is_taken() -> None:
    check_candidate(
        Candidate.model_validate(
            {
                "family": "random_forest",
                "grid": [{"n_estimators": 100, "max_features": 0.5}],
                "space": {"max_depth": [3]},
            }
        ),
        "model buy",
    )


@pytest.mark.parametrize("stated", [{"grid": [{"early_stopping": True}]}, {"space": {"tol": [1e-3]}}])
def test_boosted_trees_are_not_stopped_by_rows_drawn_at_random(stated: dict[str, object]) -> None:
    with pytest.raises(
        PackError, match=r"model buy: candidate hist_gradient_boosting, (early_stopping|tol): .*patience"
    ):
        check_candidate(Candidate.model_validate({"family": "hist_gradient_boosting", **stated}), "model buy")
    check_candidate(Candidate.model_validate({"family": "logistic_regression", "grid": [{"tol": 1e-3}]}), "model buy")
