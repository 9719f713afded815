"""Gates: what a candidate must prove before it may become champion, each with its figure, limit and a sentence.

There are two kinds of judgement.

A *floor* is for the candidate to prove. It passes where the unfavourable bound of the figure's 95 % interval is beyond
the limit, and fails where the whole interval is on the other side. Between the two there is not enough evidence: the
candidate does not pass, and may well be sound. So a sound candidate fails a floor in at most 2.5 % of cases.

A *limit on harm* fails only where the harm is proven, by the interval's favourable bound. Otherwise every small slice
would stop every model. A slice with too little evidence is not judged, and the gate's sentence names the slice.

A figure without an interval is compared with the limit as it is. The Brier skill is compared in the same way. A model
with an AUC of 0.73 needs about 100 positives in one fold to prove a skill above 0. (53 positives gave a skill of 0.023
with a lower bound of -0.002, and 105 gave 0.017 with a lower bound of +0.002.) The AUC already proves that the model
ranks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate
from propensity.stats.foresight import Foresight
from propensity.stats.sentinels import Sentinel
from propensity.stats.within_tenant import Tenant, observed_over_expected

Outcome = Literal["passed", "failed", "not_enough_evidence"]
NAMED = 5  # a sentence names at most this many tenants


@dataclass(frozen=True, slots=True)
class Gate:
    """One judgement, which writes its line of gates.json.

    `said` is one plain sentence. `interval` (95 %) and `n` are there where the figure is a statistic. `threshold` is a
    limit, or the (low, high) of a range. `figure` is None where nothing could be measured. `proven` is False for a gate
    that is not passed, and whose rows do not prove the contrary either.
    """

    name: str
    figure: float | None
    threshold: float | tuple[float, float]
    passed: bool
    said: str
    n: int | None = None
    interval: tuple[float, float] | None = None
    proven: bool = True

    @property
    def outcome(self) -> Outcome:
        if self.passed:
            return "passed"
        return "failed" if self.proven else "not_enough_evidence"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "figure": self.figure,
            "threshold": list(self.threshold) if isinstance(self.threshold, tuple) else self.threshold,
            "passed": self.passed,
            "outcome": self.outcome,
            "said": self.said,
            "n": self.n,
            "interval": list(self.interval) if self.interval else None,
        }


def number(value: float) -> str:
    """Format a figure as sentences show it, with three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def span(found: Estimate) -> str:
    """Format a figure with its interval and n, as sentences show it."""
    return f"{number(found.value)} (95 % interval {number(found.low)} to {number(found.high)}, n {found.n:,})"


def at_most(name: str, figure: float, limit: float, said: str, *, n: int | None = None) -> Gate:
    """Return a gate for a figure without an interval: it passes where the figure is at most the limit."""
    return Gate(name, figure, limit, figure <= limit, f"{said} (at most {number(limit)})", n)


def enough(name: str, count: int, limit: int, said: str) -> Gate:
    """Return a gate for a number of rows: with fewer than the limit there is not enough evidence."""
    return Gate(name, count, limit, count >= limit, f"{said} (at least {number(limit)})", proven=False)


def floor(name: str, found: Estimate, limit: float, what: str) -> Gate:
    """Return a gate that the candidate has to prove: it passes where the interval's lower bound is above the limit."""
    passed, proven = found.low > limit, found.high <= limit
    result = f"it is proven to be {'above' if passed else 'no higher than'} {number(limit)}"
    if not passed and not proven:
        result = f"not enough evidence that it is above {number(limit)}"
    return _of(name, found, limit, passed, f"{what} is {span(found)}: {result}", proven=proven)


def within(name: str, found: Estimate, limits: tuple[float, float], what: str) -> Gate:
    """Return a gate that fails where the whole interval is outside the range.

    The gate does not ask for the whole interval inside the range. With such a gate a model whose slope is right would
    need about 100 positives (the half-width is 0.36 at 53 positives, 0.24 at 105). Other gates see to it that there is
    evidence.
    """
    low, high = limits
    passed = found.high >= low and found.low <= high
    result = "agrees with" if passed else "is proven to be outside"
    return _of(name, found, limits, passed, f"{what} is {span(found)}: it {result} {number(low)} to {number(high)}")


def _of(
    name: str, found: Estimate, limit: float | tuple[float, float], passed: bool, said: str, *, proven: bool = True
) -> Gate:
    return Gate(name, found.value, limit, passed, said, found.n, (found.low, found.high), proven)


