"""run_matchback: compare a scoring run's scores with what the customers then did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from propensity.features.silver_session import SilverSession
from propensity.feedback.domain.matchback import DecileCount, FiguresFound, Measure, all_figures
from propensity.feedback.matched_proof import release_proof
from propensity.feedback.reports import MatchbackFigure, MatchbackReport, matchback_key, matchback_keys
from propensity.kernel.errors import ConflictError, EvidenceError
from propensity.kernel.sql_text import among, quote, read_files, text
from propensity.lake.appends import append_once
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import Receipt, ScoringPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import GROUND_TRUTH, MATCHBACK, SCORES, score_file_day
from propensity.lake.json_objects import dumps, parse_record, read_record, write_once
from propensity.lake.pins import NEWEST, pin_silver
from propensity.lake.run_files import read_plan
from propensity.lake.session import download
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import LabelWindow
from propensity.ports import Ports, Sql
from propensity.registry.batches import batch_runs, gap_runs
from propensity.registry.domain.ladder import HEURISTIC
from propensity.registry.domain.release_proof import version_proofs
from propensity.registry.release_gate import keep_proof
from propensity.registry.versions import load_version
from propensity.stats.within_tenant import by_tenant
from propensity.tenants.domain.record import closed_tenants
from propensity.tenants.record_lines import closed_periods
from propensity.training.domain.training_set import gone_within, silent_tenants

_COLUMNS = (
    "segment varchar, measure varchar, value double, low double, high double, n bigint, positives bigint, "
    "pooled boolean"
)


def run_matchback(ports: Ports, *, run: str, known_by: str, silver: SilverAt = NEWEST) -> dict[str, Any]:
    """Match a committed scoring run with the outcomes that were known at the start of day `known_by`.

    A customer whose outcome could not be seen is counted in `left_out`, and is in no figure, because nobody knows what
    the customer did. The reasons are those for which training leaves rows out (docs/reference/training.md).

    The matchback writes gold/ground_truth (one row a customer) and gold/matchback (one row a figure, each with interval
    and n), once per run and day. It also writes `<run>/matchback-<day>.json`, with the versions of Silver that it saw,
    and the proof that the release of the version's lists waits for (feedback/matched_proof.py).
    Raises EvidenceError while the label window is open, and ConflictError where the run was matched over another Silver
    than is asked for.
    """
    plan = read_plan(ports.lake, run, ScoringPlan)
    day, as_of = parse_day(known_by, "known_by"), parse_day(plan.as_of, "as_of")
    version = load_version(ports.lake, plan.model, plan.version)
    definition = version.definition(ports.lake)
    model = definition.model
    window = model.label_window(as_of)
    if day < window.end:
        raise EvidenceError(
            f"{run}: its outcomes are those of {window.start} to {window.end}; on {day} they are not all known yet"
        )
    with ports.sql() as sql:
        seen = _match(ports, sql, run, plan, definition, window, day, silver)
        left_out = dict(sql.rows("select reason, count(*) from marked where reason is not null group by 1 order by 1"))
        found = _measure(sql, definition, left_out)
        unranked = dict(
            sql.rows("select unranked_reason, count(*) from matched where decile is null group by 1 order by 1")
        )
        sql.execute(f"create temp table measured ({_COLUMNS})")
        for line in found.measures:
            figure = line.estimate
            sql.execute(
                "insert into measured values (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    line.segment,
                    line.measure,
                    figure.value,
                    figure.low,
                    figure.high,
                    figure.n,
                    line.positives,
                    line.pooled,
                ],
            )
        stamp = (
            f"{text(plan.model)} as model, {plan.version}::integer as model_version, {text(run)} as run, "
            f"{text(plan.as_of)}::date as as_of, {text(day.isoformat())}::date as known_by"
        )
        name = f"{run}@{day.isoformat()}"
        append_once(
            ports,
            sql,
            GROUND_TRUTH,
            f"select tenant_id, customer_id, score, decile, unranked_reason, converted, {stamp} from matched",
            name,
        )
        append_once(ports, sql, MATCHBACK, f"select *, {stamp} from measured", name)
        _keep_outcomes(ports, sql, f"{run}/outcomes/{day.isoformat()}.parquet")
        if plan.silver_at is None:
            proof = release_proof(ports, sql, run=run, plan=plan, window=window, known_by=day)
            name = f"{run.rpartition('/')[2]}@{day.isoformat()}"
            keep_proof(ports.lake, version_proofs(plan.model, plan.version), name, proof)
    report = MatchbackReport(
        run=run,
        model=plan.model,
        version=plan.version,
        as_of=plan.as_of,
        known_by=day.isoformat(),
        silver=seen,
        segments=_segments(found.measures),
        left_out=left_out,
        unranked=unranked,
        findings=found.findings,
    )
    key = matchback_key(run, day.isoformat())
    stands = parse_record(write_once(ports.lake, key, dumps(report.model_dump())), key, MatchbackReport)
    if silver.said() and stands.silver != seen:
        raise ConflictError(f"{key}: matched over Silver {stands.silver} before, asked for is {seen}; it stands")
    everyone = report.segments["all"]["rate"]
    return {"run": run, "model": plan.model, "rows": everyone.n, "positives": everyone.positives}


def _match(
    ports: Ports,
    sql: Sql,
    run: str,
    plan: ScoringPlan,
    definition: Definition,
    window: LabelWindow,
    day: date,
    silver: SilverAt,
) -> dict[str, int]:
    """Make the table `marked` and the view `matched`. Return the versions of Silver that were read.

    `marked` has the run's scores. It says whether the customer converted, and was chosen by the manual filter. It has
    the reason where the outcome could not be seen. `matched` has the rows without a reason.
    """
    pins = pin_silver(ports, definition, silver)
    buckets = [bucket for group in pins.groups(ports.rows_per_item) for bucket in group]
    session = SilverSession(sql, ports.lake, pins.sources(buckets), definition)
    snapshot = ports.tables.snapshot(SCORES)
    keys = (
        [key for key in snapshot.file_keys(model=plan.model) if score_file_day(key) >= plan.as_of] if snapshot else []
    )
    if not keys:
        raise EvidenceError(f"{run}: gold/scores holds no scores of it; commit_run comes first")
    as_of = parse_day(plan.as_of, "as_of")
    session.cut(as_of)
    session.outcomes("outcomes", as_of, day)
    session.censored("out_of_sight")
    closed = closed_tenants(closed_periods(ports.lake), window, definition.model.settle_days)
    # judged at the window's end: a tenant that sent nothing afterwards was not silent in the window because of that
    silent = silent_tenants(
        session.newest_events(day, before=window.end),
        until=window.end,
        silent_days=definition.model.censored.silent_days,
    )
    left = sorted(gone_within(window, silent))
    chosen = "false"
    join = ""
    if definition.model.filter:
        session.filtered("filtered")
        chosen, join = "f.customer_id is not null", "left join filtered f using (tenant_id, customer_id)"
    files = read_files(download(sql, ports.lake, keys, "scores"))
    described = {row[0] for row in sql.rows(f"describe select * from {files}")}
    rung = f"coalesce(s.rung, {text('none')})" if "rung" in described else text("none")
    # runs of early releases gave the customers of a tenant with one score for all the lowest decile
    heuristic = f"when {rung} = {text(HEURISTIC)} then {text(HEURISTIC)}"
    unranked = "s.unranked_reason" if "unranked_reason" in described else "null"
    sql.execute(
        f"create temp table marked as select s.tenant_id, s.customer_id, s.raw, s.score, "
        f"case when {rung} <> {text(HEURISTIC)} then s.decile end as decile, "
        f"(case {heuristic} else {unranked} end)::varchar as unranked_reason, {rung} as rung, "
        f"(o.customer_id is not null) as converted, {chosen} as {quote('chosen')}, "
        f"case when {among('s.tenant_id', closed)} then 'tenant_closed' when u.customer_id is not null then 'censored' "
        f"when {among('s.tenant_id', left)} then 'tenant_silent' end as reason "
        f"from (select * from {files} where run = {text(run)}) s "
        "left join outcomes o using (tenant_id, customer_id) "
        f"left join out_of_sight u using (tenant_id, customer_id) {join}"
    )
    sql.execute("create temp view matched as select * exclude (reason) from marked where reason is null")
    return pins.versions()


def _keep_outcomes(ports: Ports, sql: Sql, key: str) -> None:
    """Write what recalibration needs: each raw probability by the global model, with its rows and positives.

    The file names nobody. Rows of other rungs of the ladder are left out, because their rung calibrates them.
    """
    path = sql.scratch / "outcomes.parquet"
    sql.execute(
        "copy (select raw, count(*) as rows, count(*) filter (converted) as positives from matched "
        f"where rung in ('none', 'global') group by raw order by raw) to {text(str(path))} (format parquet)"
    )
    ports.lake.upload_new(key, path)


def _measure(sql: Sql, definition: Definition, left_out: Mapping[str, int]) -> FiguresFound:
    tenants = by_tenant(
        sql.rows("select tenant_id, score, count(*), count(*) filter (converted) from matched group by 1, 2")
    )
    if not tenants:
        missing = ", ".join(f"{rows} {reason}" for reason, rows in left_out.items())
        raise EvidenceError(
            f"model {definition.model.name}{f', left out {missing}' if missing else ''}: "
            "0 of 0 rows are left to count; wait for outcomes that can be seen"
        )
    deciles = [
        DecileCount(*row)
        for row in sql.rows(
            "select decile, count(*), count(*) filter (converted) from matched group by decile "
            "order by decile desc nulls last"
        )
    ]
    [(size, hits)] = sql.rows("select count(*) filter (chosen), count(*) filter (chosen and converted) from matched")
    return all_figures(tenants, deciles, (size, hits) if definition.model.filter else None)


def _segments(found: Sequence[Measure]) -> dict[str, dict[str, MatchbackFigure]]:
    segments: dict[str, dict[str, MatchbackFigure]] = {}
    for line in found:
        figure = line.estimate
        segments.setdefault(line.segment, {})[line.measure] = MatchbackFigure(
            value=figure.value,
            low=figure.low,
            high=figure.high,
            n=figure.n,
            positives=line.positives,
            pooled=line.pooled,
        )
    return segments


def match_due(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Match, once, every committed run whose label window closed at least `settle_days` before the slot's day.

    A run is matched with what was known `settle_days` after the window, which counts from the run's own as-of date:
    also a gap run's customers are matched, at the day as of which they were scored. A run that scored nobody is passed
    over. A run without an outcome that could be seen is named in `not_matched`, counted, and tried again the next day.
    """
    day = parse_day(slot, "slot")
    matched: list[dict[str, Any]] = []
    failed: list[str] = []
    for run in (*batch_runs(ports), *gap_runs(ports)):
        if any(True for _ in matchback_keys(ports.lake, run)):
            continue
        plan = read_plan(ports.lake, run, ScoringPlan)
        if plan.silver_at is not None:
            continue  # it was scored over another Silver, to be looked at
        if plan.scope == "gap" and read_record(ports.lake, f"{run}/receipt.json", Receipt).new == 0:
            continue
        model = load_version(ports.lake, plan.model, plan.version).definition(ports.lake).model
        settled = model.label_window(parse_day(plan.as_of, "as_of")).end + timedelta(days=model.settle_days)
        if settled <= day:
            try:
                matched.append(run_matchback(ports, run=run, known_by=settled.isoformat()))
            except EvidenceError as error:
                # one run's failure does not stop the other runs from being matched
                failed.append(str(error))
    ports.metrics.count("RunsNotMatched", len(failed))
    return {"slot": day.isoformat(), "matched": matched, "not_matched": failed}
