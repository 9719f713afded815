"""Slices: parts of the customers, on each of which a version is judged by itself; with their figures and gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from propensity.evaluation.domain.gates import NAMED, Gate, number
from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate, difference, wilson

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SlicePart:
    """The customers with one value of a slice, on the newest validation fold. Example: region `north`.

    `expected` is the sum of their calibrated scores. `listed` counts their rows in the top tenth of their tenant's
    scores, and `hits` counts the positives among these rows. Rows with the score at the edge of a tenth count in
    proportion, so both counts may be fractions. `auc` is the part's own AUC within tenants, and `others_auc` that of
    all other rows. Each AUC is None where no tenant has positives and negatives among the rows.
    """

    slice: str
    value: str
    protected: bool
    rows: int
    positives: int
    expected: float
    listed: float
    hits: float
    auc: Estimate | None
    others_auc: Estimate | None

    @property
    def name(self) -> str:
        """The name of the part as sentences have it. Example: `region north`."""
        return f"{self.slice} {self.value}"

    def enough(self, least: int) -> bool:
        """Whether the part has at least `least` positives, and at least `least` negatives."""
        return min(self.positives, self.rows - self.positives) >= least

    @property
    def lag(self) -> Estimate | None:
        """How far the part's AUC is below the AUC of all others; None where one of the two is missing."""
        return difference(self.others_auc, self.auc) if self.auc and self.others_auc else None

    @property
    def calibration(self) -> Estimate:
        """Observed over expected positives: 1 is right; above 1 the scores are too low."""
        return wilson(self.positives, self.rows).scaled(self.rows / max(self.expected, 1e-9))

    @property
    def rates(self) -> tuple[Estimate, Estimate]:
        """The (true, false) positive rates: the share of the part's positives, and of its negatives, on the list."""
        others = self.rows - self.positives
        return wilson(self.hits, self.positives), wilson(self.listed - self.hits, others)

    def to_json(self, least: int) -> dict[str, Any]:
        """Return the part's line of slices.json. `least` is how many positives, and negatives, are enough evidence."""
        fields: dict[str, Any] = {
            "slice": self.slice,
            "value": self.value,
            "protected": self.protected,
            "n": self.rows,
            "positives": self.positives,
            "evidence": "enough" if self.enough(least) else "not enough evidence",
            "auc": asdict(self.auc) if self.auc else None,
            "auc_below_others": asdict(self.lag) if self.lag else None,
            "calibration": asdict(self.calibration),
        }
        if self.positives and self.rows > self.positives:
            true, false = self.rates
            fields |= {"true_positive_rate": asdict(true), "false_positive_rate": asdict(false)}
        return fields


def slice_gates(parts: Sequence[SlicePart], whole: SlicePart, limits: Gates) -> list[Gate]:
    """Return the gates for the slices: no slice may be worse than a stated gap.

    A gate fails only for a slice with enough evidence, and only by the bound of its interval.
    """
    judged = [part for part in parts if part.enough(limits.min_positives)]
    left = _unjudged([part for part in parts if part not in judged])
    return [
        _auc(judged, whole, limits, left),
        _calibration(judged, whole, limits, left),
        _fairness(judged, whole, limits),
    ]


def _unjudged(small: Sequence[SlicePart]) -> str:
    if not small:
        return ""
    largest = sorted(small, key=lambda part: (-part.rows, part.name))[:NAMED]
    named = ", ".join(f"{part.name} (n {part.rows:,}, {part.positives:,} positive)" for part in largest)
    more = f" and {len(small) - NAMED} smaller ones (slices.json)" if len(small) > NAMED else ""
    return f"; not enough evidence: {named}{more}"


