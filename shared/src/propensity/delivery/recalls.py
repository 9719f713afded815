"""A recall: who was on a list and should not have been, by what is known now, and the list without them."""

from __future__ import annotations

from propensity.delivery.domain.order import ExportOrder
from propensity.delivery.domain.request import ExportRequest, ListFilter
from propensity.delivery.earlier_lists import last_list
from propensity.delivery.list_sources import RECALL, ListSources
from propensity.kernel.errors import ConflictError, NotFoundError
from propensity.kernel.sql_text import text
from propensity.lake.appends import append_once
from propensity.lake.gold_tables import EXPORTS_PARTITION, RECALLS
from propensity.pack.domain.destination_spec import Destination
from propensity.ports import Ports, Sql


def recall_request(request: ExportRequest) -> ExportRequest:
    """The request by which a recall judges: that of the list, without what depends on who else is on it.

    Deciles, limit and cap of contacts were right when the list was made. What is asked anew is whether each customer
    may be contacted at all. Nobody is drawn for the holdout: who is held back by other lists is known.
    """
    return request.model_copy(
        update={"filter": ListFilter(), "not_within_days": None, "review_band": 0, "holdout": 0.0, "reset": True}
    )


def refuse_superseded(sql: Sql, sources: ListSources) -> None:
    """Raise NotFoundError where the list exported nobody, and ConflictError where it is not the one to be recalled.

    A later list for a destination that takes additions and removals took back who may not be contacted, or is itself to
    be recalled.
    """
    [(population,)] = sql.rows("select count(*) from decided")
    if population == 0:
        raise NotFoundError(f"export {sources.recalled}: it exported nobody who is not recalled yet")
    newest = last_list(sql)
    if sources.keeps_sent and newest != sources.recalled:
        raise ConflictError(
            f"export {sources.recalled}: {newest} came after it for destination {sources.destination.name}; recall "
            "that one"
        )


def record_recall(ports: Ports, sql: Sql, order: ExportOrder, destination: Destination) -> None:
    """Put the customers who are taken back into gold/recalls, once: who was on the list, why not, and by whose word."""
    if order.recall is None:
        raise ValueError(f"export {order.export} is no recall")
    facts = {
        "model": text(order.request.model),
        "export": text(order.recall.export),
        "recall": text(order.export),
        "destination": text(destination.name),
        "recalled_at": f"timestamptz {text(order.at)}",
        "recalled_by": text(order.by),
        "reason": text(order.recall.why),
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in RECALL)
    query = f"select {columns} from settled where arm <> 'exported'"
    [(removed,)] = sql.rows("select count(*) from settled where arm <> 'exported'")
    if removed:
        append_once(ports, sql, RECALLS, query, f"recall {order.tenant_id} {order.export}", EXPORTS_PARTITION)
