"""The calibrator: a small table that maps a model's raw probability to a calibrated probability.

On the logit scale the map is straight between the table's knots, and goes straight on beyond the outer knots. The map
always rises, so it never changes a ranking. Platt's sigmoid has two knots; isotonic regression has one per block of
pooled rows.
The table stays outside the ONNX graph, where isotonic calibration was off by up to 0.04
(docs/decisions/0010-the-calibrator-is-a-table-beside-the-graph.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from propensity.kernel.errors import ConflictError
from propensity.stats.figures import is_ascending
from propensity.stats.logistic_line import Likelihood, LogitLine, Scale, fit_line

# `table` means 20 pooled bins, the method before isotonic regression came
CalibrationMethod = Literal["none", "sigmoid", "isotonic", "table"]
_CLIP = 1e-7  # keeps the logits of 0 and 1 finite
_BLOCK = 100  # the least number of rows behind a knot; fewer rows would follow chance
# the least number of rows of each outcome behind a knot, and the number at which half of a correction counts
_EVIDENCE = 20
_MIN_RISE = 1e-3  # the least distance of neighbouring knots in logits, so that no two scores become one


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration by knots. `raw` and `calibrated` each hold at least two ascending logits, one per knot.

    `rows` and `positives` count the rows that the calibration was fitted on. Raises ConflictError for knots of any
    other form.
    """

    method: CalibrationMethod
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]
    rows: int
    positives: int

    def __post_init__(self) -> None:
        whole = len(self.raw) == len(self.calibrated) >= 2
        if not (whole and is_ascending(self.raw) and is_ascending(self.calibrated)):
            raise ConflictError("calibration: knots must be two ascending lists of one length, two at least")

    def apply(self, raw: Any) -> Any:
        """The calibrated probabilities, float64 of shape (n,), for raw probabilities in [0, 1]."""
        x = logit(raw)
        knots, values = np.asarray(self.raw), np.asarray(self.calibrated)
        y = np.interp(x, knots, values)
        first = (values[1] - values[0]) / (knots[1] - knots[0])
        last = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
        y = np.where(x < knots[0], values[0] + (x - knots[0]) * first, y)
        y = np.where(x > knots[-1], values[-1] + (x - knots[-1]) * last, y)
        return 1 / (1 + np.exp(-y))

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "raw_logit": list(self.raw),
            "calibrated_logit": list(self.calibrated),
            "rows": self.rows,
            "positives": self.positives,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Calibration:
        return Calibration(
            method=value["method"],
            raw=tuple(value["raw_logit"]),
            calibrated=tuple(value["calibrated_logit"]),
            rows=value["rows"],
            positives=value["positives"],
        )


def logit(p: Any) -> Any:
    clipped = np.clip(np.asarray(p, dtype=np.float64), _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))


def identity(rows: int = 0, positives: int = 0, offset: float = 0.0) -> Calibration:
    """The calibration that takes `offset` off the logit of a raw score and changes nothing else.

    Class weights put this offset into the logit (stats/imbalance.py).
    """
    return Calibration("none", (0.0, 1.0), (-offset, 1.0 - offset), rows, positives)


