"""The columns that training rows have besides features: a label, whether they were treated, why they are left out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from propensity.features.silver_session import SilverSession
from propensity.kernel.sql_text import among, text
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import BuildItem
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Sql
from propensity.tenants.domain.record import closed_tenants

# `_draw` in [0, 1) depends on the row's key and the seed alone, and orders the rows of a date. So a sample takes the
# same rows, however the work was cut into items.
_DRAW = "(('0x' || substr(md5(concat_ws(chr(31), {key})), 1, 13))::ubigint / {range}.0)"
_RANGE = 1 << 52
# the columns that a training file has besides keys and features
COLUMNS = ("label", "_treated", "_draw")


def mark_rows(
    session: SilverSession, model: ModelSpec, work: BuildItem, day: date, known_by: date, chosen: str
) -> None:
    """Make table `marked` of the rows of `features` for which the condition `chosen` holds, with COLUMNS and `reason`.

    The types are `label` TINYINT, `_treated` TINYINT, `_draw` DOUBLE and `reason` VARCHAR. `reason` says why a row is
    left out, and is NULL where the row is kept.
    """
    session.outcomes("converted", day, known_by)
    session.treated("under_treatment")
    session.censored("out_of_sight")
    key = f"f.tenant_id, f.customer_id, {text(day.isoformat())}, {text(str(model.training.seed))}"
    session.sql.execute(
        f"""create or replace temp table marked as
        select f.tenant_id, f.customer_id, (c.customer_id is not null)::tinyint as label,
            (t.customer_id is not null)::tinyint as _treated, {_DRAW.format(key=key, range=_RANGE)} as _draw,
            case {_reasons(model, work, day, known_by)} end as reason
        from features f
        left join converted c using (tenant_id, customer_id)
        left join under_treatment t using (tenant_id, customer_id)
        left join out_of_sight o using (tenant_id, customer_id)
        where {chosen}"""
    )
    create = "create temp table if not exists left_out (as_of date, reason varchar, rows bigint)"
    session.sql.execute(create)
    session.sql.execute(
        f"insert into left_out select {text(day.isoformat())}::date, reason, count(*) from marked "
        "where reason is not null group by reason"
    )


def _reasons(model: ModelSpec, work: BuildItem, day: date, known_by: date) -> str:
    """A WHEN clause per reason. A row is left out for the first reason that holds."""
    window = model.label_window(day)
    until = parse_day(work.outcomes_until, "outcomes_until") if work.outcomes_until else known_by
    immature = window.end + timedelta(days=model.settle_days) > until
    closed = closed_tenants(work.closed, window, model.settle_days)
    found = {
        "immature": "true" if immature else "false",
        "tenant_closed": among("f.tenant_id", closed),
        "censored": "o.customer_id is not null",
    }
    if model.treatment and model.treatment.policy == "exclude":
        found["treated"] = "t.customer_id is not null"
    return " ".join(f"when {condition} then {text(reason)}" for reason, condition in found.items())


def count_rows(session: SilverSession, until: date) -> dict[str, Any]:
    """The counts of the rows kept and of the rows left out, as training/domain/training_set.py takes the counts."""
    sql: Sql = session.sql
    strata = sql.rows(
        "select as_of, tenant_id, label, count(*), sum(_treated) from rows_kept group by all order by all"
    )
    left_out = sql.rows("select as_of, reason, sum(rows) from left_out group by all order by all")
    [(version,)] = sql.rows("select version()")
    return {
        "strata": [
            [day.isoformat(), tenant, label, rows, int(treated)] for day, tenant, label, rows, treated in strata
        ],
        "left_out": [[day.isoformat(), reason, int(rows)] for day, reason, rows in left_out],
        "newest_by_tenant": {tenant: day.isoformat() for tenant, day in session.newest_events(until).items()},
        "packages": {"duckdb": str(version)},
    }
