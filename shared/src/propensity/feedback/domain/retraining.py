"""The rule by which a model is trained off its cadence: what its checks say, and when the checks are enough.

One violated check can be noise: with 5 % false alarms a month, 46 % of years would have one, and 12 % two. So a
retraining needs several violated checks among the newest checks of a kind, and the newest check itself must be among
them. It also needs a pause since the last training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from propensity.pack.domain.model_spec import Retraining
from propensity.stats.drift import SCORE
from propensity.stats.figures import Estimate, difference

Kind = Literal["drift", "performance"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a version on a day. `said` is what the check saw, in words, with figures and n.

    `window` has the days whose outcomes the check saw, [first, last); it is None for a check that saw none.
    """

    day: date
    kind: Kind
    violated: bool
    said: str
    window: tuple[date, date] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision whether a training is started, and why, in words."""

    accepted: bool
    why: str


def drift_check(summary: Mapping[str, Any], rules: Retraining) -> Check:
    """Return the check of a scoring run's drift. `summary` is the run's drift.json.

    The check is violated if the score is over its limit, or if more than `drifted_share` of the features are.
    """
    features = [column for column in summary["columns"] if column["name"] != SCORE]
    over = [column["name"] for column in features if column["over"]]
    [score] = [column for column in summary["columns"] if column["name"] == SCORE]
    named = f" ({', '.join(over)})" if over else ""
    said = f"PSI over {summary['limit']:g} for {len(over)} of {len(features)} features{named}; "
    said += f"of the score {score['psi']:.2f}, n = {score['rows']:,}"
    violated = score["over"] or len(over) > rules.drifted_share * len(features)
    return Check(date.fromisoformat(summary["as_of"]), "drift", bool(violated), said)


def performance_check(
    summary: Mapping[str, Any],
    registered: Mapping[str, Any],
    rules: Retraining,
    window: tuple[date, date] | None = None,
) -> Check:
    """Return the check of a scoring run's matchback. `summary` is the run's matchback-<day>.json.

    The check is violated where the whole interval of a figure is beyond the limit, never by the value alone. A fall of
    the AUC is the difference of two measured figures, and has the uncertainty of both. `registered` is the version's
    metrics.json. Where both have the AUC within tenants, that is compared; otherwise the pooled ones are. A matchback
    in which nobody converted has no figure of the ranking; its level is still judged.
    """
    everyone: Mapping[str, Mapping[str, Any]] = summary["segments"]["all"]
    violations, fine = [], []
    name = next((one for one in ("auc_within", "auc") if one in everyone and one in registered), None)
    if name is not None:
        said = "AUC within tenants"
        if name == "auc":
            # of a version or a matchback of an early release; differences between tenants may hide a fall within them
            said = "AUC, pooled over tenants for want of one within them,"
        fall = difference(_estimate(registered[name]), _estimate(everyone[name]))
        against = f"{said} {_figure(everyone[name])} against {registered[name]['value']:.3f} at registration"
        fine.append(against)
        if fall.low > rules.auc_drop:
            violations.append(
                f"{against}: it fell by {fall.value:.3f} ({fall.low:.3f} to {fall.high:.3f}), "
                f"more than {rules.auc_drop:g}"
            )
    for name, words, (low, high) in (
        ("observed_over_expected", "conversions over expected", rules.observed_over_expected),
        ("calibration_slope", "calibration slope", rules.calibration_slope),
    ):
        if figure := everyone.get(name):
            fine.append(f"{words} {_figure(figure)}")
            if figure["high"] < low or figure["low"] > high:
                violations.append(f"{words} {_figure(figure)} is outside {low:g} to {high:g}")
    if (skill := everyone.get("brier_skill")) and skill["high"] < 0:
        violations.append(f"Brier skill {_figure(skill)}: saying the base rate to everyone would be better")
    message = "; ".join(violations) or ", ".join(fine) or "; ".join(summary.get("findings", ()))
    return Check(date.fromisoformat(summary["known_by"]), "performance", bool(violations), message, window)


def apart(checks: Sequence[Check]) -> list[Check]:
    """Return the newest check, and of the older ones those whose outcomes no later chosen check saw; oldest first.

    `checks` are of one kind and version, oldest first. Checks over the same days find the same: scores of every month
    with a window of 90 days make two violations out of one bad month.
    """
    chosen: list[Check] = []
    for check in reversed(checks):
        if not (chosen and check.window and chosen[-1].window and check.window[1] > chosen[-1].window[0]):
            chosen.append(check)
    return chosen[::-1]


def _estimate(found: Mapping[str, Any]) -> Estimate:
    return Estimate(found["value"], found["low"], found["high"], found["n"])


def _figure(found: Mapping[str, Any]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f}, n = {found['n']:,})"


def decide(checks: Sequence[Check], rules: Retraining, *, day: date, trained: date | None) -> Decision:
    """Decide whether a violated newest check leads to a training.

    `checks` are of one kind and version, oldest first. `trained` is the day of the last training, None where there was
    none. Raises ValueError where the newest check is not violated, or where there is no check: then there is nothing to
    ask for.
    """
    if not checks or not checks[-1].violated:
        raise ValueError("decide: the newest check must be violated")
    newest = checks[-rules.of_last :]
    violated = sum(check.violated for check in newest)
    count = f"{violated} of the last {len(newest)} {checks[-1].kind} checks violated"
    if violated < rules.violations:
        return Decision(False, f"{count}; it takes {rules.violations} of {rules.of_last}")
    if trained is not None and (day - trained).days < rules.cool_down_days:
        return Decision(False, f"{count}; trained as of {trained}, cool-down of {rules.cool_down_days} days")
    return Decision(True, count)
