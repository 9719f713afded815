"""The reason why a tenant stands on its rung, as a sentence for the people of that tenant."""

from __future__ import annotations

from math import exp

from propensity.ladder.domain.evidence import MIN_HELD
from propensity.ladder.domain.rungs import Evidence, SegmentModel
from propensity.pack.domain.model_spec import LadderSpec
from propensity.registry.domain.ladder import Rung

_NAMES: dict[Rung, str] = {
    "heuristic": "its own rate for everyone",
    "global": "the global model",
    "intercept": "the global model with an intercept of its own",
    "segment": "the model of its segment",
    "own": "a model of its own",
}


def reason(
    rung: Rung,
    evidence: Evidence,
    spec: LadderSpec,
    segment: tuple[str | None, SegmentModel | None],
    shift: float,
    rarer: int,
) -> str:
    """Return the reason for a tenant's rung as a sentence.

    `segment` has the name of the tenant's segment and the segment's model, None where there is none. `shift` is the
    tenant's intercept in logits. `rarer` is the tenant's number of training rows of the rarer class.
    """
    held_out = f"{evidence.held_rows} rows held out forward in time"
    if rung == "global":
        return f"The global model: {_why_not_more(evidence, spec, rarer, held_out)}."
    gain = evidence.gains[rung]
    shown = (
        f"log loss lower by {gain.value:.4f} a row{_interval(gain.low, gain.high)} than {_NAMES[gain.over]} on "
        f"{gain.n} rows"
    )
    match rung:
        case "heuristic":
            return f"Its own rate for everyone, so that nobody is ranked: {shown}; the models mislead here."
        case "intercept":
            direction = "more" if shift > 0 else "less"
            return (
                f"The global model with its odds times {exp(shift):.2f}: its customers do it {direction} often than "
                f"that expects; {shown}."
            )
        case "segment" if segment[1]:
            pooled = segment[1].gain
            return (
                f"The model of segment {segment[0]}: on {pooled['n']} rows of its {segment[1].tenants} tenants log "
                f"loss lower by {pooled['value']:.4f} a row{_interval(pooled['low'], pooled['high'])} than where they "
                "stood, and its own rows do not speak against it."
            )
    return f"A model of its own, from {evidence.rows} rows with {evidence.positives} positives: {shown}."


def _why_not_more(evidence: Evidence, spec: LadderSpec, rarer: int, held_out: str) -> str:
    if not evidence.held_rows:
        return "no row of it could be held out forward in time yet"
    if evidence.held_rows < spec.min_rows_intercept and rarer < spec.min_positives_own:
        return (
            f"{held_out}, an intercept takes {spec.min_rows_intercept}; {rarer} positives in training (or negatives, "
            f"where those are fewer), a model of its own takes {spec.min_positives_own}"
        )
    tried = [_NAMES[name] for name in evidence.gains if name != "heuristic"]
    if not tried:
        return f"too little of it was held out to tell ({evidence.held_positives} positives, {MIN_HELD} are needed)"
    own = (
        ""
        if rarer >= spec.min_positives_own
        else f"; a model of its own takes {spec.min_positives_own} positives, it has {rarer}"
    )
    listed = ", ".join(tried[:-1]) + (" and " if tried[1:] else "") + tried[-1]
    return f"{listed} did no better beyond chance on {held_out}{own}"


def _interval(low: float | None, high: float | None) -> str:
    """Format the interval of a gain; empty where the interval has no end."""
    return f" (95 % interval {low:.4f} to {high:.4f})" if low is not None else ""
