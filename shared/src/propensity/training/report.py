"""What stands in a run's training.json: who the training set is, who was left out and why, and its hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from propensity.lake.domain.run_records import Built, TrainingPlan
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.training.content_hash import ContentHash
from propensity.training.data import TrainingData, chosen_of, read_training
from propensity.training.domain.training_set import REASONS, Rates, TrainingSet


def hash_of(definition: Definition) -> ContentHash:
    """An empty hash for a definition's training set."""
    return ContentHash(
        ["tenant_id", "customer_id", "as_of", "label", "fit_weight", "valid_weight", *definition.feature_names]
    )


def read_hashed(
    ports: Ports, keys: Sequence[str], definition: Definition, columns: Sequence[str] = ()
) -> tuple[TrainingData, str]:
    """The training set of a run's files, and its hash: 64 hex digits."""
    hashed = hash_of(definition)
    return read_training(ports, keys, definition, columns, hashed=hashed), hashed.hexdigest()


def training_report(
    plan: TrainingPlan,
    built: Sequence[Built],
    definition: Definition,
    data: TrainingData,
    digest: str,
) -> dict[str, Any]:
    """`built`: what build_features says of the run's items.

    Per as-of date: window, population, rows left out by reason, rows kept, positives, treated, and what fits take.

    Raises ConflictError where rows in are not rows kept and rows left out.
    """
    spec = definition.model
    chosen = chosen_of(built, plan, definition)
    report: dict[str, Any] = {
        "model": plan.model,
        "as_of": plan.as_of,
        "hash": digest,
        "columns": list(definition.feature_names),
        "seed": spec.training.seed,
        "silver": plan.silver,
        "retracted": plan.retracted,
        "rows": len(data.labels),
        "positives": int(data.labels.sum()),
        "fitted": {"rows": int(data.fitted.sum()), "positives": int(data.labels[data.fitted].sum())},
    }
    if chosen is None:
        return report
    found = chosen.found
    out = {reason: sum(found.left_out.get((day, reason), 0) for day in found.population) for reason in REASONS}
    return report | {
        "population": sum(found.population.values()),
        "left_out": {reason: rows for reason, rows in out.items() if rows},
        "rows": found.rows,
        "positives": found.positives,
        "dates": [_date(day, found, chosen.rates, spec) for day in sorted(found.population)],
        "closed_tenants": sorted(plan.closed),
        "silent_tenants": {tenant: day.isoformat() for tenant, day in found.silent.items()},
        "treatment": _treatment(spec, found, out["treated"]),
        "max_rows": spec.training.max_rows,
        "limits": _limits(spec, found, out),
        "packages": {name: version for result in built for name, version in result.packages.items()},
    }


def _date(day: date, found: TrainingSet, rates: Rates, spec: ModelSpec) -> dict[str, Any]:
    window = spec.label_window(day)
    strata = [one for one in found.strata if one.as_of == day]
    rows, positives = sum(one.rows for one in strata), sum(one.rows for one in strata if one.label == 1)
    out = {reason: found.left_out.get((day, reason), 0) for reason in REASONS}
    return {
        "as_of": day.isoformat(),
        "window": [window.start.isoformat(), window.end.isoformat()],
        "population": found.population[day],
        "left_out": {reason: count for reason, count in out.items() if count},
        "rows": rows,
        "positives": positives,
        "treated": sum(one.treated for one in strata),
        "sampled": {"negatives": rates.fit[0], "positives": rates.fit[1], "validation": rates.valid.get(day)},
    }


def _treatment(spec: ModelSpec, found: TrainingSet, left_out: int) -> dict[str, Any] | None:
    if spec.treatment is None:
        return None
    told = {"policy": spec.treatment.policy, "description": spec.treatment.description}
    return told | {"weight": spec.treatment.weight, "rows": found.treated, "left_out": left_out}


def _limits(spec: ModelSpec, found: TrainingSet, out: Mapping[str, int]) -> list[str]:
    """Sentences for whoever uses the model."""
    told = []
    if spec.treatment and found.treated:
        share = f"{found.treated} of {found.rows} training rows ({found.treated / found.rows:.1%})"
        if spec.treatment.policy == "keep":
            told.append(f"{share} were under a campaign in their window and count as any other: scores hold its effect")
        else:
            told.append(f"{share} were under a campaign in their window and count {spec.treatment.weight:g} each")
    if out["treated"]:
        told.append(f"{out['treated']} rows under a campaign were left out: scores are of customers nobody approached")
    unseen = sum(out[reason] for reason in ("tenant_closed", "censored", "tenant_silent"))
    if unseen:
        told.append(f"{unseen} rows whose outcome could not be seen were left out")
    return told
