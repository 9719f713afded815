"""training.json of a run: which rows the training set has, which were left out and why, and the set's hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from propensity.kernel.spec import Record
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.training.content_hash import ContentHash
from propensity.training.data import Chosen, TrainingData, chosen_of, read_training
from propensity.training.domain.training_set import LEFT_OUT, Rates, TrainingSet


def hash_of(definition: Definition) -> ContentHash:
    """Return an empty hash for the training set of a definition; rows are added later."""
    return ContentHash(
        ["tenant_id", "customer_id", "as_of", "label", "fit_weight", "valid_weight", *definition.feature_names]
    )


def read_hashed(
    ports: Ports, keys: Sequence[str], definition: Definition, columns: Sequence[str] = ()
) -> tuple[TrainingData, str]:
    """Return the training set of a run's files, and its hash: 64 hex digits."""
    hashed = hash_of(definition)
    return read_training(ports, keys, definition, columns, hashed=hashed), hashed.hexdigest()


class FittedRows(Record):
    """The number of rows that take part in fits."""

    rows: int
    positives: int


class Sampled(Record):
    """The shares of the rows of a date, in (0, 1], that a cap leaves: for fits by label, and for validation.

    `validation` is None for a date that is not validated on.
    """

    negatives: float
    positives: float
    validation: float | None


class DateReport(Record):
    """The rows of one as-of date: population = `rows` (kept) + `left_out` (by reason). `window` is [start, end)."""

    as_of: str
    window: tuple[str, str]
    population: int
    left_out: Mapping[str, int]
    rows: int
    positives: int
    treated: int
    sampled: Sampled


class TreatmentReport(Record):
    """What the model does with rows of customers under treatment: `rows` were kept, and `left_out` were not."""

    policy: str
    description: str
    weight: float | None
    rows: int
    left_out: int


class TrainingReport(Record):
    """The content of training.json. An early run, which left no row out, has only the fields without a default.

    `hash` is the hash of the training set, 64 hex digits. `silent_tenants` has each silent tenant with the day after
    its newest event. `limits` has sentences for whoever uses the model.
    """

    model: str
    as_of: str
    hash: str
    columns: Sequence[str]
    seed: int
    silver: Mapping[str, int]
    retracted: Mapping[str, Sequence[tuple[str, str]]]
    rows: int
    positives: int
    fitted: FittedRows
    population: int = 0
    left_out: Mapping[str, int] = {}
    dates: Sequence[DateReport] = ()
    closed_tenants: Sequence[str] = ()
    silent_tenants: Mapping[str, str] = {}
    treatment: TreatmentReport | None = None
    max_rows: int | None = None
    limits: Sequence[str] = ()
    packages: Mapping[str, str] = {}


def training_report(
    plan: TrainingPlan,
    built: Sequence[BuildResult],
    definition: Definition,
    data: TrainingData,
    digest: str,
) -> dict[str, Any]:
    """Return the run's `TrainingReport`, as JSON.

    `built` are the results of build_features, and `digest` is the training set's hash. Raises ConflictError where the
    rows kept and the rows left out do not add up to the population.
    """
    chosen = chosen_of(built, plan, definition)
    report = TrainingReport(
        model=plan.model,
        as_of=plan.as_of,
        hash=digest,
        columns=definition.feature_names,
        seed=definition.model.training.seed,
        silver=plan.silver,
        retracted=plan.retracted,
        rows=len(data.labels),
        positives=int(data.labels.sum()),
        fitted=FittedRows(rows=int(data.fitted.sum()), positives=int(data.labels[data.fitted].sum())),
    )
    counts = _counts(plan, built, definition.model, chosen) if chosen else {}
    return report.model_copy(update=counts).to_json()


def _counts(plan: TrainingPlan, built: Sequence[BuildResult], spec: ModelSpec, chosen: Chosen) -> dict[str, Any]:
    """Return the fields of a `TrainingReport` that say which customers were left out."""
    rows = chosen.rows
    left_out = {reason: sum(rows.left_out.get((day, reason), 0) for day in rows.population) for reason in LEFT_OUT}
    return {
        "population": sum(rows.population.values()),
        "left_out": {reason: count for reason, count in left_out.items() if count},
        "rows": rows.rows,
        "positives": rows.positives,
        "dates": [_date(day, rows, chosen.rates, spec) for day in sorted(rows.population)],
        "closed_tenants": sorted(plan.closed),
        "silent_tenants": {tenant: day.isoformat() for tenant, day in rows.silent.items()},
        "treatment": _treatment(spec, rows, left_out["treated"]),
        "max_rows": spec.training.max_rows,
        "limits": _limits(spec, rows, left_out),
        "packages": {name: version for result in built for name, version in result.packages.items()},
    }


def _date(day: date, rows: TrainingSet, rates: Rates, spec: ModelSpec) -> DateReport:
    window = spec.label_window(day)
    strata = [stratum for stratum in rows.strata if stratum.as_of == day]
    left_out = {reason: rows.left_out.get((day, reason), 0) for reason in LEFT_OUT}
    return DateReport(
        as_of=day.isoformat(),
        window=(window.start.isoformat(), window.end.isoformat()),
        population=rows.population[day],
        left_out={reason: count for reason, count in left_out.items() if count},
        rows=sum(stratum.rows for stratum in strata),
        positives=sum(stratum.rows for stratum in strata if stratum.label == 1),
        treated=sum(stratum.treated for stratum in strata),
        sampled=Sampled(negatives=rates.fit[0], positives=rates.fit[1], validation=rates.valid.get(day)),
    )


def _treatment(spec: ModelSpec, rows: TrainingSet, left_out: int) -> TreatmentReport | None:
    if spec.treatment is None:
        return None
    return TreatmentReport(
        policy=spec.treatment.policy,
        description=spec.treatment.description,
        weight=spec.treatment.weight,
        rows=rows.treated,
        left_out=left_out,
    )


def _limits(spec: ModelSpec, rows: TrainingSet, left_out: Mapping[str, int]) -> list[str]:
    limits = []
    if spec.treatment and rows.treated:
        share = f"{rows.treated} of {rows.rows} training rows ({rows.treated / rows.rows:.1%})"
        if spec.treatment.policy == "keep":
            limits.append(
                f"{share} were under a campaign in their window and count as any other: scores hold its effect"
            )
        else:
            limits.append(f"{share} were under a campaign in their window and count {spec.treatment.weight:g} each")
    if left_out["treated"]:
        limits.append(
            f"{left_out['treated']} rows under a campaign were left out: scores are of customers nobody approached"
        )
    unseen = sum(left_out[reason] for reason in ("tenant_closed", "censored", "tenant_silent"))
    if unseen:
        limits.append(f"{unseen} rows whose outcome could not be seen were left out")
    return limits