def fit_sigmoid(raw: Any, labels: Any, weights: Any = None) -> Calibration:
    """Platt's sigmoid (1999) on the logit. It has two parameters, and smooths the targets as Platt does.

    `weights` say how much each row counts: float64 (n,), above 0. Without `weights` each row counts once. A slope that
    is not positive would turn the ranking around. Scores with such a slope say nothing of these rows: every score
    becomes the rate of the rows, and the scores keep their order.
    """
    x, y = logit(raw), np.asarray(labels, dtype=np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    positives = int(y.sum())
    ones, zeros = float(w @ y), float(w @ (1 - y))
    target = np.where(y > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    mean = float(np.average(x, weights=w))
    scale = Scale.of(mean, float(np.average((x - mean) ** 2, weights=w)) ** 0.5)
    scaled = (x - scale.centre) / scale.spread

    def likelihood(line: LogitLine) -> Likelihood:
        z = line.intercept + line.slope * scaled
        p = np.exp(-np.logaddexp(0.0, -z))
        miss, weight = w * (target - p), w * p * (1 - p)
        loss = float(np.sum(w * (np.logaddexp(0.0, z) - target * z)))
        information = float(weight.sum()), float(weight @ scaled), float(weight @ (scaled * scaled))
        return Likelihood(loss, (float(miss.sum()), float(miss @ scaled)), information)

    intercept, slope = scale.back(fit_line(likelihood, scale.identity)[0])
    if slope < _MIN_RISE:
        slope, intercept = _MIN_RISE, float(logit(np.average(target, weights=w)) - _MIN_RISE * mean)
    return Calibration("sigmoid", (0.0, 1.0), (intercept, slope + intercept), len(y), positives)


def fit_isotonic(raw: Any, labels: Any, weights: Any = None) -> Calibration:
    """Isotonic regression by pooling adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002), drawn as a line.

    `weights` are those of `fit_sigmoid`. A step function would give many customers one score. So the blocks of the
    regression are joined until each block counts `_BLOCK` rows, and `_EVIDENCE` rows of each outcome. Each block is
    then a knot at its mean logit. The knot's value is the sigmoid's, corrected by how far the block's rate is from the
    rate that the sigmoid says.

    Pooling keeps the luckiest rows at the top: left as it is, the top percent was over-predicted by 9 to 28 %. So a
    correction away from the middle counts by its evidence only, and beyond the outer knots the line is no steeper than
    the sigmoid. Where fewer than two knots are left, the result is that of `fit_sigmoid`.
    The regression is written in this module, because scikit-learn's is in a layer that does not fit beside pyarrow.
    """
    x, y = logit(raw), np.asarray(labels, dtype=np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    sigmoid = fit_sigmoid(raw, labels, weights)
    level, slope = sigmoid.calibrated[0], sigmoid.calibrated[1] - sigmoid.calibrated[0]
    places, of_row = np.unique(x, return_inverse=True)
    summed = (w, w * x, w * y, w * sigmoid.apply(raw))
    sums = [np.bincount(of_row, weights=one, minlength=len(places)) for one in summed]
    # each block has four sums: of weights, of weighted logits, of the positives' weights, of the sigmoid's positives
    pooled: list[list[float]] = []
    for place in zip(*(part.tolist() for part in sums), strict=True):
        pooled.append(list(place))
        while len(pooled) > 1 and pooled[-2][2] * pooled[-1][0] >= pooled[-1][2] * pooled[-2][0]:
            _join(pooled)
    blocks: list[list[float]] = []
    for block in pooled:
        blocks.append(block)
        while len(blocks) > 1 and (_is_small(blocks[-2]) or _rate(blocks[-2]) >= _rate(blocks[-1])):
            _join(blocks)
    while len(blocks) > 1 and (_is_small(blocks[-1]) or _rate(blocks[-2]) >= _rate(blocks[-1])):
        _join(blocks)
    middle = float(np.average(x, weights=w))
    knots: list[float] = []
    values: list[float] = []
    for block in blocks:
        knot, correction = block[1] / block[0], float(logit(_rate(block)) - logit(_rate(block, 3)))
        if (knot > middle) == (correction > 0):
            correction *= _fewest(block) / (_fewest(block) + _EVIDENCE)
        value = level + slope * knot + correction
        if knots and (knot - knots[-1] < _MIN_RISE or value - values[-1] < _MIN_RISE):
            continue
        knots.append(knot)
        values.append(value)
    if len(knots) < 2:
        return sigmoid
    low, high = (min(slope, (values[at] - values[at - 1]) / (knots[at] - knots[at - 1])) for at in (1, -1))
    return Calibration(
        "isotonic",
        (knots[0] - 1, *knots, knots[-1] + 1),
        (values[0] - low, *values, values[-1] + high),
        len(y),
        int(y.sum()),
    )


FITS: dict[str, Callable[[Any, Any, Any], Calibration]] = {"sigmoid": fit_sigmoid, "isotonic": fit_isotonic}


def choose(
    raw: Any, labels: Any, weights: Any, older: Any, newest: Any, methods: Sequence[str]
) -> tuple[str, Any, dict[str, float]]:
    """The calibration method with the least log loss on the `newest` rows. Each method is fitted on the `older` rows.

    `older` and `newest` are masks, and neither is empty. Returns the method's name, its probabilities of the newest
    rows, and the log loss of each method. Where two methods have equal losses, the first method wins.
    """
    fitted = {method: FITS[method](raw[older], labels[older], weights[older]).apply(raw[newest]) for method in methods}
    losses = {method: mean_log_loss(p, labels[newest], weights[newest]) for method, p in fitted.items()}
    best = min(methods, key=lambda method: losses[method])
    return best, fitted[best], losses


def mean_log_loss(probabilities: Any, labels: Any, weights: Any) -> float:
    """The mean of `row_losses` in nats. Each row counts as much as its weight."""
    return float(np.average(row_losses(probabilities, np.asarray(labels)), weights=weights))


def row_losses(probabilities: Any, labels: Any) -> Any:
    """The log loss of each row: -ln of the probability of what happened, float64 (n,), in nats. Labels are 0 and 1."""
    clipped = np.clip(probabilities, _CLIP, 1 - _CLIP)
    return -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))


def _join(pools: list[list[float]]) -> None:
    last = pools.pop()
    pools[-1] = [before + after for before, after in zip(pools[-1], last, strict=True)]


def _rate(pool: list[float], positives: int = 2) -> float:
    # half a positive and half a negative are added, so that a block without positives or negatives has a finite logit
    return (pool[positives] + 0.5) / (pool[0] + 1.0)


def _fewest(pool: list[float]) -> float:
    return min(pool[2], pool[0] - pool[2])


def _is_small(pool: list[float]) -> bool:
    return pool[0] < _BLOCK or _fewest(pool) < _EVIDENCE
