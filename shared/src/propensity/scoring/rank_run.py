"""rank_run: find the cut points that turn a run's scores into percentiles, per tenant."""

from __future__ import annotations

from typing import Any

from propensity.kernel.sql_text import read_files
from propensity.lake.domain.run_names import cuts_key
from propensity.lake.domain.run_records import ScoreResult, ScoringPlan
from propensity.lake.json_objects import dumps
from propensity.lake.run_files import read_plan, results_of
from propensity.lake.session import download
from propensity.ports import Ports


def rank_run(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/cuts.json`: 99 ascending quantiles of the scores, per tenant and over all tenants.

    The quantiles are exact, from one pass over (tenant, score), 12 bytes a customer. A gap run copies the cuts of its
    batch.
    """
    plan = read_plan(ports.lake, run, ScoringPlan)
    results = results_of(ports.lake, run, ScoreResult, len(plan.groups))
    if plan.batch_run:
        ports.lake.put_new(cuts_key(run), ports.lake.get(cuts_key(plan.batch_run)))
        return {"run": run, "rows": sum(result.rows for result in results)}
    fractions = [percent / 100 for percent in range(1, 100)]
    with ports.sql() as sql:
        source = read_files(download(sql, ports.lake, [result.scored for result in results], "scored"))
        tenants = sql.rows(
            f"select tenant_id, quantile_disc(score, {fractions}) from {source} group by tenant_id order by tenant_id"
        )
        everyone = sql.rows(f"select coalesce(quantile_disc(score, {fractions}), []) from {source}")
        rows = sql.rows(f"select count(*) from {source}")
    cuts = {"tenants": dict(tenants), "everyone": everyone[0][0]}
    ports.lake.put_new(cuts_key(run), dumps(cuts))
    return {"run": run, "rows": rows[0][0]}
