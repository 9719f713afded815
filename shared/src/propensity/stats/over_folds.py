"""Ranking and lift of lists over several validation folds together, for lists that are too small one by one.

A list is one tenant's customers on one fold's date. Customers are compared within a list only, so neither tenants nor
dates with a high rate lift anything. The same customer may stand on the lists of several dates, and windows of
neighbouring folds may share days. So a customer's rows are one cluster, and tenants are the clusters where they are
many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np

from propensity.kernel.errors import EvidenceError
from propensity.stats.figures import Estimate, Z, logit_interval
from propensity.stats.within_tenant import CLUSTERS, TOP


@dataclass(frozen=True, slots=True)
class Lists:
    """Rows of all lists, (n,) each: `tenant`, `customer` and `fold` as int64 codes, `score`, and `label` as 0 and 1.

    A customer's code is the same on all dates, and no other tenant has it.
    """

    tenant: Any
    customer: Any
    fold: Any
    score: Any
    label: Any

    def each(self) -> Iterator[Any]:
        """The places of each list's rows, ascending by score."""
        if not len(self.label):
            return
        order = np.lexsort((self.score, self.fold, self.tenant))
        tenant, fold = self.tenant[order], self.fold[order]
        starts = np.flatnonzero((tenant[1:] != tenant[:-1]) | (fold[1:] != fold[:-1])) + 1
        yield from np.split(order, starts)


def auc_over_folds(rows: Lists) -> Estimate:
    """The chance that a converter outranks another customer of the same list, ties half; 0.5 is chance.

    Sum of w A over lists, w = positives x negatives. The variance is that of clusters (Obuchowski 1997): a cluster's
    part is the sum of its rows' structural components, of customers, or from `CLUSTERS` tenants with both outcomes on
    the larger one of customers and tenants. The interval is on the logit scale. Raises EvidenceError where no list has
    both outcomes.
    """
    parts, pairs, sums, fewest = np.zeros(len(rows.label)), 0, 0.0, 0
    found = []
    for there in rows.each():
        labels = rows.label[there]
        positives = int(labels.sum())
        negatives = len(labels) - positives
        if not positives or not negatives:
            continue
        placed = _placements(rows.score[there], labels, positives, negatives)
        value = float(placed[labels == 1].mean())
        weight = positives * negatives
        parts[there] = weight * (placed - value) / np.where(labels == 1, positives, negatives)
        found.append((int(rows.tenant[there[0]]), weight, value))
        pairs, sums, fewest = pairs + weight, sums + weight * value, fewest + min(positives, negatives)
    if not pairs:
        raise EvidenceError("AUC over folds: no list has both converters and others; wait for outcomes")
    value = sums / pairs
    variance = clustered_variance(rows.customer, parts) / pairs**2
    tenants = np.array([one[0] for one in found])
    if len(np.unique(tenants)) >= CLUSTERS:
        spread = (
            clustered_variance(tenants, np.array([weight * (area - value) for _, weight, area in found])) / pairs**2
        )
        variance = max(variance, spread)
    return logit_interval(value, variance, len(rows.label), fewest=fewest)


def lift_over_folds(rows: Lists, share: float = TOP) -> Estimate:
    """How often the top `share` of each list converts, over how often the list's customers convert.

    Sum over lists of the top's conversions / sum of `share` x the list's conversions. Equal scores at the edge count in
    proportion. The interval is on the logarithm, of a ratio of sums over clusters (Cochran 1977, 6.4), its variance at
    least the binomial one of the tops, and no higher than what is possible. Raises EvidenceError without conversions.
    """
    hit, expected = np.zeros(len(rows.label)), share * rows.label.astype(float)
    most = taken = binomial = 0.0
    for there in rows.each():
        labels = rows.label[there]
        positives, wanted = int(labels.sum()), share * len(labels)
        inside = _top(rows.score[there], wanted)
        hit[there] = inside * labels
        if positives:
            hits = float(hit[there].sum())
            binomial += hits * (1 - min(1.0, hits / wanted))
            most, taken = most + min(positives, wanted), taken + wanted
    if not expected.sum():
        raise EvidenceError("lift over folds: no list has a conversion; wait for outcomes")
    hits, usual = float(hit.sum()), float(expected.sum())
    value = hits / usual
    least = max(hits, 0.5)
    variance = max(binomial / least**2, 1 / least if hits < 1 else 0.0)
    if hits:
        apart = hit - value * expected
        variance = max(variance, clustered_variance(rows.customer, apart) / hits**2)
        if len(np.unique(rows.tenant[rows.label == 1])) >= CLUSTERS:
            variance = max(variance, clustered_variance(rows.tenant, apart) / hits**2)
    centre, half = log(least / usual), Z * sqrt(variance)
    low, high = exp(centre - half), min(most / usual, exp(centre + half))
    return Estimate(value, min(value, low), max(value, high), round(taken))


def _placements(scores: Any, labels: Any, positives: int, negatives: int) -> Any:
    """For each row, (n,), the share of the other class's rows that it stands on the right side of, ties half."""
    _, place = np.unique(scores, return_inverse=True)
    hits = np.bincount(place, weights=labels)
    others = np.bincount(place) - hits
    below = np.cumsum(others) - others + others / 2
    above = positives - (np.cumsum(hits) - hits / 2)
    return np.where(labels == 1, below[place] / negatives, above[place] / positives)


def _top(scores: Any, wanted: float) -> Any:
    """How much of each row of a list, ascending by score, is among its `wanted` likeliest; in [0, 1]."""
    _, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place)
    above = counts.sum() - np.cumsum(counts)
    return np.clip((wanted - above) / counts, 0, 1)[place]


def clustered_variance(codes: Any, parts: Any) -> float:
    """The variance of a sum of parts, (n,), of mean 0, that are independent between clusters (codes, (n,)) only."""
    _, cluster = np.unique(codes, return_inverse=True)
    sums = np.bincount(cluster, weights=parts)
    return float((sums**2).sum() * len(sums) / max(1, len(sums) - 1))
