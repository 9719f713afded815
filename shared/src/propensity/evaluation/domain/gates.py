"""Gates: what a candidate must prove before it may become champion, each with its figure, limit and a sentence.

Two kinds of judgement, told apart on purpose. A *floor* is the candidate's to prove: it passes where the unfavourable
bound of the figure's 95 % interval is beyond the limit, so that too few rows fail. A *limit* on harm is held against
the interval's favourable bound: it fails only where the harm is proven, or every small slice would stop every model;
what has too little evidence to be judged at all is named as such. Figures without an interval are held as they are,
and so is the Brier skill: a model with AUC 0.73 would need about 100 positives in one fold to prove its own above 0
(53 gave 0.023 with a bound of -0.002, 105 gave 0.017 with one of +0.002), and that it ranks is proven by the AUC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate


@dataclass(frozen=True, slots=True)
class Gate:
    """A judgement. `said` is one plain sentence; `interval` (95 %) and `n` where the figure is a statistic.

    `threshold` is a limit, or the (low, high) of a range. `figure` is None where nothing could be measured.
    """

    name: str
    figure: float | None
    threshold: float | tuple[float, float]
    passed: bool
    said: str
    n: int | None = None
    interval: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "figure": self.figure,
            "threshold": list(self.threshold) if isinstance(self.threshold, tuple) else self.threshold,
            "passed": self.passed,
            "said": self.said,
            "n": self.n,
            "interval": list(self.interval) if self.interval else None,
        }


def number(value: float) -> str:
    """A figure as a sentence says it: three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def span(found: Estimate) -> str:
    return f"{number(found.value)} (95 % interval {number(found.low)} to {number(found.high)}, n {found.n:,})"


def at_most(name: str, figure: float, limit: float, said: str, *, n: int | None = None) -> Gate:
    """A figure without an interval, held against the most it may be."""
    return Gate(name, figure, limit, figure <= limit, f"{said} (at most {number(limit)})", n)


def at_least(name: str, figure: float, limit: float, said: str) -> Gate:
    return Gate(name, figure, limit, figure >= limit, f"{said} (at least {number(limit)})")


def floor(name: str, found: Estimate, limit: float, what: str) -> Gate:
    """The candidate's to prove: the interval's lower bound has to be above the limit."""
    passed = found.low > limit
    told = "is proven to be above" if passed else "is not proven to be above"
    return _of(name, found, limit, passed, f"{what} is {span(found)}: it {told} {number(limit)}")


def within(name: str, found: Estimate, limits: tuple[float, float], what: str) -> Gate:
    """Fails where the whole interval is outside the range.

    To ask for all of it inside would ask for about 100 positives of a model whose slope is right (half-width 0.36 at
    53, 0.24 at 105); that there is evidence at all is what the other gates see to.
    """
    low, high = limits
    passed = found.high >= low and found.low <= high
    told = "agrees with" if passed else "is proven to be outside"
    return _of(name, found, limits, passed, f"{what} is {span(found)}: it {told} {number(low)} to {number(high)}")


def _of(name: str, found: Estimate, limit: float | tuple[float, float], passed: bool, said: str) -> Gate:
    return Gate(name, found.value, limit, passed, said, found.n, (found.low, found.high))


def parity(real: Mapping[str, Any], probes: Mapping[str, Any] | None, limits: Gates) -> list[Gate]:
    """The exported model against scikit-learn: largest difference of the probabilities before calibration.

    `real`: max_abs, decile_flips, rows; `probes`: max_abs, rows, worst (what the probe was). A decile flip is a row in
    another tenth by the one than by the other, though the two differ by more than rounding.
    """
    limit = limits.parity_max_abs
    said = f"on {real['rows']:,} real rows the exported model and scikit-learn differ by at most {real['max_abs']:.1e}"
    flips = f"{real['decile_flips']:,} of {real['rows']:,} real rows are in another tenth by the exported model"
    if probes is None:
        made = Gate(
            "parity_probes", None, limit, False, "the fit kept no probes: train again to hold the model to them"
        )
    else:
        told = (
            f"on {probes['rows']:,} made-up rows (missing, extreme and unseen values) the exported model and "
            f"scikit-learn differ by at most {probes['max_abs']:.1e}, worst with {probes['worst']}"
        )
        made = at_most("parity_probes", probes["max_abs"], limit, told, n=probes["rows"])
    return [
        at_most("parity", real["max_abs"], limit, said, n=real["rows"]),
        made,
        at_most("decile_flips", real["decile_flips"], 0, flips, n=real["rows"]),
    ]


