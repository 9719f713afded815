"""The receipt of a list, counted from what was decided about each customer."""

from __future__ import annotations

from typing import Literal

from propensity.delivery.domain.order import ExportOrder, ExportPlan
from propensity.delivery.domain.receipt import ARMS, ListFile, ListReceipt
from propensity.delivery.members import file_column
from propensity.pack.domain.destination_spec import Destination
from propensity.ports import Sql


def list_receipt(
    sql: Sql,
    order: ExportOrder,
    plan: ExportPlan,
    destination: Destination,
    files: tuple[ListFile, ...],
    mode: Literal["full", "delta", "recall"],
) -> ListReceipt:
    """Count tables `settled` and `row` for the receipt of a list."""
    arms = dict.fromkeys(ARMS, 0) | dict(sql.rows("select arm, count(*) from settled group by 1"))
    why: dict[str, dict[str, int]] = {}
    for arm, reason, count in sql.rows("select arm, why, count(*) from settled group by 1, 2 order by 1, 2"):
        why.setdefault(arm, {})[reason] = int(count)
    deciles: dict[str, dict[str, int]] = {}
    counted = (
        "select coalesce(decile::varchar, 'unranked'), arm, count(*) from settled where arm in ('exported', 'held_out')"
    )
    for decile, arm, count in sql.rows(f"{counted} group by 1, 2 order by 1, 2"):
        deciles.setdefault(decile, {})[arm] = int(count)
    [(households, population)] = sql.rows(
        "select count(distinct household_id) filter (arm = 'exported'), count(*) from settled"
    )
    operations = dict(sql.rows("select operation, count(*) from row group by 1"))
    matchable = {}
    for number, column in enumerate(destination.columns):
        if column.name in destination.match_on:
            [(found,)] = sql.rows(
                f"select count(*) from settled where arm = 'exported' and {file_column(number)} is not null"
            )
            matchable[column.name] = int(found)
    return ListReceipt(
        export=order.export,
        tenant_id=order.tenant_id,
        model=order.request.model,
        model_version=plan.version,
        destination=destination.name,
        channel=destination.channel,
        as_of=order.day.isoformat(),
        population=int(population),
        arms={arm: int(count) for arm, count in arms.items()},
        why=why,
        deciles=deciles,
        households=int(households),
        matchable=matchable,
        mode=mode,
        added=int(operations.get("add", 0)),
        removed=int(operations.get("remove", 0)),
        nth=plan.nth,
        files=files,
        recalls=order.recall.export if order.recall else None,
    )
