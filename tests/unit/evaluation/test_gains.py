"""Gains of one list over another of equal size, in conversions and money; and why a candidate was not chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.evaluation.domain.gains import Listed, Only, gain_to_json, gained, list_to_json
from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import Value
from propensity.stats.figures import log_loss, scored
from propensity.stats.figures import log_loss_gain as gain
from propensity.training.domain.selection import Entrant
from propensity.training.domain.selection import placings as standing

EUROS = Value(per_conversion=500, cost_per_contact=2, currency="EUR")


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_a_gain_is_what_only_one_of_the_lists_has(drawn: tuple[int, int, int]) -> None:
    size, mine, other = drawn
    found = gained(Only(size, mine), Only(size, other))
    assert found.value == pytest.approx(mine - other)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    back = gained(Only(size, other), Only(size, mine))
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_equal_lists_gain_nothing_and_lists_of_other_sizes_are_not_compared() -> None:
    assert gained(Only(0, 0), Only(0, 0)).value == 0
    with pytest.raises(ConflictError, match="differ in 3 and 4"):
        gained(Only(3, 1), Only(4, 1))


def test_money_is_conversions_less_contacts_for_all_lists_and_for_each() -> None:
    said = list_to_json(Listed(size=100, expected=9.5, hits=10), EUROS, lists=4)
    assert said["expected_profit"] == pytest.approx(9.5 * 500 - 200)
    assert said["profit"]["value"] == pytest.approx(10 * 500 - 200)
    assert said["profit_per_list"]["value"] == pytest.approx((10 * 500 - 200) / 4)
    assert said["profit"]["low"] < said["profit"]["value"] < said["profit"]["high"]
    more = gain_to_json(gained(Only(50, 8), Only(50, 3)), EUROS, lists=5)
    assert more["profit"]["value"] == pytest.approx(2500)
    assert more["conversions_per_list"]["value"] == pytest.approx(1)
    assert "profit" not in gain_to_json(gained(Only(50, 8), Only(50, 3)), None, lists=5)


def test_a_gain_in_log_loss_is_the_difference_of_the_two() -> None:
    rows = [(0.1, 0.2, 50, 9), (0.5, 0.4, 50, 21)]
    before, after = (log_loss(scored((row[place], row[2], row[3]) for row in rows)) for place in (0, 1))
    assert gain(rows).value == pytest.approx(before.value - after.value)
    assert gain(rows).n == 100


def test_every_candidate_has_its_reason() -> None:
    linear = Entrant("logistic_regression", (0.501, 0.399, 0.452))
    trees = Entrant("hist_gradient_boosting", (0.500, 0.400, 0.450))
    forest = Entrant("random_forest", (0.600, 0.500, 0.551))
    said = {one.family: one for one in standing([linear, trees, forest], "logistic_regression", "one_standard_error")}
    assert said["logistic_regression"].why == (
        "chosen: within one standard error of hist_gradient_boosting, and simpler"
    )
    assert "the best, but logistic_regression is simpler" in said["hist_gradient_boosting"].why
    assert said["random_forest"].why.startswith("not chosen: log loss 0.10033 above hist_gradient_boosting")
    assert said["hist_gradient_boosting"].gap == 0
    [alone] = standing([trees], "hist_gradient_boosting", "best")
    assert alone.why == "chosen: the best"