def evidence(training: tuple[int, int], fold: tuple[int, int], limits: Gates) -> list[Gate]:
    """(positives, rows) of the training set, and of the newest validation fold.

    With a handful of positives DeLong's interval is too narrow, with one it knows nothing of how positives differ: no
    floor's bound means anything then.
    """
    told = "of {1:,} rows of the newest validation fold {0:,} are positive"
    return [
        at_least(
            "min_positives",
            training[0],
            limits.min_positives,
            "of {1:,} training rows {0:,} are positive".format(*training),
        ),
        at_least("min_fold_positives", fold[0], limits.min_fold_positives, told.format(*fold)),
    ]


MEASURED = ("auc", "lift_top_decile", "brier_skill", "calibration_slope")


def quality(metrics: Mapping[str, Estimate], limits: Gates) -> list[Gate]:
    """Floors and the calibration's slope, of the metrics in MEASURED on the newest validation fold."""
    return [
        floor("auc_floor", metrics["auc"], limits.auc_floor, "ranking (AUC, 0.5 is chance)"),
        floor("lift_floor", metrics["lift_top_decile"], limits.lift_floor, "the top tenth's rate over everyone's"),
        _skill(metrics["brier_skill"], limits.brier_skill_floor),
        within(
            "calibration_slope",
            metrics["calibration_slope"],
            (limits.calibration_slope_low, limits.calibration_slope_high),
            "calibration slope (1 is right, less is overconfident)",
        ),
    ]


def _skill(found: Estimate, limit: float) -> Gate:
    passed = found.value > limit
    told = f"is {'above' if passed else 'not above'} {number(limit)}"
    said = f"gain over saying the base rate of everyone (Brier skill) is {span(found)}: the figure {told}"
    return _of("brier_skill_floor", found, limit, passed, said)


def constant(share: float, rows: int, limits: Gates) -> Gate:
    """`share`: rows that hold the most frequent score."""
    said = f"{share:.0%} of {rows:,} customers get one and the same score, and no list can be made among them"
    return at_most("constant_scores", share, limits.constant_share, said, n=rows)


@dataclass(frozen=True, slots=True)
class Sentinel:
    """One feature against the label. `auc` in [0.5, 1] whichever way it points; `copy` in [0, 1] (phi)."""

    name: str
    auc: float
    copy: float


def leaks(found: Sequence[Sentinel], rows: int, limits: Gates) -> list[Gate]:
    """A feature that alone nearly is the answer was most likely not known when the score would have been made.

    The figures are held as they are, not their bounds: a suspicion is enough to have a person look.
    """
    by_auc = max(found, key=lambda one: (one.auc, one.name))
    by_copy = max(found, key=lambda one: (one.copy, one.name))
    hot = [one.name for one in found if one.auc > limits.leak_auc]
    copies = [one.name for one in found if one.copy > limits.copy_agreement]
    said = f"the feature that ranks best alone is {by_auc.name} with an AUC of {number(by_auc.auc)}"
    told = (
        f"the feature that agrees most with the outcome is {by_copy.name} with a correlation of {number(by_copy.copy)}"
    )
    return [
        at_most("leak_auc", by_auc.auc, limits.leak_auc, _named(said, hot), n=rows),
        at_most("target_copy", by_copy.copy, limits.copy_agreement, _named(told, copies), n=rows),
    ]


def _named(said: str, over: Sequence[str]) -> str:
    return f"{said}; look at {', '.join(over)}: known before the outcome?" if over else said


def latency_steps(limits: Gates) -> tuple[float, ...]:
    """Milliseconds that a latency is said to be within: a run that is resumed has to end in the same bytes."""
    return tuple(limits.latency_p99_ms * share for share in (0.1, 0.5, 1, 5, 25))


def latency(p99: float, calls: int, threads: int, limits: Gates) -> Gate:
    """`p99`: milliseconds of one row's score. The figure is the step that it is within, None beyond the last."""
    steps = latency_steps(limits)
    within = next((step for step in steps if p99 <= step), None)
    told = f"within {number(within)} ms" if within else f"in more than {number(steps[-1])} ms"
    said = f"99 of 100 customers are scored {told}, asked one by one from {threads} sides at once"
    limit = limits.latency_p99_ms
    passed = within is not None and within <= limit
    return Gate("latency", within, limit, passed, f"{said} (at most {number(limit)})", calls)
