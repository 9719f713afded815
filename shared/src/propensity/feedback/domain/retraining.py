"""Whether a model is to be trained off its cadence: what its checks say, and when that is enough.

One violated check is noise now and then: at 5 % false alarms a month, 46 % of years would have one, 12 % two. So a
request needs several of the newest checks of one kind, the newest among them, and a pause since the last training.
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
    """One look at a version on a day, and what it saw, with figures and n."""

    day: date
    kind: Kind
    violated: bool
    said: str


@dataclass(frozen=True, slots=True)
class Decision:
    accepted: bool
    why: str


def drift_check(summary: Mapping[str, Any], rules: Retraining) -> Check:
    """Of a run's drift.json. Violated by the score, or by more than `drifted_share` of the features."""
    features = [one for one in summary["columns"] if one["name"] != SCORE]
    over = [one["name"] for one in features if one["over"]]
    [score] = [one for one in summary["columns"] if one["name"] == SCORE]
    named = f" ({', '.join(over)})" if over else ""
    said = f"PSI over {summary['limit']:g} for {len(over)} of {len(features)} features{named}; "
    said += f"of the score {score['psi']:.2f}, n = {score['rows']:,}"
    violated = score["over"] or len(over) > rules.drifted_share * len(features)
    return Check(date.fromisoformat(summary["as_of"]), "drift", bool(violated), said)


def performance_check(summary: Mapping[str, Any], registered_auc: float, rules: Retraining) -> Check:
    """Of a run's matchback. Violated where a figure's whole interval is beyond its limit, never by its value alone."""
    everyone = summary["segments"]["all"]
    auc, slope, skill = (everyone[name] for name in ("auc", "calibration_slope", "brier_skill"))
    low, high = rules.calibration_slope
    found = []
    if auc["high"] < registered_auc - rules.auc_drop:
        found.append(f"AUC {_figure(auc)} is more than {rules.auc_drop:g} below {registered_auc:.3f} at registration")
    if slope["high"] < low or slope["low"] > high:
        found.append(f"calibration slope {_figure(slope)} is outside {low:g} to {high:g}")
    if skill["high"] < 0:
        found.append(f"Brier skill {_figure(skill)}: saying the base rate to everyone would be better")
    fine = f"AUC {_figure(auc)} against {registered_auc:.3f} at registration, slope {_figure(slope)}"
    return Check(date.fromisoformat(summary["known_by"]), "performance", bool(found), "; ".join(found) or fine)


def _figure(one: Mapping[str, Any]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f}, n = {one['n']:,})"


def decide(checks: Sequence[Check], rules: Retraining, *, day: date, trained: date | None) -> Decision:
    """What a violated newest check comes to. `checks`: of one kind and version, oldest first; at least one.

    `trained` is the day of the last training, None where there was none. Raises ValueError where the newest check is
    not violated: then there is nothing to ask for.
    """
    if not checks or not checks[-1].violated:
        raise ValueError("decide: the newest check must be violated")
    newest = checks[-rules.of_last :]
    violated = sum(one.violated for one in newest)
    told = f"{violated} of the last {len(newest)} {checks[-1].kind} checks violated"
    if violated < rules.violations:
        return Decision(False, f"{told}; it takes {rules.violations} of {rules.of_last}")
    if trained is not None and (day - trained).days < rules.cool_down_days:
        return Decision(False, f"{told}; trained as of {trained}, cool-down of {rules.cool_down_days} days")
    return Decision(True, told)
