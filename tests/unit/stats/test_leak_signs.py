"""Signs that a feature knows what came after its date, each told apart by its reason."""

from __future__ import annotations

from dataclasses import replace

from propensity.stats.foresight import Change, Foresight
from propensity.stats.leak_signs import foreseen

STRONG, CERTAIN = 0.75, 0.95
STILL = Foresight(
    "still",
    alone=0.80,
    early=0.80,
    rise=Change(0.0, 0.01),
    behind=0.80,
    fade=Change(0.0, 0.01),
    towards=0.0,
    together=1.0,
    together_alone=1.0,
    exclusion=0.0,
    none=0.0,
)


def reasons(*features: Foresight) -> dict[str, str]:
    return foreseen(features, strong=STRONG, certain=CERTAIN)


def test_each_way_of_knowing_the_future_is_told_apart() -> None:
    assert reasons(
        STILL,
        replace(STILL, name="newest", early=0.65, rise=Change(0.15, 0.02)),
        replace(STILL, name="coming", behind=0.60, fade=Change(0.20, 0.02)),
        replace(STILL, name="total", alone=0.65, together=0.90, exclusion=4.0),
        replace(STILL, name="group", alone=0.60, none=80.0),
    ) == {
        "newest": "AUC 0.8 alone, and 0.65 on earlier dates; it never moves towards the outcome",
        "coming": "AUC 0.8 alone, of coming outcomes, and 0.6 of past ones; it never moves towards the outcome",
        "total": "AUC 0.65 alone; by its values a customer's outcomes exclude each other, as if it had counted them; "
        "it never moves towards the outcome",
        "group": "AUC 0.6 alone; one of its groups has no outcome on any date where 80 would be usual; it never moves "
        "towards the outcome",
    }


def test_what_moves_towards_the_outcome_is_no_leak_whatever_else_it_shows() -> None:
    shown = replace(STILL, rise=Change(0.2, 0.02), early=0.6, fade=Change(0.2, 0.02), behind=0.6, exclusion=5.0)
    assert reasons(replace(shown, alone=0.93, towards=0.05, none=90.0)) == {}


def test_of_customers_seen_once_only_the_certain_is_held() -> None:
    once = replace(STILL, towards=None)
    assert reasons(replace(once, alone=0.94)) == {}
    assert reasons(replace(once, alone=0.96)) == {"still": "AUC 0.96 alone on the newest date"}
    grouped = replace(once, alone=0.90, none=40.0)
    assert set(reasons(grouped)) == {"still"}
