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

Kind = Literal["drift", "performance"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a version on a day. `said` is what the check saw, in words, with figures and n."""

    day: date
    kind: Kind
    violated: bool
    said: str


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


def performance_check(summary: Mapping[str, Any], registered_auc: float, rules: Retraining) -> Check:
    """Return the check of a scoring run's matchback. `summary` is the run's matchback-<day>.json.

    The check is violated where the whole interval of a figure is beyond the limit, never by the value alone.
    `registered_auc` is the AUC with which the version was registered.
    """
    everyone = summary["segments"]["all"]
    auc, slope, skill = (everyone[name] for name in ("auc", "calibration_slope", "brier_skill"))
    low, high = rules.calibration_slope
    violations = []
    if auc["high"] < registered_auc - rules.auc_drop:
        violations.append(
            f"AUC {_figure(auc)} is more than {rules.auc_drop:g} below {registered_auc:.3f} at registration"
        )
    if slope["high"] < low or slope["low"] > high:
        violations.append(f"calibration slope {_figure(slope)} is outside {low:g} to {high:g}")
    if skill["high"] < 0:
        violations.append(f"Brier skill {_figure(skill)}: saying the base rate to everyone would be better")
    fine = f"AUC {_figure(auc)} against {registered_auc:.3f} at registration, slope {_figure(slope)}"
    message = "; ".join(violations) or fine
    return Check(date.fromisoformat(summary["known_by"]), "performance", bool(violations), message)


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
