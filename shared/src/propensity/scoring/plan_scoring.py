"""plan_scoring: decide which customers are scored, by which model version, and from which versions of Silver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from propensity.features.isolation import check_isolation
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.kernel.tenant import parse_tenant
from propensity.lake.domain.run_names import (
    Scope,
    batch_day,
    file_stem,
    parse_day,
    parse_scope,
    run_version,
    scoring_run,
)
from propensity.lake.domain.run_records import ScoreItem, ScoringPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import SCORES, feature_table, may_hold_day_until, score_file_day
from propensity.lake.json_objects import is_planned
from propensity.lake.pins import NEWEST, pin_silver
from propensity.lake.run_files import claim_plan, read_plan, write_items
from propensity.pack.current import pack_info
from propensity.ports import Ports, Snapshot
from propensity.registry.batches import Batch, gap_runs, last_batch
from propensity.registry.versions import Version, load_champion, load_version, newest_calibration, written_at

MOST_FRESH_DAYS = 3_650


@dataclass(frozen=True, slots=True)
class ScoreAge:
    """How old a score may be that a gap run leaves as it is: `days` before the run's day, for one tenant or for all.

    Without days, any score since the last batch is left as it is.
    """

    days: int | None = None
    tenant: str | None = None

    @staticmethod
    def parse(event: Mapping[str, Any]) -> ScoreAge:
        """Parse an event's `fresh_days` and `fresh_tenant`. Raises BadInputError naming the field."""
        days, tenant = event.get("fresh_days"), event.get("fresh_tenant")
        if days is not None and not (type(days) is int and 0 <= days <= MOST_FRESH_DAYS):
            raise BadInputError(f"fresh_days is {str(days)[:40]!r}, expected a number of days, 0 to {MOST_FRESH_DAYS}")
        return ScoreAge(days, None if tenant is None else parse_tenant(tenant))

    def since(self, day: date) -> date | None:
        return None if self.days is None else day - timedelta(days=self.days)


def plan_scoring(
    ports: Ports,
    *,
    model: str,
    as_of: str,
    scope: str,
    request: str | None = None,
    silver: SilverAt = NEWEST,
    freshness: ScoreAge = ScoreAge(),
) -> dict[str, Any]:
    """Plan a run and write its work items. A second call finds the first call's plan and goes on from it.

    A gap run scores the customers who have no score by the champion since its last batch, and those whose score is
    older than `freshness` allows. A gap run needs a `request` that tells it from the day's other gap runs. A run over
    another Silver than the newest has a name of its own, and no gap run builds on it. Returns the run's prefix and the
    key of the list of its items. Raises NotFoundError where there is no champion, for a gap run before the first batch,
    and for a table version that never existed. Raises PackError for a feature that rests on the rows of other tenants,
    and BadInputError for a batch that is told how fresh its scores must be: it makes all of them.
    """
    day, kind = parse_day(as_of, "as_of"), parse_scope(scope)
    if kind == "batch" and freshness.days is not None:
        raise BadInputError("fresh_days: expected only with scope gap; a batch scores everybody")
    champion = load_champion(ports.lake, model)
    apart = "-".join(name for name in (request if kind == "gap" else None, silver.name()) if name)
    run = scoring_run(model, day, kind, champion.number, apart)
    if not is_planned(ports.lake, run):
        definition = champion.definition(ports.lake)
        pins = pin_silver(ports, definition, silver)
        check_isolation(ports, definition, pins, day, pack_info(ports).partition_key)
    plan = claim_plan(ports.lake, run, _plan(ports, champion, day, kind, silver, freshness))
    if plan.version != champion.number:
        champion = load_version(ports.lake, model, plan.version)
    return {
        "run": run,
        "model": model,
        "as_of": plan.as_of,
        "scope": kind,
        "items": write_items(ports.lake, run, _items(ports, champion, run, plan)),
    }


