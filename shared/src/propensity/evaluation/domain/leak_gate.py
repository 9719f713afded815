"""The gate on features that seem to know what came after their date.

The limits stand between planted leaks and honest features (docs/decisions/0111-leaks-never-move-towards-outcomes.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from propensity.evaluation.domain.gates import NAMED, Gate, number
from propensity.pack.domain.model_spec import Gates
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


def foreseen(found: Iterable[Foresight], limits: Gates) -> dict[str, str]:
    """Return the features that seem to know the future, each with the reason as a part of a sentence."""
    return {feature.name: reason for feature in found if (reason := _reason(feature, limits))}


def _reason(feature: Foresight, limits: Gates) -> str | None:
    alone = f"AUC {number(feature.alone)} alone"
    if feature.towards is None:
        if feature.alone > limits.leak_auc:
            return f"{alone} on the newest date"
        if feature.none >= _NONE and feature.alone >= _NONE_STRONG:
            return f"{alone}, and one of its groups has no outcome where {feature.none:.0f} would be usual"
        return None
    if feature.towards >= _STILL:
        return None
    still, strong = "it never moves towards the outcome", feature.alone >= limits.leak_constant_auc
    if feature.rise and feature.early is not None:
        sure = feature.alone >= _WEAK and feature.rise.above(_SURE_RISE, _SURE_ERRORS)
        if sure or (strong and feature.rise.above(_RISE, _ERRORS)):
            return f"{alone}, and {number(feature.early)} on earlier dates; {still}"
    if feature.fade and feature.behind is not None and strong and feature.fade.above(_FADE, _ERRORS):
        return f"{alone}, of coming outcomes, and {number(feature.behind)} of past ones; {still}"
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


def reversing(feature: Foresight, shuffled: Shuffled, limits: Gates) -> str | None:
    """Return the reason against a doubtful feature, by the model's AUC with its values shuffled; None without one.

    A total of all outcomes makes past ones count against a customer: the more there were, the fewer are to come. So the
    other features mislead once the total is gone.
    """
    gain, errors = shuffled.whole - feature.alone, _REVERSED
    if gain >= _MORE_GAIN and feature.together <= _NO_LONGER * feature.together_alone:
        errors = -_GAIN_REVERSED
    elif gain >= _GAIN:
        errors = _GAIN_REVERSED
    if shuffled.area > 0.5 - errors * shuffled.error or shuffled.drop <= limits.leak_drop:
        return None
    return (
        f"AUC {number(feature.alone)} alone and {number(shuffled.whole)} with the others, which say nothing without it "
        f"({number(shuffled.area)}), as if it had counted outcomes to come; it never moves towards the outcome"
    )


def leak_model(
    reasons: Mapping[str, str],
    drop: float,
    rows: int,
    found: Sequence[Foresight],
    at_once: Sequence[str],
    limits: Gates,
) -> Gate:
    """Return a gate on the features that seem to know the future, by their number.

    `drop` is what the model's AUC loses where the values of all of them are shuffled together. `at_once` are the
    datasets of which no row had arrived by the newest date.
    """
    if reasons:
        listed = "; ".join(f"{name} ({reason})" for name, reason in sorted(reasons.items()))
        said = (
            f"{len(reasons)} features seem to know what came after their date: {listed}; without what they say the "
            f"model's AUC falls by {number(drop)}; look at them: was each value known on its date, or written later?"
        )
    else:
        said = "no feature behaves as if it knew what came after its date"
        said += _not_told(found, limits)
    if at_once:
        said += f"; what had arrived by then cannot be told from a history loaded at once ({', '.join(at_once)})"
    return Gate("leak_model", len(reasons), 0, not reasons, said, rows)


def _not_told(found: Sequence[Foresight], limits: Gates) -> str:
    """Return what the sentence adds on strong features that no date speaks for or against."""
    strong = sorted(
        (feature for feature in found if feature.alone >= limits.leak_constant_auc and feature.towards is None),
        key=lambda feature: (-feature.alone, feature.name),
    )
    if not strong:
        return ""
    named = ", ".join(f"{feature.name} (AUC {number(feature.alone)})" for feature in strong[:NAMED])
    return (
        f"; too few customers are seen on several dates with both outcomes, so it cannot be told of {named}: make sure "
        "that each value was known on its date"
    )
