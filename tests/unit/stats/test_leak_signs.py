"""Which evidence about a feature says that it knows what came after its date, on evidence made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from propensity.stats.foresight import Change, Foresight
from propensity.stats.leak_signs import Shuffled, doubtful, foreseen, reversing

STRONG, CERTAIN = 0.75, 0.95
# a strong trait that never changes: nothing else speaks against it
TRAIT = Foresight(
    name="trait",
    alone=0.8,
    early=0.79,
    rise=Change(0.01, 0.01),
    behind=0.79,
    fade=Change(0.01, 0.01),
    towards=0.0,
    together=0.02,
    together_alone=0.2,
    exclusion=0.0,
    none=0.0,
)
SIGNS: dict[str, dict[str, Any]] = {
    "0.7 on earlier dates": {"early": 0.7, "rise": Change(0.1, 0.04)},
    "0.55 on earlier dates": {"alone": 0.66, "early": 0.55, "rise": Change(0.11, 0.03)},
    "of coming outcomes, and 0.65 of past ones": {"behind": 0.65, "fade": Change(0.15, 0.05)},
    "a customer's outcomes exclude each other": {"together": -0.05, "exclusion": 3.0},
    "no outcome on any date where 40 would be usual": {"alone": 0.6, "none": 40.0},
}
# the same, each a little below its limit
SLIGHT: dict[str, dict[str, Any]] = {
    "a small rise": {"early": 0.73, "rise": Change(0.07, 0.01)},
    "a rise by chance": {"early": 0.7, "rise": Change(0.1, 0.06)},
    "a rise of a weak feature by two errors": {"alone": 0.7, "early": 0.58, "rise": Change(0.12, 0.05)},
    "a small fade": {"behind": 0.71, "fade": Change(0.09, 0.01)},
    "a fade by chance": {"behind": 0.65, "fade": Change(0.15, 0.08)},
    "a fade of a weak feature": {"alone": 0.7, "behind": 0.5, "fade": Change(0.2, 0.05)},
    "an exclusion by chance": {"together": -0.05, "exclusion": 2.4},
    "an exclusion that all customers have": {"together": -0.05, "together_alone": -0.04, "exclusion": 3.0},
    "a group in which few are missing": {"none": 29.0},
    "a group of a feature that says nothing": {"alone": 0.54, "none": 40.0},
}


def held(feature: Foresight) -> str | None:
    return foreseen([feature], strong=STRONG, certain=CERTAIN).get(feature.name)


@pytest.mark.parametrize("reason", SIGNS)
def test_each_way_of_knowing_the_future_is_told_apart(reason: str) -> None:
    said = held(replace(TRAIT, **SIGNS[reason]))
    assert said is not None
    assert reason in said
    assert said.endswith("it never moves towards the outcome")


@pytest.mark.parametrize("what", SLIGHT)
def test_what_may_be_chance_or_a_trait_is_no_leak(what: str) -> None:
    assert held(TRAIT) is None
    assert held(replace(TRAIT, **SLIGHT[what])) is None


@pytest.mark.parametrize("reason", SIGNS)
def test_what_moves_towards_the_outcome_is_no_leak_whatever_else_it_shows(reason: str) -> None:
    assert held(replace(TRAIT, **SIGNS[reason], towards=0.05)) is None


def test_of_customers_seen_once_only_the_certain_is_held() -> None:
    once = replace(TRAIT, early=None, rise=None, behind=None, fade=None, towards=None)
    assert held(replace(once, alone=0.94)) is None
    assert held(replace(once, alone=0.96)) == "AUC 0.96 alone on the newest date"
    assert held(replace(once, alone=0.84, none=40.0)) is None
    grouped = held(replace(once, alone=0.86, none=40.0))
    assert grouped == "AUC 0.86 alone, and one of its groups has no outcome where 40 would be usual"


def test_the_model_is_asked_about_still_features_that_say_something() -> None:
    others = [
        replace(TRAIT, name="weak", alone=0.59),
        replace(TRAIT, name="moving", towards=0.05),
        replace(TRAIT, name="once", towards=None),
    ]
    assert doubtful([TRAIT, *others]) == ["trait"]


def test_a_feature_is_held_where_the_others_mislead_without_it() -> None:
    def said(area: float, *, whole: float = 0.82, least_drop: float = 0.1, **other: Any) -> str | None:
        return reversing(replace(TRAIT, **other), Shuffled(area, 0.02, whole), least_drop)

    told = said(0.46)
    assert told is not None
    assert "AUC 0.8 alone and 0.82 with the others, which say nothing without it (0.46)" in told
    assert said(0.48) is None  # one error below chance
    assert said(0.46, least_drop=0.4) is None
    # the more the others add to it, the less they may say alone
    assert said(0.48, whole=0.86) is not None
    assert said(0.51, whole=0.86) is None
    assert said(0.51, whole=0.91) is not None
    assert said(0.51, whole=0.91, together=0.1) is None
    assert said(0.53, whole=0.91) is None
