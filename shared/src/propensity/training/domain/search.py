"""Which settings of a candidate family are tried, and which of them on all rows.

Successive halving (Jamieson and Talwalkar 2016; Li et al. 2018, Hyperband): a first round tries all settings on a small
share of the rows. The next round tries the better third on three times as many rows, and so on. The last round tries
the settings that are left on all rows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.pack.domain.model_spec import Candidate, Range

FACTOR = 3  # a round keeps 1 of 3 settings, and the next round has 3 times the rows
MIN_ROWS = 5_000  # with fewer rows, chance would rank the settings


@dataclass(frozen=True, slots=True)
class Setting:
    """The setting of one fit: a family's parameters, by scikit-learn's names, and the number of newest as-of dates."""

    parameters: Mapping[str, Any]
    dates: int


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one setting, fitted on a `share` of the training rows, in (0, 1]: mean log loss over the folds.

    `iterations` is the number of a boosted model's iterations with the least loss; it is None for other families.
    """

    setting: Setting
    share: float
    loss: float
    iterations: int | None = None


def settings_of(candidate: Candidate, dates: Sequence[int], seed: int) -> list[Setting]:
    """Return the grid's settings with every number of dates, then `draws` settings from the space; each setting once.

    The same candidate, dates and seed give the same settings.
    """
    chance = random.Random(seed)  # noqa: S311 - a plan, not a secret
    found = [Setting(parameters, count) for parameters in candidate.grid for count in dates]
    if candidate.space:
        for _ in range(candidate.draws):
            drawn = {name: _draw(chance, values) for name, values in sorted(candidate.space.items())}
            found.append(Setting(drawn, chance.choice(list(dates))))
    return [setting for place, setting in enumerate(found) if setting not in found[:place]]


def _draw(chance: random.Random, values: Range | tuple[Any, ...]) -> Any:
    if isinstance(values, tuple):
        return chance.choice(values)
    if values.log:
        found = math.exp(chance.uniform(math.log(values.low), math.log(values.high)))
    else:
        found = chance.uniform(values.low, values.high)
    # A search can tell no more than three digits apart, and three digits read well in a report.
    return round(found) if values.whole else float(f"{found:.3g}")


def halving_shares(settings: int, rows: int) -> list[float]:
    """Return the share of the rows, in (0, 1], of each round, rising to 1.

    No round has fewer than MIN_ROWS of the `rows`.
    """
    least = min(1.0, MIN_ROWS / rows)
    found = [1.0]
    while settings > FACTOR and found[-1] / FACTOR >= least:
        found.append(found[-1] / FACTOR)
        settings = math.ceil(settings / FACTOR)
    return found[::-1]


def halve(
    settings: Sequence[Setting], rows: int, measure: Callable[[Setting, float], Trial]
) -> tuple[list[Trial], list[Setting]]:
    """Return every trial but those of the last round, and the settings left for all rows, best first.

    `measure` tries a setting on a share of the rows; equal losses keep the order of the settings.
    """
    trials: list[Trial] = []
    left = list(settings)
    for share in halving_shares(len(left), rows)[:-1]:
        tried = [measure(setting, share) for setting in left]
        trials += tried
        best = sorted(tried, key=lambda trial: trial.loss)[: math.ceil(len(tried) / FACTOR)]
        left = [trial.setting for trial in best]
    return trials, left
