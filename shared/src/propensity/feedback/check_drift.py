"""check_drift: compare a scoring run's features and scores with the training reference of its model version."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from propensity.feedback.reports import DriftReport, drift_key
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.appends import append_once
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import BuildResult, ScoreResult, ScoringPlan
from propensity.lake.gold_tables import DRIFT
from propensity.lake.json_objects import dumps
from propensity.lake.run_files import read_plan, results_of
from propensity.lake.session import download
from propensity.ports import Ports, Sql
from propensity.registry.batches import batch_runs
from propensity.registry.versions import load_version
from propensity.stats.drift import SCORE, Drift, drift_of


def check_drift(ports: Ports, *, run: str) -> dict[str, Any]:
    """Measure the PSI of each feature and of the score of a scoring run.

    The figures go into gold/drift, once a run, and into `<run>/drift.json`. One metric counts the columns that are over
    the limit, another the columns of which more values are missing than at training.
    """
    plan = read_plan(ports.lake, run, ScoringPlan)
    version = load_version(ports.lake, plan.model, plan.version)
    spec = version.definition(ports.lake).model
    reference = version.json(ports.lake, "reference.json")
    count = len(plan.groups)
    features = [result.features for result in results_of(ports.lake, run, BuildResult, count)]
    scores = [result.scored for result in results_of(ports.lake, run, ScoreResult, count)]
    with ports.sql() as sql:
        drifts = []
        for folder, keys, columns in (
            ("features", features, reference["features"]),
            ("scores", scores, {SCORE: reference["score"]}),
        ):
            source = read_files(download(sql, ports.lake, keys, folder))
            for name, bins in columns.items():
                counts = _counts(sql, source, name, bins["edges"])
                drifts.append(
                    drift_of(
                        name,
                        bins["counts"],
                        counts,
                        limit=spec.drift.psi_limit,
                        min_rows=spec.drift.min_rows,
                    )
                )
        _append(ports, sql, run, plan, drifts)
    report = DriftReport(
        run=run,
        model=plan.model,
        version=version.number,
        as_of=plan.as_of,
        reference_as_of=reference["as_of"],
        limit=spec.drift.psi_limit,
        features=len(drifts) - 1,
        over_threshold=sum(drift.over for drift in drifts),
        nulls_over=sum(drift.nulls_over for drift in drifts),
        columns=tuple(drifts),
    )
    ports.lake.put_new(drift_key(run), dumps(report.model_dump()))
    ports.metrics.count("DriftedColumns", report.over_threshold, model=plan.model)
    ports.metrics.count("ColumnsWithMoreNulls", report.nulls_over, model=plan.model)
    return report.model_dump(exclude={"reference_as_of", "limit", "columns"})


def _counts(sql: Sql, source: str, name: str, edges: list[float]) -> list[int]:
    """Return the rows per bin of the reference; the rows without a value come last."""
    column = f"{quote(name)}::double"
    place = " + ".join([f"({column} >= {edge!r}::double)::integer" for edge in edges]) or "0"
    bins = len(edges) + 1
    rows = sql.rows(
        f"select case when {column} is null or isnan({column}) then {bins} else {place} end as place, count(*) "
        f"from {source} group by place"
    )
    counts = [0] * (bins + 1)
    for where, count in rows:
        counts[where] = count
    return counts


def _append(ports: Ports, sql: Sql, run: str, plan: ScoringPlan, drifts: list[Drift]) -> None:
    sql.execute(
        "create temp table found "
        "(name varchar, psi double, noise double, reference_rows bigint, n bigint, over boolean, nulls_before double, "
        "nulls_now double, nulls_low double, nulls_high double, nulls_over boolean)"
    )
    for drift in drifts:
        sql.execute(
            "insert into found values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [getattr(drift, field.name) for field in fields(drift)],
        )
    stamp = (
        f"{text(plan.model)} as model, {plan.version}::integer as model_version, {text(run)} as run, "
        f"{text(plan.as_of)}::date as as_of"
    )
    append_once(ports, sql, DRIFT, f"select *, {stamp} from found", run)


def check_newest(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Check each model's newest batch that is not after the slot's day, unless the batch was checked before."""
    day = parse_day(slot, "slot").isoformat()
    newest: dict[str, tuple[str, str]] = {}
    for run in batch_runs(ports):
        plan = read_plan(ports.lake, run, ScoringPlan)
        if plan.as_of <= day:
            newest[plan.model] = max(newest.get(plan.model, ("", "")), (plan.as_of, run))
    unchecked = [run for _, run in newest.values() if not any(True for _ in ports.lake.keys(drift_key(run)))]
    return {"slot": day, "checked": [check_drift(ports, run=run) for run in unchecked]}
