"""Places on a tenant's list: mid-ranks that equal scores share, and no place where it would say nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.stats.list_places import UNRANKED, Ranks, cuts_of, ranks_of
from propensity.stats.ranking import decile, mid_ranks, percentile, rank


def cut(scores: np.ndarray) -> list[tuple[int, float]]:
    places = mid_ranks(scores)
    return [(int(place), float(scores[places == place].min())) for place in np.unique(places)]


def ranks(scores: np.ndarray, heuristic: bool = False) -> Ranks:
    most = int(np.unique(scores, return_counts=True)[1].max())
    return ranks_of(
        len(scores), most, cut(scores), heuristic=heuristic, few=scores.tolist() if len(scores) < 20 else ()
    )


def placed(scores: np.ndarray, by: Ranks) -> tuple[list[int | None], set[str | None]]:
    places, reasons = rank(np.zeros(len(scores), dtype=np.int32), ["t"], scores, {"t": by})
    return decile(places).tolist(), {None if code < 0 else UNRANKED[code] for code in reasons.tolist()}


@pytest.mark.parametrize("customers", [20, 25, 33, 50, 100, 101, 999])
def test_a_list_of_twenty_and_more_has_every_decile_and_each_holds_about_a_tenth(customers: int) -> None:
    scores = np.random.default_rng(customers).random(customers)
    found, reasons = placed(scores, ranks(scores))
    sizes = Counter(found)
    assert set(sizes) == set(range(1, 11))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert found[int(np.argmax(scores))] == 10
    assert found[int(np.argmin(scores))] == 1
    assert reasons == {None}


@pytest.mark.parametrize("customers", [1, 2, 3, 5, 7, 9, 10, 11, 15, 19])
def test_fewer_than_twenty_customers_have_no_place_and_it_says_why(customers: int) -> None:
    scores = np.random.default_rng(customers).random(customers)
    assert placed(scores, ranks(scores)) == ([None] * customers, {"few_customers"})


def test_constant_scores_have_no_place_instead_of_the_lowest() -> None:
    assert placed(np.full(100, 0.05), ranks(np.full(100, 0.05))) == ([None] * 100, {"ties"})
    spread = np.random.default_rng(1).random(100)
    assert placed(spread, ranks(spread, heuristic=True)) == ([None] * 100, {"heuristic"})


def test_more_than_half_tied_have_no_place_and_half_have() -> None:
    rest = np.linspace(0.02, 0.05, 400)
    assert placed(np.r_[np.full(600, 0.01), rest], ranks(np.r_[np.full(600, 0.01), rest]))[1] == {"ties"}
    half = np.r_[np.full(400, 0.01), rest]
    assert placed(half, ranks(half))[1] == {None}


def test_a_fifth_that_is_tied_at_the_top_shares_the_top_deciles_middle() -> None:
    scores = np.r_[np.linspace(0.01, 0.05, 800), np.full(200, 0.2)]
    found, _ = placed(scores, ranks(scores))
    # their mid-rank is the ninetieth percentile: as many of them stand above it as below it
    assert set(found[800:]) == {10}
    assert Counter(found[:800]) == dict.fromkeys(range(1, 9), 100)


def test_over_many_small_lists_no_tenth_is_fuller_than_the_others() -> None:
    random, total = np.random.default_rng(0), Counter[int | None]()
    for size in random.integers(1, 40, 300):
        scores = random.random(size)
        total.update(placed(scores, ranks(scores))[0])
    ranked = sum(count for place, count in total.items() if place is not None)
    assert total[None] > 0
    for place in range(1, 11):
        assert total[place] / ranked == pytest.approx(0.1, abs=0.015), place
    high, low = (sum(total[place] for place in third) / ranked for third in ((8, 9, 10), (1, 2, 3)))
    assert high == pytest.approx(low, abs=0.02)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.1000001, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=60))
def test_the_cut_points_give_every_score_its_mid_rank(values: list[float]) -> None:
    scores = np.array(values)
    cuts = cuts_of(cut(scores))
    assert len(cuts) == 99
    assert list(cuts) == sorted(cuts)
    assert percentile(scores, cuts).tolist() == mid_ranks(scores).tolist()
    by_hand = [
        100 * (2 * sum(other < one for other in values) + values.count(one)) // (2 * len(values)) + 1 for one in values
    ]
    assert mid_ranks(scores).tolist() == by_hand


def test_a_tenant_that_nobody_of_its_own_is_known_of_is_never_ranked_among_others() -> None:
    by = {"a": ranks(np.linspace(0.1, 0.9, 50)), "new": ranks(np.array([0.95, 0.5]))}
    tenants, scores = np.array([1, 0, 1], dtype=np.int32), np.array([0.95, 0.95, 0.5])
    places, reasons = rank(tenants, ["a", "new"], scores, by)
    assert places.tolist() == [None, 100, None]
    assert [UNRANKED[code] if code >= 0 else None for code in reasons.tolist()] == [
        "few_customers",
        None,
        "few_customers",
    ]


def test_cut_points_come_back_as_they_were_written_and_those_of_early_runs_rank_as_they_did() -> None:
    for made in (ranks(np.linspace(0, 1, 40)), ranks(np.array([0.2])), ranks(np.full(30, 0.1))):
        assert Ranks.from_json(made.to_json()) == made
    scores = np.random.default_rng(3).random(1_000)
    early = np.quantile(scores, np.arange(1, 100) / 100, method="inverted_cdf")
    read = Ranks.from_json(early.tolist())
    assert percentile(scores, read.cuts).tolist() == (np.searchsorted(early, scores, side="left") + 1).tolist()
    assert Ranks.from_json([0.1] * 99).unranked == "ties"
