"""The figures of a backtest, from the rows that its origins scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from propensity.backtest.domain.backtest_report import ListGains, OriginFigure
from propensity.evaluation.domain.gains import gain_over, list_sizes, listed, top_of_lists
from propensity.feedback.domain.matchback import DecileCount, Measure, all_figures
from propensity.kernel.errors import EvidenceError
from propensity.pack.domain.model_spec import Value
from propensity.stats.figures import Estimate, Z
from propensity.stats.high_low import HIGH, LOW, HighLow, HighLowList, high_against_low, high_low_lists
from propensity.stats.over_folds import Lists, auc_over_folds, clustered_variance, lift_over_folds
from propensity.stats.within_tenant import CLUSTERS, by_tenant, observed_over_expected


@dataclass(frozen=True, slots=True)
class Rows:
    """The customers whom one origin scored, (n,) each.

    `tenant` and `customer` are object, `score` float64, `decile` int64 with 0 for the unranked, `label` and `chosen`
    int64 of 0 and 1. `chosen` says whether the manual filter chose the customer.
    """

    as_of: str
    tenant: Any
    customer: Any
    score: Any
    decile: Any
    label: Any
    chosen: Any


def figures_of(rows: Rows, *, has_filter: bool) -> tuple[tuple[OriginFigure, ...], tuple[str, ...]]:
    """Return the figures of one origin, the same as those of a matchback, and its findings."""
    codes, names = _codes(rows.tenant)
    pairs, place, counts = np.unique(np.stack([codes, rows.score]), axis=1, return_inverse=True, return_counts=True)
    hits = np.bincount(place.reshape(-1), weights=rows.label).astype(int)
    tenants = by_tenant(
        (names[int(code)], float(score), int(count), int(hit))
        for code, score, count, hit in zip(pairs[0], pairs[1], counts, hits, strict=True)
    )
    deciles = []
    for number in (*range(10, 0, -1), 0):
        there = rows.decile == number
        if there.any():
            deciles.append(DecileCount(number or None, int(there.sum()), int(rows.label[there].sum())))
    chosen = (int(rows.chosen.sum()), int(rows.label[rows.chosen == 1].sum())) if has_filter else None
    found = all_figures(tenants, deciles, chosen)
    return tuple(_figure(measure) for measure in found.measures), found.findings


def figures_together(origins: Sequence[Rows]) -> tuple[OriginFigure, ...]:
    """Return AUC within tenants, lift of lists and level over several origins, each tenant's list of a date by itself.

    A customer may stand on the lists of several origins, so customers, and tenants where they are many, are clusters.
    """
    lists = _lists(origins)
    positives = int(lists.label.sum())
    found = []
    for name, figure in (("auc_within", auc_over_folds), ("lift_of_lists", lift_over_folds)):
        try:
            found.append(
                OriginFigure(segment="all", measure=name, estimate=figure(lists), positives=positives, pooled=False)
            )
        except EvidenceError:
            continue  # each origin's findings say so
    rows, mean = len(lists.label), float(lists.score.mean())
    if mean > 0:
        level = observed_over_expected(by_tenant([("", mean, rows, positives)]).values())
        found.append(
            OriginFigure(
                segment="all", measure="observed_over_expected", estimate=level, positives=positives, pooled=False
            )
        )
    return tuple(found)


def list_gains(origins: Sequence[Rows], *, has_filter: bool, value: Value | None) -> ListGains | None:
    """Return what lists of these origins hold, a month; None where no list has anybody.

    Each tenant has a list by the model of the size that the filter's list has, or of a tenth of its customers. The gain
    is Newcombe's for the customers who are on one list only, and no narrower than customers and tenants as clusters
    allow.
    """
    lists, months = _lists(origins), len(origins)
    names = np.array([f"{fold}/{tenant}" for fold, tenant in zip(lists.fold, lists.tenant, strict=True)])
    chosen = np.concatenate([rows.chosen for rows in origins]) == 1
    sizes = list_sizes(names, chosen if has_filter else None)
    mine = top_of_lists(lists.score, names, sizes)
    if not mine.any():
        return None
    one = listed(mine, lists.label, lists.score)
    by_model = _clustered(one.observed(), lists, mine.astype(float))
    gain = by_filter = None
    if has_filter:
        by_filter = _clustered(listed(chosen, lists.label, lists.score).observed(), lists, chosen.astype(float))
        gain = _clustered(gain_over(mine, chosen, lists.label), lists, mine.astype(float) - chosen)
    month = 1 / months
    cost = one.size * value.cost_per_contact if value else 0.0
    money = by_model.scaled(value.per_conversion) if value else None
    return ListGains(
        month=origins[0].as_of if months == 1 else None,
        months=months,
        lists=sum(size > 0 for size in sizes.values()),
        size=one.size * month,
        expected=(one.expected or 0.0) * month,
        by_model=by_model.scaled(month),
        by_filter=by_filter and by_filter.scaled(month),
        gain=gain and gain.scaled(month),
        profit=money and Estimate(money.value - cost, money.low - cost, money.high - cost, money.n).scaled(month),
        gain_money=gain.scaled(value.per_conversion * month) if value and gain else None,
        currency=value.currency if value else None,
    )


def high_low(origins: Sequence[Rows]) -> HighLow:
    """Return how far high deciles lie above low ones, each tenant's list of a date by itself.

    Raises EvidenceError where no list has both.
    """
    strata: list[HighLowList] = []
    for rows in origins:
        codes, names = _codes(rows.tenant)
        counts = []
        for number in (*LOW, *HIGH):
            there = rows.decile == number
            size, hits = (np.bincount(codes[there], w, len(names)) for w in (None, rows.label[there]))
            counts += [(name, number, int(n), int(hit)) for name, n, hit in zip(names, size, hits, strict=True)]
        strata += high_low_lists(counts)
    return high_against_low(strata, _variance_of_customers(origins, strata))


def _variance_of_customers(origins: Sequence[Rows], strata: Sequence[HighLowList]) -> float:
    """The variance of the difference with customers as clusters: one may stand on the lists of several origins."""
    lists, total = _lists(origins), sum(one.weight for one in strata)
    if not total or len(origins) == 1:
        return 0.0
    decile = np.concatenate([rows.decile for rows in origins])
    parts = np.zeros(len(decile))
    for there in lists.each():
        high, low = (there[np.isin(decile[there], part)] for part in (HIGH, LOW))
        if len(high) and len(low):
            weight = len(high) * len(low) / (len(high) + len(low))
            for rows, sign in ((high, 1.0), (low, -1.0)):
                parts[rows] = sign * weight * (lists.label[rows] - lists.label[rows].mean()) / len(rows)
    return clustered_variance(lists.customer, parts) / total**2


def _clustered(plain: Estimate, lists: Lists, weight: Any) -> Estimate:
    """Widen a number of conversions, the sum of weight x label, to what customers and tenants as clusters allow.

    `weight` is float (n,): 1 for a customer on the list, -1 for one on the list that it is held against.
    """
    there = np.flatnonzero(weight)
    if not len(there):
        return plain
    labels, weights = lists.label[there], weight[there]
    rate = {sign: labels[weights == sign].mean() for sign in np.unique(weights)}
    apart = weights * (labels - np.array([rate[sign] for sign in weights]))
    variance = clustered_variance(lists.customer[there], apart)
    if len(np.unique(lists.tenant[there])) >= CLUSTERS:
        variance = max(variance, clustered_variance(lists.tenant[there], apart))
    half = Z * sqrt(variance)
    return Estimate(plain.value, min(plain.low, plain.value - half), max(plain.high, plain.value + half), plain.n)


def _lists(origins: Sequence[Rows]) -> Lists:
    tenant, _ = _codes(np.concatenate([rows.tenant for rows in origins]))
    customer, _ = _codes(np.concatenate([rows.customer for rows in origins]))
    _, both = np.unique(np.stack([tenant, customer]), axis=1, return_inverse=True)
    return Lists(
        tenant=tenant,
        customer=both.reshape(-1).astype(np.int64),
        fold=np.concatenate([np.full(len(rows.label), number) for number, rows in enumerate(origins)]),
        score=np.concatenate([rows.score for rows in origins]),
        label=np.concatenate([rows.label for rows in origins]),
    )


def _codes(names: Any) -> tuple[Any, list[str]]:
    """Return (codes, texts): int64 (n,), the place of each text among the texts that there are, in their order."""
    texts, codes = np.unique(names.astype(str), return_inverse=True)
    return codes.reshape(-1).astype(np.int64), [str(text) for text in texts]


def _figure(measure: Measure) -> OriginFigure:
    return OriginFigure(
        segment=measure.segment,
        measure=measure.measure,
        estimate=measure.estimate,
        positives=measure.positives,
        pooled=measure.pooled,
    )
