"""Signs that a feature knows what came after its date.

The limits stand between planted leaks and honest features (docs/decisions/0111-leaks-never-move-towards-outcomes.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from propensity.stats.foresight import Foresight

_STILL = 0.02  # of the steps; strong honest features move towards the outcome in 0.05 and more
_RISE, _SURE_RISE = 0.08, 0.1  # of AUC since the older half of the dates; strong traits have 0.05 and less
_FADE = 0.1  # by which the AUC of coming outcomes is above that of past ones
_ERRORS, _SURE_ERRORS = 2.0, 3.0
_WEAK = 0.65  # AUC alone of a feature whose rise is sure
_EXCLUDING = 0.6  # AUC alone of a feature by whose values an entity's outcomes exclude each other
_APART = 0.03  # by which it takes them apart; strong traits bring the dependence to 0, and not below
_EXCLUSION = 2.5
_NONE, _NONE_AUC, _NONE_STRONG = 30.0, 0.55, 0.85
_REVERSED = 1.5  # standard errors below chance; with strong traits shuffled the AUC was 0.52 and more
# the same where the others add so much to what the feature says alone; above chance where by its values no dependence
# between a customer's dates is left, so that the others and the feature only mean something together
_GAIN, _GAIN_REVERSED = 0.05, 0.75
_MORE_GAIN, _NO_LONGER = 0.1, 0.25


@dataclass(frozen=True, slots=True)
class Shuffled:
    """The model's AUC with the values of some features shuffled, its standard error, and the AUC as it is."""

    area: float
    error: float
    whole: float

    @property
    def drop(self) -> float:
        return self.whole - self.area


def _number(value: float) -> str:
    """Return an AUC as a sentence has it."""
    return f"{value:.3g}"


def foreseen(found: Iterable[Foresight], *, strong: float, certain: float) -> dict[str, str]:
    """Return the features that seem to know the future, each with the reason as a part of a sentence.

    `strong` is the AUC alone from which a feature is looked at, and `certain` the one above which it needs no date to
    speak against it.
    """
    return {feature.name: reason for feature in found if (reason := _reason(feature, strong, certain))}


def _reason(feature: Foresight, strong: float, certain: float) -> str | None:
    alone = f"AUC {_number(feature.alone)} alone"
    if feature.towards is None:
        if feature.alone > certain:
            return f"{alone} on the newest date"
        if feature.none >= _NONE and feature.alone >= _NONE_STRONG:
            return f"{alone}, and one of its groups has no outcome where {feature.none:.0f} would be usual"
        return None
    if feature.towards >= _STILL:
        return None
    still, known = "it never moves towards the outcome", feature.alone >= strong
    if feature.rise and feature.early is not None:
        sure = feature.alone >= _WEAK and feature.rise.above(_SURE_RISE, _SURE_ERRORS)
        if sure or (known and feature.rise.above(_RISE, _ERRORS)):
            return f"{alone}, and {_number(feature.early)} on earlier dates; {still}"
    if feature.fade and feature.behind is not None and known and feature.fade.above(_FADE, _ERRORS):
        return f"{alone}, of coming outcomes, and {_number(feature.behind)} of past ones; {still}"
    apart = feature.together_alone - feature.together
    if feature.alone >= _EXCLUDING and feature.exclusion >= _EXCLUSION and apart >= _APART:
        return f"{alone}; by its values a customer's outcomes exclude each other, as if it had counted them; {still}"
    if feature.none >= _NONE and feature.alone >= _NONE_AUC:
        return f"{alone}; one of its groups has no outcome on any date where {feature.none:.0f} would be usual; {still}"
    return None


def doubtful(found: Iterable[Foresight]) -> list[str]:
    """Return the features of which only the model can tell whether they count outcomes that are still to come."""
    return [
        feature.name
        for feature in found
        if feature.towards is not None and feature.towards < _STILL and feature.alone >= _EXCLUDING
    ]


def reversing(feature: Foresight, shuffled: Shuffled, least_drop: float) -> str | None:
    """Return the reason against a doubtful feature, by the model's AUC with its values shuffled; None without one.

    A total of all outcomes makes past ones count against a customer: the more there were, the fewer are to come. So the
    other features mislead once the total is gone.
    """
    gain, errors = shuffled.whole - feature.alone, _REVERSED
    if gain >= _MORE_GAIN and feature.together <= _NO_LONGER * feature.together_alone:
        errors = -_GAIN_REVERSED
    elif gain >= _GAIN:
        errors = _GAIN_REVERSED
    if shuffled.area > 0.5 - errors * shuffled.error or shuffled.drop <= least_drop:
        return None
    return (
        f"AUC {_number(feature.alone)} alone and {_number(shuffled.whole)} with the others, which say nothing without "
        f"it ({_number(shuffled.area)}), as if it had counted outcomes to come; it never moves towards the outcome"
    )
