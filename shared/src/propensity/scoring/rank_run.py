"""rank_run: find how each tenant's customers are ranked, which turns a run's scores into percentiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.kernel.errors import UnsoundScoreError
from propensity.kernel.sql_text import read_files
from propensity.lake.domain.run_names import cuts_key
from propensity.lake.domain.run_records import ScoreResult, ScoringPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan, results_of
from propensity.lake.session import download
from propensity.ports import Ports, Sql
from propensity.registry.domain.ladder import HEURISTIC
from propensity.stats.list_places import FEW, PERCENT, Ranks, ranks_of


def rank_run(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/cuts.json`: per tenant the 99 cut points of its list, or why its customers are unranked.

    It also has `largest_ties`, how many customers of each tenant share the commonest score. The cut points are exact,
    from one pass over (tenant, score). A gap run takes those of the run that its plan names. A tenant that had no list
    there, or too few customers for one, is ranked among its own: those known then and those of this run. Raises
    UnsoundScoreError where a score is no probability.
    """
    plan = read_plan(ports.lake, run, ScoringPlan)
    results = results_of(ports.lake, run, ScoreResult, len(plan.groups))
    source_run = plan.ranked_by or plan.batch_run
    known = read_ranks(ports, source_run) if source_run else {}
    open_yet = {tenant: ranks for tenant, ranks in known.items() if ranks.unranked == "few_customers"}
    with ports.sql() as sql:
        source = read_files(download(sql, ports.lake, [result.scored for result in results], "scored"))
        [(rows, unsound)] = sql.rows(
            f"select count(*), count(*) filter (not coalesce(score between 0 and 1 and raw between 0 and 1, false)) "
            f"from {source}"
        )
        if unsound:
            raise UnsoundScoreError(plan.model, plan.version, int(unsound), int(rows))
        found = _ranks(sql, source, open_yet)
        tied = dict(sql.rows("select tenant_id, max(equal)::bigint from placed group by 1"))
    settled = {tenant: ranks for tenant, ranks in known.items() if tenant not in open_yet}
    ranks = {**known, **found, **settled}
    body = {
        "tenants": {tenant: one.to_json() for tenant, one in sorted(ranks.items())},
        "largest_ties": {tenant: tied[tenant] for tenant in sorted(tied)},
    }
    ports.lake.put_new(cuts_key(run), dumps(body))
    return {"run": run, "rows": int(rows)}


def read_ranks(ports: Ports, run: str) -> dict[str, Ranks]:
    """Return how a run ranks the customers of each tenant."""
    return {tenant: Ranks.from_json(value) for tenant, value in read_json(ports.lake, cuts_key(run))["tenants"].items()}


def read_ties(ports: Ports, run: str) -> dict[str, tuple[int, int]]:
    """Return per tenant how many customers a run ranked, and how many of them share the commonest score.

    Tenants whose customers have one score by design, that of the heuristic, are left out. Without figures, in a run
    that an earlier release ranked, there are none.
    """
    written = read_json(ports.lake, cuts_key(run))
    ties = written.get("largest_ties", {})
    ranks = {tenant: Ranks.from_json(value) for tenant, value in written["tenants"].items() if tenant in ties}
    return {tenant: (one.customers, int(ties[tenant])) for tenant, one in ranks.items() if one.unranked != "heuristic"}


def _ranks(sql: Sql, source: str, earlier: Mapping[str, Ranks]) -> dict[str, Ranks]:
    """Return the ranks of each tenant of the run, out of its scores here and the few that are known from before."""
    described = {row[0] for row in sql.rows(f"describe select * from {source}")}
    rung = "rung" if "rung" in described else "null::varchar"
    sql.execute(f"create temp table ranked as select tenant_id, score, {rung} as rung from {source}")
    here = [tenant for (tenant,) in sql.rows("select distinct tenant_id from ranked")]
    for tenant in here:
        for score in earlier[tenant].few if tenant in earlier else ():
            sql.execute("insert into ranked values (?, ?, null)", [tenant, score])
    # (r - 0.5) / n = (2 x below + equal) / 2n, as in stats.ranking.mid_ranks
    sql.execute(
        "create temp table placed as select *, "
        f"({PERCENT} * (2 * (until - equal) + equal)) // (2 * customers) + 1 as place from ("
        "select *, sum(equal) over (partition by tenant_id order by score)::bigint as until, "
        "sum(equal) over (partition by tenant_id)::bigint as customers from ("
        "select tenant_id, score, count(*) as equal, max(rung) as rung from ranked group by tenant_id, score))"
    )
    first: dict[str, list[tuple[int, float]]] = {}
    for tenant, place, least in sql.rows("select tenant_id, place, min(score) from placed group by 1, 2"):
        first.setdefault(tenant, []).append((int(place), float(least)))
    few: dict[str, list[float]] = {}
    for tenant, score in sql.rows(
        f"select tenant_id, score from ranked where tenant_id in "
        f"(select tenant_id from placed where customers < {FEW}) order by tenant_id, score"
    ):
        few.setdefault(tenant, []).append(float(score))
    return {
        tenant: ranks_of(
            int(customers),
            int(most),
            first[tenant],
            heuristic=top_rung == HEURISTIC,
            few=few.get(tenant, ()),
        )
        for tenant, customers, most, top_rung in sql.rows(
            "select tenant_id, max(customers), max(equal), max(rung) from placed group by 1 order by 1"
        )
    }
