"""The receipt of a list, counted from what was decided about each customer."""

from __future__ import annotations

from typing import Literal

from propensity.delivery.domain.order import ExportOrder
from propensity.delivery.domain.receipt import ARMS, ListFile, ListReceipt
from propensity.delivery.list_sources import ListSources
from propensity.delivery.members import file_column
from propensity.ports import Sql


def list_receipt(
    sql: Sql,
    order: ExportOrder,
    sources: ListSources,
    files: tuple[ListFile, ...],
    mode: Literal["full", "delta", "recall"],
    added: int,
    removed: int,
) -> ListReceipt:
    """Count table `decided` for the receipt of a list. `added` and `removed` are rows of its files."""
    arms = dict.fromkeys(ARMS, 0) | dict(sql.rows("select arm, count(*) from decided group by 1"))
    why: dict[str, dict[str, int]] = {}
    for arm, reason, count in sql.rows("select arm, why, count(*) from decided group by 1, 2 order by 1, 2"):
        why.setdefault(arm, {})[reason] = int(count)
    deciles: dict[str, dict[str, int]] = {}
    counted = (
        "select coalesce(decile::varchar, 'unranked'), arm, count(*) from decided where arm in ('exported', 'held_out')"
    )
    for decile, arm, count in sql.rows(f"{counted} group by 1, 2 order by 1, 2"):
        deciles.setdefault(decile, {})[arm] = int(count)
    [(households, population)] = sql.rows(
        "select count(distinct household_id) filter (arm = 'exported'), count(*) from decided"
    )
    matchable = {}
    for number, column in enumerate(sources.destination.columns):
        if column.name in sources.destination.match_on:
            [(found,)] = sql.rows(
                f"select count(*) from decided where arm = 'exported' and {file_column(number)} is not null"
            )
            matchable[column.name] = int(found)
    return ListReceipt(
        export=order.export,
        tenant_id=order.tenant_id,
        model=order.request.model,
        model_version=sources.version,
        destination=sources.destination.name,
        channel=sources.destination.channel,
        as_of=sources.day.isoformat(),
        population=int(population),
        arms={arm: int(count) for arm, count in arms.items()},
        why=why,
        deciles=deciles,
        households=int(households),
        matchable=matchable,
        mode=mode,
        added=added,
        removed=removed,
        files=files,
        recalls=sources.recalled,
    )
