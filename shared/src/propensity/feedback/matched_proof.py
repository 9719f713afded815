"""The proof of a matchback that a version's high deciles convert more often than its low ones, without any list's help.

A customer whom a list of the model had may have converted because of it. Such customers are left out.
"""

from __future__ import annotations

from datetime import date

from propensity.kernel.errors import EvidenceError
from propensity.kernel.sql_text import instant, read_files
from propensity.lake.domain.run_records import ScoringPlan
from propensity.lake.gold_tables import EXPORTS
from propensity.lake.session import download
from propensity.pack.domain.model_spec import LabelWindow
from propensity.ports import Ports, Sql
from propensity.registry.domain.release_proof import ReleaseProof
from propensity.stats.high_low import high_against_low, high_low_lists


def release_proof(
    ports: Ports, sql: Sql, *, run: str, plan: ScoringPlan, window: LabelWindow, known_by: date
) -> ReleaseProof:
    """Compare the deciles of view `matched`, a scoring run's customers with what they did.

    A customer is left out who was exported by a list of the model within the label window, or within as many days
    before the as-of date as there are from it to the window's end: a contact may work for so long. Customers whom
    a list held back stay.
    """
    as_of = date.fromisoformat(plan.as_of)
    exports = ports.tables.snapshot(EXPORTS)
    paths = download(sql, ports.lake, exports.file_keys(model=plan.model), "exports") if exports else []
    listed = "select null::varchar as tenant_id, null::varchar as customer_id where false"
    if paths:
        first = as_of - (window.end - as_of)
        listed = (
            f"select distinct tenant_id, customer_id from {read_files(paths)} where arm = 'exported' "
            f"and exported_at >= {instant(first)} and exported_at < {instant(window.end)}"
        )
    sql.execute(f"create or replace temp table contacted as {listed}")
    [(exported,)] = sql.rows("select count(*) from matched semi join contacted using (tenant_id, customer_id)")
    counts = sql.rows(
        "select tenant_id, decile, count(*), count(*) filter (converted) from matched "
        "anti join contacted using (tenant_id, customer_id) where decile is not null group by 1, 2"
    )
    difference, positives, why_not = None, 0, None
    try:
        found = high_against_low(high_low_lists((str(t), int(d), int(rows), int(hits)) for t, d, rows, hits in counts))
        difference, positives = found.difference, found.positives
    except EvidenceError as error:
        why_not = str(error)
    return ReleaseProof(
        source="matchback",
        by=run,
        model=plan.model,
        as_of=(plan.as_of,),
        known_by=known_by.isoformat(),
        difference=difference,
        positives=positives,
        exported=int(exported),
        why_not=why_not,
    )
