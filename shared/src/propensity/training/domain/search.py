"""Which settings of a candidate family are tried, and which of them are worth all of the rows.

Successive halving (Jamieson and Talwalkar 2016; Li et al. 2018, Hyperband): all settings on a small share of the rows,
the better third on three times as many, and so on, until those that are left have seen everything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.pack.domain.model_spec import Candidate, Range

FACTOR = 3  # settings kept per rung, and rows gained: 1 of 3, 3 times
MIN_ROWS = 5_000  # fewer rows than these rank settings by chance


@dataclass(frozen=True, slots=True)
class Setting:
    """Parameters of a family, by scikit-learn's names, and of how many of the newest as-of dates a fit takes."""

    parameters: Mapping[str, Any]
    dates: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting's mean log loss over the validation folds, fitted on a share of the training rows, in (0, 1].

    `iterations`: how many of a boosted model's were best there, None for other families.
    """

    setting: Setting
    share: float
    loss: float
    iterations: int | None = None


def settings_of(candidate: Candidate, dates: Sequence[int], seed: int) -> list[Setting]:
    """The grid with every number of dates, then `draws` settings from the space; each once, in this order.

    The same candidate, dates and seed give the same settings.
    """
    chance = random.Random(seed)  # noqa: S311 - a plan, not a secret
    found = [Setting(parameters, count) for parameters in candidate.grid for count in dates]
    if candidate.space:
        for _ in range(candidate.draws):
            drawn = {name: _draw(chance, values) for name, values in sorted(candidate.space.items())}
            found.append(Setting(drawn, chance.choice(list(dates))))
    return [one for place, one in enumerate(found) if one not in found[:place]]


def _draw(chance: random.Random, values: Range | tuple[Any, ...]) -> Any:
    if isinstance(values, tuple):
        return chance.choice(values)
    if values.log:
        found = math.exp(chance.uniform(math.log(values.low), math.log(values.high)))
    else:
        found = chance.uniform(values.low, values.high)
    # three digits say all that a search can tell, and read well in a report
    return round(found) if values.whole else float(f"{found:.3g}")


def shares(settings: int, rows: int) -> list[float]:
    """Shares of the rows, in (0, 1], rising to 1: a rung per factor of settings, none below MIN_ROWS rows."""
    least = min(1.0, MIN_ROWS / rows)
    found = [1.0]
    while settings > FACTOR and found[-1] / FACTOR >= least:
        found.append(found[-1] / FACTOR)
        settings = math.ceil(settings / FACTOR)
    return found[::-1]


def halve(
    settings: Sequence[Setting], rows: int, measure: Callable[[Setting, float], Trial]
) -> tuple[list[Trial], list[Setting]]:
    """Every trial, and the settings that are left for all of the rows (not tried there yet), best first.

    `measure` tries a setting on a share of the rows; equal losses keep the order of the settings.
    """
    trials: list[Trial] = []
    left = list(settings)
    for share in shares(len(left), rows)[:-1]:
        rung = [measure(one, share) for one in left]
        trials += rung
        best = sorted(rung, key=lambda trial: trial.loss)[: math.ceil(len(rung) / FACTOR)]
        left = [trial.setting for trial in best]
    return trials, left