def _items(ports: Ports, champion: Version, run: str, plan: ScoringPlan) -> list[ScoreItem]:
    """Return a work item for each group of buckets of the plan."""
    model, stem, info = champion.model, file_stem(run), pack_info(ports)
    pins = pin_silver(ports, champion.definition(ports.lake), plan.pinned)
    scores = ports.tables.snapshot(SCORES, version=plan.scores_version) if plan.scope == "gap" else None
    return [
        ScoreItem(
            model=model,
            version=champion.number,
            calibration=plan.calibration,
            scope=plan.scope,
            definition=f"{champion.folder}/definition",
            registry=champion.folder,
            as_of=[plan.as_of],
            known_by=None,
            sources=pins.sources(buckets),
            buckets=buckets,
            bucket_count=pins.bucket_count,
            partition_key=info.partition_key,
            scored=_scored(scores, plan, pins.bucket_count, buckets) if scores else None,
            scored_version=champion.number,
            scored_since=plan.batch_as_of,
            fresh_from=plan.fresh_from,
            fresh_tenant=plan.fresh_tenant,
            out=f"{feature_table(str(champion.lineage['feature_set']))}/{stem}-{number:04d}.parquet",
            scored_out=f"{run}/scored/{number:04d}.parquet",
            stem=f"{plan.as_of}-{stem}-{number:04d}",
        )
        for number, buckets in enumerate(plan.groups, start=1)
    ]


def _plan(
    ports: Ports, champion: Version, day: date, scope: Scope, silver: SilverAt, freshness: ScoreAge
) -> ScoringPlan:
    pins = pin_silver(ports, champion.definition(ports.lake), silver)
    plan = ScoringPlan(
        model=champion.model,
        version=champion.number,
        calibration=newest_calibration(ports.lake, champion.model, champion.number),
        scope=scope,
        as_of=day.isoformat(),
        silver=pins.versions(),
        retracted=pins.retracted(),
        silver_at=silver.said(),
        groups=pins.groups(ports.rows_per_item),
        batch_as_of=None,
        batch_run=None,
        scores_version=None,
    )
    if scope == "batch":
        return plan
    batch = last_batch(ports, champion, day)
    scores, fresh_from = ports.tables.snapshot(SCORES), freshness.since(day)
    if batch is None or scores is None:
        raise NotFoundError(
            f"model {champion.model} version {champion.number}: no batch run on or before {day}; "
            "run scope batch first, a gap run reuses its cut points"
        )
    return plan.model_copy(
        update={
            # the batch's cut points hold only for scores of the batch's calibration
            "calibration": read_plan(ports.lake, batch.run, ScoringPlan).calibration,
            "batch_as_of": batch.as_of,
            "batch_run": batch.run,
            "ranked_by": _newest_gap_run(ports, champion, batch, day) or batch.run,
            "scores_version": scores.version,
            "fresh_from": fresh_from and fresh_from.isoformat(),
            "fresh_tenant": freshness.tenant,
        }
    )


def _newest_gap_run(ports: Ports, champion: Version, batch: Batch, day: date) -> str | None:
    """Return the gap run that was committed last, as of a day or before, on top of a batch; None without one.

    A tenant that is new since the batch has its list there.
    """
    found = []
    for run in gap_runs(ports, champion.model):
        if run_version(run) == champion.number and batch.as_of <= batch_day(run).isoformat() <= day.isoformat():
            plan = read_plan(ports.lake, run, ScoringPlan)
            if plan.batch_run == batch.run and plan.silver_at is None:
                found.append((batch_day(run), written_at(ports.lake, f"{run}/receipt.json"), run))
    return max(found)[-1] if found else None


def _scored(scores: Snapshot, plan: ScoringPlan, bucket_count: int, buckets: Sequence[int]) -> list[str]:
    """Return the keys of the files that can hold scores, from the last batch to the run's day, of these buckets.

    A file of a run over another number of buckets can hold any customer.
    """
    mine = {str(bucket) for bucket in buckets}
    return [
        f"{scores.root}/{file.path}"
        for file in scores.files
        if file.partition["model"] == plan.model
        and (file.partition["bucket_count"] != str(bucket_count) or file.partition["bucket"] in mine)
        and score_file_day(file.path) >= (plan.batch_as_of or "")
        and may_hold_day_until(file.path, plan.as_of)
    ]
