"""What the scores were worth to each tenant, and within tenants over all. Written without the product's code.

Each tenant works through a list of its own. So a figure over all customers together says little: it rises when one
tenant's customers buy more often than another's, although no list gains by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp, log, sqrt
from typing import Any

import numpy as np
from scipy.stats import chi2, rankdata

Z = 1.959964  # of a 95 % interval
TOP = 0.1  # the share of a tenant's list that is its top


def tenant_figures(
    rows: Iterable[tuple[str, float, bool, str | None, str | None]],
) -> list[dict[str, Any]]:
    """Figures of each tenant from rows (tenant, score, converted, unranked reason, rung), in the order of names.

    `auc` with DeLong's interval on the logit scale, `observed_over_expected` with Garwood's, and the lift of the top
    tenth of the tenant's list. A figure that the tenant's outcomes cannot give is None.
    """
    by_name: dict[str, list[tuple[float, bool, str | None, str | None]]] = {}
    for tenant, score, converted, why, rung in rows:
        by_name.setdefault(tenant, []).append((score, converted, why, rung))
    found = []
    for tenant, listed in sorted(by_name.items()):
        scores, outcomes = (np.array(column) for column in list(zip(*listed, strict=True))[:2])
        area, low, high = _area(scores, outcomes.astype(bool))
        positives, expected = int(outcomes.sum()), float(scores.sum())
        level = [positives, *_garwood(positives)]
        found.append(
            {
                "tenant_id": tenant,
                "n": len(listed),
                "positives": positives,
                "auc": area,
                "auc_low": low,
                "auc_high": high,
                "observed_over_expected": level[0] / expected,
                "observed_over_expected_low": level[1] / expected,
                "observed_over_expected_high": level[2] / expected,
                "lift_of_list": _lift(scores, outcomes),
                "unranked": max((reason for *_, reason, _ in listed if reason), default=None),
                "rung": listed[0][3],
            }
        )
    return found


def auc_within(rows: Iterable[tuple[str, float, bool]]) -> float:
    """The chance that a converter outranks another customer of the same tenant; equal scores count half."""
    by_name: dict[str, list[tuple[float, bool]]] = {}
    for tenant, score, converted in rows:
        by_name.setdefault(tenant, []).append((score, converted))
    right = pairs = 0.0
    for listed in by_name.values():
        scores, outcomes = (np.array(column) for column in zip(*listed, strict=True))
        own = float(outcomes.sum() * (~outcomes.astype(bool)).sum())
        if own:
            pairs += own
            right += own * float(_area(scores, outcomes.astype(bool))[0] or 0.0)
    return right / pairs


def between_and_within(model: Mapping[str, Any]) -> dict[str, float | None]:
    """The share of all pairs that are within a tenant, and the AUC of the pairs between tenants.

    auc = pairs_within x auc_within + (1 - pairs_within) x auc_between.
    """
    positives, rows = model["positives"], model["population"]
    own = sum(one["positives"] * (one["n"] - one["positives"]) for one in model["tenants"])
    share = own / (positives * (rows - positives))
    if share >= 1:
        return {"pairs_within": 1.0, "auc_between": None}
    return {"pairs_within": share, "auc_between": (model["auc"] - share * model["auc_within"]) / (1 - share)}


def _area(scores: Any, outcomes: Any) -> tuple[float | None, float | None, float | None]:
    """AUC and its 95 % interval (DeLong 1988, on the logit scale); None where one of the outcomes is missing.

    With few converters DeLong's variance can be near 0 by chance. So it is at least that of half a row that ranks on
    the other side.
    """
    positive, negative = scores[outcomes], scores[~outcomes]
    fewest = min(len(positive), len(negative))
    if not fewest:
        return None, None, None
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    area = float(above.mean())
    # one row says nothing of a spread: the widest that the mean allows stands in
    spreads = [float(one.var(ddof=1)) if len(one) > 1 else area * (1 - area) for one in (above, below)]
    variance = spreads[0] / len(positive) + spreads[1] / len(negative)
    edge, shrunk = 0.5 / (fewest + 1), (area * fewest + 0.5) / (fewest + 1)
    at = min(max(area, edge), 1 - edge)
    variance = max(variance, shrunk * (1 - shrunk) / (3 * (fewest + 1)))
    centre, half = log(at / (1 - at)), Z * sqrt(variance) / (at * (1 - at))
    low, high = (1 / (1 + exp(-(centre + side * half))) for side in (-1, 1))
    return area, min(area, low), max(area, high)


def _garwood(events: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean (Garwood 1936)."""
    low = float(chi2.ppf(0.025, 2 * events) / 2) if events else 0.0
    return low, float(chi2.ppf(0.975, 2 * (events + 1)) / 2)


def _lift(scores: Any, outcomes: Any) -> float | None:
    """How often the top tenth converts, over how often all do. Equal scores at the edge count in proportion."""
    if not outcomes.any():
        return None
    wanted, taken, hits = TOP * len(scores), 0.0, 0.0
    values, group = np.unique(scores, return_inverse=True)
    sizes, converted = np.bincount(group), np.bincount(group, weights=outcomes)
    for place in range(len(values) - 1, -1, -1):
        part = min(1.0, (wanted - taken) / sizes[place])
        taken += part * sizes[place]
        hits += part * converted[place]
        if taken >= wanted:
            break
    return float(hits / wanted / outcomes.mean())


def tenant_rows(model: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """The rows of a model's table, one for each tenant."""
    for one in model["tenants"]:
        yield (
            one["tenant_id"],
            f"{one['n']:,}",
            f"{one['positives']:,}",
            _told(one, "auc", 3),
            _told(one, "observed_over_expected", 2),
            "–" if one["lift_of_list"] is None else f"{one['lift_of_list']:.2f}",
            one["rung"] or "",
            one["unranked"] or "",
        )


def _told(one: Mapping[str, Any], name: str, digits: int) -> str:
    value, low, high = (one[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f}–{high:.{digits}f})")