def parity(real: Mapping[str, Any], probes: Mapping[str, Any] | None, limits: Gates) -> list[Gate]:
    """Return the gates for the exported model against scikit-learn.

    The gates look at the largest difference of probabilities before calibration. `real` has the figures on real rows:
    max_abs, decile_flips and rows. `probes` has the figures on made-up rows: max_abs, rows, and worst (the name of the
    probe that differs most). A decile flip is a row that the two models put into different tenths, where their
    probabilities differ by more than rounding.
    """
    limit = limits.parity_max_abs
    said = f"on {real['rows']:,} real rows the exported model and scikit-learn differ by at most {real['max_abs']:.1e}"
    flips = f"{real['decile_flips']:,} of {real['rows']:,} real rows are in another tenth by the exported model"
    if probes is None:
        why = "the fit kept no probes: train again to hold the model to them"
        made = Gate("parity_probes", None, limit, False, why, proven=False)
    else:
        probed = (
            f"on {probes['rows']:,} made-up rows (missing, extreme and unseen values) the exported model and "
            f"scikit-learn differ by at most {probes['max_abs']:.1e}, worst with {probes['worst']}"
        )
        made = at_most("parity_probes", probes["max_abs"], limit, probed, n=probes["rows"])
    return [
        at_most("parity", real["max_abs"], limit, said, n=real["rows"]),
        made,
        at_most("decile_flips", real["decile_flips"], 0, flips, n=real["rows"]),
    ]


def evidence(training: tuple[int, int], fold: tuple[int, int], limits: Gates) -> list[Gate]:
    """Return gates for the number of positives.

    Both arguments are (positives, rows): of the training set, and of the fold. With a handful of positives DeLong's
    interval is too narrow. With one positive the interval cannot know how positives differ. So with few positives the
    bound of a floor means nothing.
    """
    in_fold = "of {1:,} rows of the newest validation fold {0:,} are positive"
    return [
        enough(
            "min_positives",
            training[0],
            limits.min_positives,
            "of {1:,} training rows {0:,} are positive".format(*training),
        ),
        enough("min_fold_positives", fold[0], limits.min_fold_positives, in_fold.format(*fold)),
    ]


MEASURED = ("auc_within", "lift_of_lists", "brier_skill", "calibration_slope")
OVER_FOLDS = ("auc_over_folds", "lift_over_folds")


def quality(
    metrics: Mapping[str, Estimate | None], limits: Gates, over_folds: Mapping[str, Estimate | None] | None = None
) -> list[Gate]:
    """Return gates for the MEASURED metrics: three floors, and the range of the slope.

    Ranking and lift are those within tenants, because each tenant has its own list. They are judged over all folds
    together where `over_folds` has the OVER_FOLDS metrics, and on the newest fold otherwise. The other metrics are of
    the newest fold. `auc_within` is None where no tenant has both outcomes. Raises KeyError where one of the other
    metrics is missing.
    """
    found = {name: metric for name, metric in metrics.items() if metric is not None}
    pooled = {name: metric for name, metric in (over_folds or {}).items() if metric is not None}
    ranking = Gate(
        "auc_floor", None, limits.auc_floor, False, "no tenant has both converters and others to rank", proven=False
    )
    if "auc_over_folds" in pooled or "auc_within" in found:
        said = "ranking of each tenant's customers (AUC within tenants, 0.5 is chance)"
        ranking = _pooled_floor(
            "auc_floor", pooled.get("auc_over_folds"), found.get("auc_within"), limits.auc_floor, said
        )
    lifted = "the rate of the top tenth of each tenant's list, over that of the tenant's customers,"
    return [
        ranking,
        _pooled_floor("lift_floor", pooled.get("lift_over_folds"), found["lift_of_lists"], limits.lift_floor, lifted),
        _skill(found["brier_skill"], limits.brier_skill_floor),
        within(
            "calibration_slope",
            found["calibration_slope"],
            (limits.calibration_slope_low, limits.calibration_slope_high),
            "calibration slope (1 is right, less is overconfident)",
        ),
    ]


def _pooled_floor(name: str, pooled: Estimate | None, newest: Estimate | None, limit: float, what: str) -> Gate:
    """Return a floor on the figure over all folds. It fails, too, where the newest fold alone proves the contrary.

    Small lists prove little on one fold. A model that has stopped ranking must not pass for its older folds.
    """
    if pooled is None or newest is None:
        known = pooled or newest
        if known is None:
            raise ValueError(f"{name}: neither a figure over all folds nor one of the newest fold, expected one")
        return floor(name, known, limit, what)
    gate = floor(name, pooled, limit, f"{what} over all validation folds")
    said = f"{gate.said}; {span(newest)} on the newest fold"
    if newest.high <= limit:
        said += ", where it is proven to be no higher"
        return replace(gate, said=said, passed=False, proven=True)
    return replace(gate, said=said)


def _skill(found: Estimate, limit: float) -> Gate:
    passed = found.value > limit
    result = f"is {'above' if passed else 'not above'} {number(limit)}"
    said = f"gain over saying the base rate of everyone (Brier skill) is {span(found)}: the figure {result}"
    proven = found.high <= limit
    if not passed and not proven:
        said += ", which is not enough evidence either way"
    return _of("brier_skill_floor", found, limit, passed, said, proven=proven)


