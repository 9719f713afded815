"""Challenger against champion on the same rows: differences row by row with bootstrap intervals, and their gates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from propensity.evaluation.domain.gates import Gate, number
from propensity.pack.domain.model_spec import Gates, ModelSpec
from propensity.stats.calibration import row_losses
from propensity.stats.figures import Estimate
from propensity.stats.sampling import spread
from propensity.stats.within_tenant import CLUSTERS

RESAMPLES = 1_000
PAIRED_ROWS = 20_000  # at most this many rows are compared; with as many, the interval is narrow enough to decide
_CHUNK = 50  # resamples that are held at a time: 8 MB of weights with PAIRED_ROWS rows


@dataclass(frozen=True, slots=True)
class Paired:
    """The differences of two models on the same rows: the challenger's figures less the champion's.

    `log_loss` is in nats, and lower is better. `auc` is that within tenants, None where no tenant has both classes.
    `champion_log_loss` is the champion's own log loss, because the tolerance is a share of it.
    """

    log_loss: Estimate
    auc: Estimate | None
    champion_log_loss: float


def overlap(day: str, dates: Collection[str], spec: ModelSpec) -> bool:
    """Whether the label window of as-of date `day` shares days with the label window of any of `dates`.

    If the windows share days, a model that was fitted on `dates` has seen some outcomes of `day`, and has the easier
    task.
    """
    own = date.fromisoformat(day)
    window_days = spec.horizon_days - spec.gap_days
    return any(abs((own - date.fromisoformat(other)).days) < window_days for other in dates)


def paired(labels: Any, challenger: Any, champion: Any, seed: int, tenants: Any = None) -> Paired:
    """Compare two scores of the same rows. Equal input gives equal figures.

    `labels` are 0 and 1; labels, scores and tenants are (n,) each, n > 0. Without `tenants` all rows are one tenant's.
    The AUC compares each row with rows of its tenant. Rows are drawn again with Poisson(1) weights (Hanley
    and MacGibbon 2006), the same weights for both models. Intervals are the 2.5 % and 97.5 % quantiles of the
    differences (Efron and Tibshirani 1993, 13). For the AUC, tenants are drawn in place of rows where `CLUSTERS` or
    more have both classes, because what is special about one tenant shifts all of its rows.
    """
    if len(labels) > PAIRED_ROWS:
        some = spread(len(labels), PAIRED_ROWS)
        labels, challenger, champion = labels[some], challenger[some], champion[some]
        tenants = None if tenants is None else tenants[some]
    y = np.asarray(labels, dtype=np.float64)
    gaps, theirs = row_losses(challenger, y) - row_losses(champion, y), row_losses(champion, y)
    parts = _parts(y, tenants)
    pairs = [_Pair(challenger, champion, y, part) for part in parts]
    by_rows = 0 < len(parts) < CLUSTERS
    chance = np.random.default_rng(seed)
    losses: list[Any] = []
    areas: list[Any] = []
    for _ in range(RESAMPLES // _CHUNK):
        weights = chance.poisson(1.0, (_CHUNK, len(y))).astype(np.float64)
        losses.append(weights @ gaps / np.maximum(weights.sum(axis=1), 1))
        if by_rows:
            areas.append(_mean_gap(*zip(*(pair.gap(weights) for pair in pairs), strict=True)))
    area = None
    if parts:
        gap, size = (np.array(found) for found in zip(*(pair.gap(np.ones((1, len(y)))) for pair in pairs), strict=True))
        if not by_rows:
            drawn = chance.poisson(1.0, (len(parts), RESAMPLES)).astype(np.float64)
            areas.append(_mean_gap(np.broadcast_to(gap, drawn.shape), size * drawn))
        area = _estimate(float(_mean_gap(gap, size)[0]), areas, sum(len(part) for part in parts))
    return Paired(
        _estimate(float(gaps.mean()), losses, len(y)),
        area,
        float(theirs.mean()),
    )


def _parts(labels: Any, tenants: Any) -> list[Any]:
    """Return the rows of each tenant that has both classes, as indices."""
    if tenants is None:
        parts = [np.arange(len(labels))]
    else:
        _, place = np.unique(tenants.astype(str), return_inverse=True)
        order = np.argsort(place, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    return [part for part in parts if 0 < labels[part].sum() < len(part)]


def _mean_gap(gaps: Any, sizes: Any) -> Any:
    """Return the mean of gaps by their sizes over the first axis; NaN where all sizes are 0."""
    gaps, sizes = np.asarray(gaps), np.asarray(sizes)
    total = sizes.sum(axis=0)
    return np.where(total > 0, np.where(sizes > 0, gaps * sizes, 0).sum(axis=0) / np.maximum(total, 1e-9), np.nan)


class _Pair:
    """The rows of one tenant, sorted by either model's scores."""

    def __init__(self, challenger: Any, champion: Any, labels: Any, part: Any) -> None:
        self._part, self._labels = part, labels[part]
        self._orders = [_Order(np.asarray(scores)[part], self._labels) for scores in (challenger, champion)]

    def gap(self, weights: Any) -> tuple[Any, Any]:
        """Return (challenger's AUC less the champion's, weight of pairs), float64 (m,) each, for weights (m, n)."""
        mine = weights[:, self._part]
        pairs = (mine @ self._labels) * (mine @ (1 - self._labels))
        return self._orders[0].auc(mine) - self._orders[1].auc(mine), pairs


