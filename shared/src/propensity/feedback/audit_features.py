"""audit_features: compare what a batch was scored on with what a training on its day would read by now.

Features see what was known before their day, by the word of the source. Where a feed comes late, or changes what it
sent, a training reads rows that no batch of that day could have seen. Then the model learns from better features than
it is served, and its figures promise too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import EvidenceError, IncompleteRunError, NotFoundError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.appends import append_once
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import (
    BuildResult,
    ScoringPlan,
    ServedFeature,
    ServedReport,
    served_report_key,
)
from propensity.lake.gold_tables import AS_SERVED
from propensity.lake.json_objects import dumps
from propensity.lake.pins import pin_silver
from propensity.lake.run_files import read_plan, results_of
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports, Sql
from propensity.registry.batches import batch_runs
from propensity.registry.versions import load_version

_ROUNDING = 1e-5  # a sum of the same numbers in another order


def audit_features(ports: Ports, *, run: str, slot: str) -> dict[str, Any]:
    """Compute the features of a committed batch once more, over the newest Silver, and count the values that differ.

    The batch's own files hold the values that it was scored on: they were computed from the rows that had arrived by
    then. The counts go into gold/as_served per tenant and feature, and into `<run>/as_served.json` over all tenants,
    once a run. A metric counts the features whose share of differing customers is above the model's limit
    (`gates.as_served_share`).
    """
    plan = read_plan(ports.lake, run, ScoringPlan)
    version = load_version(ports.lake, plan.model, plan.version)
    definition = version.definition(ports.lake)
    pins = pin_silver(ports, definition)
    served = [result.features for result in results_of(ports.lake, run, BuildResult, len(plan.groups))]
    day = parse_day(plan.as_of, "as_of")
    with ports.sql() as sql:
        columns = ", ".join(f"{quote(name)}::float as {quote(name)}" for name in definition.feature_names)
        files = read_files(download(sql, ports.lake, served, "served"))
        sql.execute(f"create temp table served as select tenant_id, customer_id, {columns} from {files}")
        sql.execute("create temp table now_read as select * from served where false")
        key = "tenant_id" if pack_info(ports).partition_key == "tenant" else "customer_id"
        bucket = bucket_of(key, pins.bucket_count)
        for buckets in pins.groups(ports.rows_per_item):
            own = f"select tenant_id, customer_id, {columns} from features where {bucket} in ({_listed(buckets)})"
            _read_now(ports, sql, pins.sources(buckets), definition, day, own)
        _compare(sql, definition.feature_names)
        stamp = (
            f"{text(plan.model)} as model, {plan.version}::integer as model_version, {text(run)} as run, "
            f"{text(plan.as_of)}::date as as_of"
        )
        rows = "select tenant_id, feature, n, differing, differing / n as share from compared"
        append_once(ports, sql, AS_SERVED, f"select *, {stamp} from ({rows})", run)
        report = _report(sql, run, plan, slot, pins.versions(), definition.feature_names)
    ports.lake.put_new(served_report_key(run), dumps(report))
    limit = definition.model.gates.as_served_share
    above = sum(feature.differing > limit * feature.rows for feature in report.features.values())
    ports.metrics.count("FeaturesServedOtherwise", above, model=plan.model)
    return {"run": run, "model": plan.model, "rows": report.rows, "above_limit": above}


def _read_now(ports: Ports, sql: Sql, sources: Any, definition: Definition, day: date, own: str) -> None:
    """Add the features of a group of buckets to `now_read`, as a training on the day reads them now."""
    with ports.sql() as other:
        session = SilverSession(other, ports.lake, sources, definition)
        session.cut(day)
        session.features("features")
        path = other.scratch / "now.parquet"
        other.execute(f"copy ({own}) to {text(str(path))} (format parquet)")
        sql.execute(f"insert into now_read by name select * from {read_files([str(path)])}")


def _listed(buckets: Sequence[int]) -> str:
    return ", ".join(map(str, buckets))


def _compare(sql: Sql, features: Sequence[str]) -> None:
    """Make the table `compared`: tenant_id, feature, n, differing, of the customers that are on both sides."""
    counts = []
    for name in features:
        then, now = f"s.{quote(name)}", f"r.{quote(name)}"
        near = f"abs({then} - {now}) <= {_ROUNDING} * greatest(abs({then}), abs({now}))"
        same = f"({then} is not distinct from {now} or coalesce({near}, false))"
        counts.append(
            f"select s.tenant_id, {text(name)} as feature, count(*) as n, count(*) filter (not {same}) as differing "
            "from served s join now_read r using (tenant_id, customer_id) group by all"
        )
    sql.execute(f"create temp table compared as {' union all '.join(counts)}")


def _report(
    sql: Sql, run: str, plan: ScoringPlan, slot: str, silver: dict[str, int], features: Sequence[str]
) -> ServedReport:
    found = {
        name: ServedFeature(rows=int(rows), differing=int(differing))
        for name, rows, differing in sql.rows("select feature, sum(n), sum(differing) from compared group by 1")
    }
    [(gone,)] = sql.rows("select count(*) from served anti join now_read using (tenant_id, customer_id)")
    [(added,)] = sql.rows("select count(*) from now_read anti join served using (tenant_id, customer_id)")
    [(rows,)] = sql.rows("select count(*) from served")
    return ServedReport(
        run=run,
        model=plan.model,
        version=plan.version,
        as_of=plan.as_of,
        audited=parse_day(slot, "slot").isoformat(),
        silver=silver,
        rows=int(rows),
        gone=int(gone),
        added=int(added),
        features={name: found.get(name, ServedFeature(rows=0, differing=0)) for name in features},
    )


def audit_due(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Audit, once, every committed batch whose label window closed `settle_days` before the slot's day.

    From then on a training can take the batch's day as an as-of date. Rows that come later still are not counted. A
    batch that cannot be audited is named in `not_audited`, counted, and tried again the next day.
    """
    day = parse_day(slot, "slot")
    audited: list[dict[str, Any]] = []
    failed: list[str] = []
    for run in batch_runs(ports):
        if any(True for _ in ports.lake.keys(served_report_key(run))):
            continue
        plan = read_plan(ports.lake, run, ScoringPlan)
        model = load_version(ports.lake, plan.model, plan.version).definition(ports.lake).model
        closed = model.label_window(parse_day(plan.as_of, "as_of")).end + timedelta(days=model.settle_days)
        if closed <= day:
            try:
                audited.append(audit_features(ports, run=run, slot=slot))
            except (NotFoundError, IncompleteRunError, EvidenceError) as error:
                # one run whose files were removed does not stop the other runs from being audited
                failed.append(f"{run}: {error}")
    ports.metrics.count("RunsNotAudited", len(failed))
    return {"slot": day.isoformat(), "audited": audited, "not_audited": failed}