def level(tenants: Mapping[str, Tenant], limits: Gates) -> Gate:
    """Return the gate for the level of the scores: conversions over the sum of the scores (O/E), of all customers.

    It is a limit on harm: it fails where the whole interval is outside. The sentence also names the tenants whose own
    level is proven to be outside. So many tenants are looked at that some would be by chance, so each tenant's interval
    misses in 5 % over their number (Bonferroni). A tenant fails no gate, because one tenant may not stop all others;
    the ladder gives it a level of its own. Raises EvidenceError where the scores sum to 0.
    """
    span_, error = (limits.level_low, limits.level_high), 0.05 / max(1, len(tenants))
    whole = observed_over_expected(tenants.values())
    known = {name: observed_over_expected([tenant], error) for name, tenant in tenants.items() if tenant.expected > 0}
    wrong = {name: found for name, found in known.items() if found.high < span_[0] or found.low > span_[1]}
    worst = sorted(wrong, key=lambda name: (-abs(math.log(max(wrong[name].value, 1e-9))), name))
    named = ", ".join(f"{name} {number(wrong[name].value)} (n {wrong[name].n:,})" for name in worst[:NAMED])
    more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
    gate = within("level", whole, span_, "what came over what the scores say (O/E, 1 is right)")
    said = f"{gate.said}; of {len(known):,} tenants, each by an interval that is corrected for their number, proven "
    return replace(gate, said=f"{said}to be outside: {named or 'none'}{more}")


def constant(share: float, rows: int, limits: Gates) -> Gate:
    """Return a gate for equal scores.

    `share` is the share of rows that have the most frequent score, in [0, 1].
    """
    said = f"{share:.0%} of {rows:,} customers get one and the same score, and no list can be made among them"
    return at_most("constant_scores", share, limits.constant_share, said, n=rows)


def leaks(found: Sequence[Sentinel], rows: int, limits: Gates) -> list[Gate]:
    """Return gates against leakage, given a sentinel of each feature.

    A feature that alone is nearly the answer was most likely not known on the day of the score. The figures are
    compared with the limits, not their bounds, because a suspicion is enough to have a person look.
    """
    by_auc = max(found, key=lambda sentinel: (sentinel.auc, sentinel.name))
    by_copy = max(found, key=lambda sentinel: (sentinel.copy, sentinel.name))
    ranking = [sentinel.name for sentinel in found if sentinel.auc > limits.leak_auc]
    copies = [sentinel.name for sentinel in found if sentinel.copy > limits.copy_agreement]
    ranks = f"the feature that ranks best alone is {by_auc.name} with an AUC of {number(by_auc.auc)}"
    agrees = (
        f"the feature that agrees most with the outcome is {by_copy.name} with a correlation of {number(by_copy.copy)}"
    )
    return [
        at_most("leak_auc", by_auc.auc, limits.leak_auc, _with_names(ranks, ranking), n=rows),
        at_most("target_copy", by_copy.copy, limits.copy_agreement, _with_names(agrees, copies), n=rows),
    ]


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


def known_features(unknown: Sequence[str], by_fold: Mapping[str, Sequence[str]], rows: int) -> Gate:
    """Return a gate on features without any known value among the rows of a fit.

    `unknown` are those of the last fit: the version would carry a feature that it knows nothing of. `by_fold` has those
    of each fold's fit, by its day. A fold is fitted without them, and the gate only says so.
    """
    said = f"{len(unknown)} features have no known value in the training rows: {', '.join(unknown) or 'none'}"
    parts = [f"{', '.join(names)} in the fold of {day}" for day, names in sorted(by_fold.items()) if names]
    if parts:
        said += f"; left out where no earlier row knew them: {'; '.join(parts)}"
    return at_most("known_features", len(unknown), 0, said, n=rows)


def _with_names(said: str, over: Sequence[str]) -> str:
    return f"{said}; look at {', '.join(over)}: known before the outcome?" if over else said


def latency_steps(limits: Gates) -> tuple[float, ...]:
    """Return upper bounds in milliseconds. A latency is told as the step that it is within, not as it was measured.

    A run that is resumed has to end in the same bytes, and no two measurements of a latency are equal.
    """
    return tuple(limits.latency_p99_ms * share for share in (0.1, 0.5, 1, 5, 25))


def latency(p99: float, calls: int, threads: int, limits: Gates) -> Gate:
    """Return a gate for the time of one row's score. `p99` is the 99th percentile in milliseconds.

    The gate's figure is the step that the time is within; it is None beyond the last step.
    """
    steps = latency_steps(limits)
    within = next((step for step in steps if p99 <= step), None)
    how_fast = f"within {number(within)} ms" if within else f"in more than {number(steps[-1])} ms"
    said = f"99 of 100 customers are scored {how_fast}, asked one by one from {threads} sides at once"
    limit = limits.latency_p99_ms
    passed = within is not None and within <= limit
    return Gate("latency", within, limit, passed, f"{said} (at most {number(limit)})", calls)
