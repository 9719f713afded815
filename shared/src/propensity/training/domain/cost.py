"""What a search may cost. An estimate of CPU-seconds decides which settings are left out, never a clock.

With a clock the search would stop earlier on a slower day, and the same inputs would give another model. An estimate is
a product of rows, columns and iterations, all known before the first fit, with constants measured on one core
(docs/reference/training.md). Where a fit may stop early, the estimate is an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, log2
from typing import Any

from propensity.kernel.errors import PackError
from propensity.pack.domain.model_spec import Candidate, Family
from propensity.training.domain.parameters import check_parameter
from propensity.training.domain.search import FACTOR, Setting, halving_shares

GROWING = ("hist_gradient_boosting",)  # the families that grow by one iteration at a time
MAX_ITER = 100  # the iterations of a growing family's fit where its setting does not state them
# these parameters of scikit-learn let a growing fit end by rows drawn at random
STOPPING = ("early_stopping", "n_iter_no_change", "scoring", "tol", "validation_fraction", "warm_start")
TREE_ROWS = 200_000  # one tree of a forest draws at most this many rows
# These are a forest's defaults and also its limits, because scoring has to afford the forest. At these values scoring
# takes 13 CPU-seconds for 1,000,000 rows (docs/decisions/0064-forests-are-bounded-by-scoring-cost.md).
FOREST = {"n_estimators": 100, "max_depth": 10, "min_samples_leaf": 50}
_PASSES = 60  # a linear model converges after about this many passes over its rows; passes of saga are counted alike


def fit_seconds(family: Family, parameters: Mapping[str, Any], rows: int, columns: int) -> float:
    """Return about how many CPU-seconds one fit takes on a matrix (rows, columns)."""
    cells = rows * max(1, columns)
    match family:
        case "hist_gradient_boosting":
            iterations = int(parameters.get("max_iter", MAX_ITER))
            return iterations * (2e-3 + 1.6e-8 * cells)
        case "random_forest":
            trees, depth, _ = ({**FOREST, **parameters}[name] for name in FOREST)
            drawn, wanted = min(rows, TREE_ROWS), parameters.get("max_features", "sqrt")
            looked = (
                columns**0.5
                if isinstance(wanted, str)
                else wanted
                if wanted and wanted > 1
                else columns * (wanted or 1)
            )
            # each level sorts all rows by each column that its splits look at
            return float(trees * drawn * depth * looked * log2(max(2, drawn)) * 6e-9)
        case "logistic_regression":
            return _PASSES * (1e-3 + (6e-9 if parameters.get("l1_ratio") else 3e-9) * cells)


def check_candidate(candidate: Candidate, where: str) -> None:
    """Check the parameters of a candidate before anything is fitted. Raises PackError naming the parameter.

    Three kinds of parameters are refused. The first kind is a parameter that the family does not have, or a value that
    the parameter does not take. The second kind makes scoring by a forest cost too much. The third kind lets
    scikit-learn stop a boosted model by rows of its own choice.
    """
    stated: list[tuple[str, Any]] = [(name, value) for setting in candidate.grid for name, value in setting.items()]
    for name, values in candidate.space.items():
        stated += [(name, value) for value in (values if isinstance(values, tuple) else values.ends)]
    if candidate.family in GROWING:
        for name, _ in stated:
            if name in STOPPING:
                raise PackError(
                    f"{where}: candidate {candidate.family}, {name}: expected none of {', '.join(STOPPING)}; later "
                    "dates decide where it stops, and `patience` says how soon (docs/reference/training.md)"
                )
    if candidate.family == "random_forest":
        _check_forest(stated, where)
    for name, value in stated:
        check_parameter(candidate.family, name, value, where)


def _check_forest(stated: Sequence[tuple[str, Any]], where: str) -> None:
    for name, value in stated:
        bound = FOREST.get(name)
        within = bound is None or (
            isinstance(value, int | float) and (value >= bound if name == "min_samples_leaf" else 0 < value <= bound)
        )
        if not within:
            raise PackError(
                f"{where}: candidate random_forest, {name} {value}: expected a number "
                f"{'not below' if name == 'min_samples_leaf' else 'not above'} {bound}; a larger forest takes too long "
                "to score with (docs/reference/training.md)"
            )


def affordable(settings: Sequence[Setting], rows: int, price: Callable[[Setting], float], budget: float) -> int:
    """Return how many of the first settings can be halved, and the best of them fitted, within a budget; at least one.

    `price` gives the CPU-seconds of a setting on all rows and folds. `budget` is in CPU-seconds. The reckoning takes
    each round to keep its dearest settings. The search therefore costs no more, whichever settings a round keeps.
    """
    prices = [price(setting) for setting in settings]
    for count in range(len(settings), 1, -1):
        if search_seconds(prices[:count], rows) <= budget:
            return count
    return min(1, len(settings))


def search_seconds(prices: Sequence[float], rows: int) -> float:
    """Return the most CPU-seconds that halving settings of these prices takes, with the best setting's last fit."""
    dearest = sorted(prices, reverse=True)
    spent, left = (
        dearest[0],
        len(prices),
    )  # the last fit takes all dates, which costs about as much as fitting a setting on all folds
    for share in halving_shares(left, rows):
        spent += share * sum(dearest[:left])
        left = ceil(left / FACTOR)
    return spent