class _Order:
    """Rows sorted by score once, equal scores together, so that the AUC of each weighting takes one pass."""

    def __init__(self, scores: Any, labels: Any) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = np.asarray(scores)[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._labels = labels[self._order]

    def auc(self, weights: Any) -> Any:
        """Return the AUC, float64 (m,), for weights (m, n); a tie counts half.

        The AUC is NaN where a resample has only one class.
        """
        weighed = weights[:, self._order]
        positives = np.add.reduceat(weighed * self._labels, self._starts, axis=1)
        negatives = np.add.reduceat(weighed * (1 - self._labels), self._starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        return np.where(pairs > 0, (positives * below).sum(axis=1) / np.maximum(pairs, 1), np.nan)


def _estimate(value: float, drawn: list[Any], n: int) -> Estimate:
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975])
    # with few rows the figure itself can lie outside the quantiles of its resamples
    return Estimate(value, min(value, float(low)), max(value, float(high)), n)


def paired_gates(name: str, found: Paired, said: str, limits: Gates) -> list[Gate]:
    """Return gates that fail where the challenger is proven to be worse by more than the tolerance.

    `said` begins the gates' sentences: against which champion, and on which rows.
    """
    most = limits.champion_tolerance * found.champion_log_loss
    made = [
        _gate(f"{name}_log_loss", found.log_loss, most, f"{said}: log loss is higher by", found.log_loss.low > most)
    ]
    if found.auc is not None:
        least = -limits.champion_tolerance
        made.append(
            _gate(f"{name}_auc", found.auc, least, f"{said}: AUC within tenants is higher by", found.auc.high < least)
        )
    return made


def _gate(name: str, found: Estimate, limit: float, said: str, worse: bool) -> Gate:
    figures = f"{found.value:+.4f} (95 % interval {found.low:+.4f} to {found.high:+.4f}, n {found.n:,})"
    result = f"proven to be worse than {limit:+.4f}" if worse else f"not proven to be worse than {limit:+.4f}"
    return Gate(name, found.value, limit, not worse, f"{said} {figures}, {result}", found.n, (found.low, found.high))


def unpaired(mine: Estimate, theirs: Estimate, why: str, limits: Gates, figure: str = "AUC") -> Gate:
    """Return a gate for the case that the champion's scores of these rows prove nothing.

    The gate compares two AUCs, each model's on its own newest fold. The rule is weak, because the folds have other
    customers in other months. It stops only a challenger whose whole interval is below the champion's. `why` says why
    the scores prove nothing. `figure` says which AUC the two are.
    """
    limit = theirs.low - limits.champion_tolerance
    passed = mine.high >= limit
    result = "not proven to be worse" if passed else "proven to be worse"
    said = (
        f"the champion's scores of these rows cannot be compared ({why}), so each is held by its own newest fold: "
        f"{figure} is {number(mine.value)} ({number(mine.low)} to {number(mine.high)}), the champion's was "
        f"{number(theirs.value)} ({number(theirs.low)} to {number(theirs.high)}): {result}"
    )
    return Gate("champion_auc", mine.value, limit, passed, said, mine.n, (mine.low, mine.high))