def _auc(judged: Sequence[SlicePart], whole: SlicePart, limits: Gates, left: str) -> Gate:
    """Return the gate on the AUC of the slices.

    A slice fails that is proven to be far below the others, or proven to be below the floor for everyone. The others
    need as much evidence as the slice, because of 15 positives among them, one that is ranked low moves the lag.
    """
    gap = limits.slice_max_gap
    comparable = [part for part in judged if _rest(part, whole).enough(limits.min_positives)]
    lags = [(part.lag, part.name) for part in comparable if part.lag]
    if not lags:
        return Gate("slices_auc", None, gap, True, f"no slice can be judged{left}")
    worst, name = max(lags, key=lambda pair: (pair[0].value, pair[1]))
    low = [part.name for part in judged if part.auc and part.auc.high < limits.auc_floor]
    bad = sorted({far for lag, far in lags if lag.low > gap} | set(low))
    message = (
        f"of {len(lags)} slices {name} ranks worst: its AUC is below the others' by {_span(worst)}; proven to be more "
        f"than {number(gap)} below, or under {number(limits.auc_floor)}: {', '.join(bad) or 'none'}{left}"
    )
    return Gate("slices_auc", worst.value, gap, not bad, message, worst.n, (worst.low, worst.high))


def _calibration(judged: Sequence[SlicePart], whole: SlicePart, limits: Gates, left: str) -> Gate:
    """Return the gate on the calibration of the slices.

    A slice fails if its observed over expected is proven to be far from everyone's. The slice's figure is divided by
    everyone's, because a season that lifts all slices alike is no slice's fault. The interval is the slice's;
    everyone's figure is taken as known.
    """
    most = 1 + limits.slice_calibration_gap
    if not judged:
        return Gate("slices_calibration", None, (1 / most, most), True, f"no slice can be judged{left}")
    everyone = max(whole.calibration.value, 1e-9)
    ratios = [(part.calibration.scaled(1 / everyone), part.name) for part in judged]

    def distance(named: tuple[Estimate, str]) -> tuple[float, str]:
        value = max(named[0].value, 1e-9)
        return max(value, 1 / value), named[1]

    worst, name = max(ratios, key=distance)
    bad = [far for ratio, far in ratios if ratio.low > most or ratio.high < 1 / most]
    message = (
        f"of {len(judged)} slices {name} is furthest off: its observed over expected is {_span(worst)} times that of "
        f"everyone, {number(everyone)}; proven to be outside {number(1 / most)} to {number(most)}: "
        f"{', '.join(bad) or 'none'}{left}"
    )
    return Gate("slices_calibration", worst.value, (1 / most, most), not bad, message, worst.n, (worst.low, worst.high))


def _fairness(judged: Sequence[SlicePart], whole: SlicePart, limits: Gates) -> Gate:
    """Return the gate on equalised odds (Hardt, Price and Srebro 2016) on the top tenth's list.

    Each protected slice is compared with all others. Only protected slices are judged, because a model is there to give
    other rates to customers of, for example, another tenure.
    """
    gap = limits.fairness_gap
    gaps: list[tuple[Estimate, str]] = []
    for part in judged:
        rest = _rest(part, whole)
        if part.protected and rest.enough(limits.min_positives):
            pairs = zip(part.rates, rest.rates, ("true", "false"), strict=True)
            gaps += [(difference(mine, theirs), f"{part.name}, {kind} positive rate") for mine, theirs, kind in pairs]
    if not gaps:
        return Gate("fairness", None, gap, True, "no protected attribute has two values with enough evidence")
    worst, name = max(gaps, key=lambda pair: (abs(pair[0].value), pair[1]))
    bad = [far for found, far in gaps if found.low > gap or found.high < -gap]
    message = (
        f"largest difference to the others in who is on the top tenth's list: {name} {_span(worst)}; "
        f"proven to be more than {number(gap)}: {', '.join(bad) or 'none'}"
    )
    return Gate("fairness", abs(worst.value), gap, not bad, message, worst.n, (worst.low, worst.high))


def _rest(part: SlicePart, whole: SlicePart) -> SlicePart:
    """Return the counts of everyone but the customers of `part`."""
    return SlicePart(
        slice=part.slice,
        value="others",
        protected=part.protected,
        rows=whole.rows - part.rows,
        positives=whole.positives - part.positives,
        expected=whole.expected - part.expected,
        listed=whole.listed - part.listed,
        hits=whole.hits - part.hits,
        auc=part.others_auc,
        others_auc=part.auc,
    )


def _span(found: Estimate) -> str:
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)}, n {found.n:,})"
