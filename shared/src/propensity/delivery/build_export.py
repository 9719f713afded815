"""build_export: make a list: decide who is on it, write its files, record everybody's place, write the receipt last."""

from __future__ import annotations

from functools import partial
from typing import Any

from propensity.delivery.domain.order import ExportOrder, ExportPlan, export_folder
from propensity.delivery.domain.receipt import ListReceipt
from propensity.delivery.earlier_lists import last_list
from propensity.delivery.list_files import count_changes, write_files
from propensity.delivery.list_sources import MEMBERSHIP, REVIEW, ListSources
from propensity.delivery.members import decide_members
from propensity.delivery.recalls import recall_request, write_recall
from propensity.delivery.receipts import list_receipt
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.kernel.sql_text import text
from propensity.lake.appends import append_once
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import EXPORTS, EXPORTS_PARTITION, IDENTITIES, RECALLS, REVIEWS, SCORES
from propensity.lake.json_objects import dumps, find_record, read_record
from propensity.lake.pins import pin_datasets
from propensity.lake.silver_tables import datasets_used
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.destination_spec import Destination
from propensity.pack.domain.list_rules import parse_destination, parse_rules
from propensity.ports import Ports, Sql
from propensity.registry.versions import load_champion, load_version

_TABLES = (SCORES, EXPORTS, IDENTITIES, RECALLS, REVIEWS)
_TRIES = 5  # of one call, at least 2; each that fails means that another list was made


def build_export(ports: Ports, *, tenant: str, export: str) -> dict[str, Any]:
    """Make the list of a request. A second call finds the receipt of the first, or makes the same list again.

    Raises NotFoundError where nobody asked for the list, or where the model has no champion. Raises RetryableError
    where other lists for the destination were faster several times.
    """
    folder = export_folder(tenant, export)
    known = find_record(ports.lake, f"{folder}/receipt.json", ListReceipt)
    if known is None:
        order = read_record(ports.lake, f"{folder}/request.json", ExportOrder)
        known = next((made for made in map(partial(_tried, ports, order), _tries(ports, order)) if made), None)
        if known is None:
            raise RetryableError(f"export {export}: {_TRIES} other lists for its destination were faster; try again")
        ports.lake.put_new(f"{folder}/receipt.json", dumps(known))
        if order.recall is None:
            ports.metrics.count("Exported", known.arms["exported"])
    return {"tenant": tenant, "export": export, "receipt": f"{folder}/receipt.json", "arms": dict(known.arms)}


def _tries(ports: Ports, order: ExportOrder) -> range:
    """The tries of this call: the newest that has a plan, for it may have been killed, and those after it."""
    newest = 1
    while find_record(ports.lake, _plan_key(order, newest + 1), ExportPlan) is not None:
        newest += 1
    return range(newest, newest + _TRIES)


def _plan_key(order: ExportOrder, number: int) -> str:
    return f"{export_folder(order.tenant_id, order.export)}/{'plan' if number == 1 else f'plan-{number}'}.json"


def _tried(ports: Ports, order: ExportOrder, number: int) -> ListReceipt | None:
    """Make the list from the plan of a try. None where a list for the same destination was recorded in between."""
    plan = _plan(ports, order, number)
    with ports.sql() as sql:
        # with one thread, a second call writes the rows in the same order, and so the same bytes
        sql.execute("set threads = 1")
        return _made(ports, sql, order, plan, "" if number == 1 else f"-try{number}")


def _plan(ports: Ports, order: ExportOrder, number: int) -> ExportPlan:
    key = _plan_key(order, number)
    known = find_record(ports.lake, key, ExportPlan)
    if known is not None:
        return known
    version = _version(ports, order)
    pins = pin_datasets(ports, _datasets(ports, order, version))
    snapshots = {table: ports.tables.snapshot(table) for table in _TABLES}
    plan = ExportPlan(
        version=version,
        silver=pins.versions(),
        retracted=pins.retracted(),
        tables={table: snapshot and snapshot.version for table, snapshot in snapshots.items()},
    )
    return plan if ports.lake.put_new(key, dumps(plan)) else read_record(ports.lake, key, ExportPlan)


def _version(ports: Ports, order: ExportOrder) -> int:
    """The model's version whose scores the list has: the champion, and for a recall that of the recalled list."""
    if order.recall is None:
        return load_champion(ports.lake, order.request.model).number
    folder = export_folder(order.tenant_id, order.recall.export)
    return read_record(ports.lake, f"{folder}/receipt.json", ListReceipt).model_version


def _datasets(ports: Ports, order: ExportOrder, version: int) -> list[str]:
    """The datasets that the list reads: those of the version's SQL, of rules, of permissions and of the files."""
    info = pack_info(ports)
    definition = load_version(ports.lake, order.request.model, version).definition(ports.lake)
    rules = parse_rules(ports.pack_files, ports.pack).of(order.request.model)
    named = set(datasets_used(definition, info.datasets, [rule.sql for rule in rules]))
    named |= set(_destination(ports, order).tables)
    for dataset in info.datasets:
        contract = contract_of(ports, dataset)
        if contract.suppression or any(column.consent for column in contract.columns):
            named.add(dataset)
    return [dataset for dataset in info.datasets if dataset in named]


def _destination(ports: Ports, order: ExportOrder) -> Destination:
    return parse_destination(ports.pack_files, order.request.destination, ports.pack)


def _made(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan, tried: str) -> ListReceipt | None:
    version = load_version(ports.lake, order.request.model, plan.version)
    definition, info = version.definition(ports.lake), pack_info(ports)
    datasets = _datasets(ports, order, plan.version)
    pins = pin_datasets(ports, datasets, SilverAt(versions=plan.silver, retracted=plan.retracted))
    listed = parse_rules(ports.pack_files, ports.pack)
    rules = listed.of(order.request.model)
    tables = {
        table: None if number is None else ports.tables.snapshot(table, version=number)
        for table, number in ((table, plan.tables.get(table)) for table in _TABLES)
    }
    sources = ListSources(
        request=order.request if order.recall is None else recall_request(order.request),
        tenant=order.tenant_id,
        day=order.day,
        today=order.today,
        version=plan.version,
        entity=info.entity,
        contracts={dataset: contract_of(ports, dataset) for dataset in datasets},
        rules=rules,
        review=listed.review,
        destination=_destination(ports, order),
        scores=tables[SCORES],
        exports=tables[EXPORTS],
        recalls=tables[RECALLS],
        reviews=tables[REVIEWS],
        identities=plan.tables.get(IDENTITIES),
        shapes=pins.shapes,
        recalled=order.recall.export if order.recall else None,
    )
    buckets = list(range(pins.bucket_count))
    if info.partition_key == "tenant":
        # all rows of the tenant lie in one bucket
        buckets = [int(sql.rows(f"select {bucket_of(text(order.tenant_id), pins.bucket_count)}")[0][0])]
    queries = [rule.query for rule in rules]
    session = SilverSession(sql, ports.lake, pins.sources(buckets), definition, order.tenant_id, queries)
    decide_members(ports, sql, session, sources)
    if order.recall is not None:
        return write_recall(ports, sql, order, sources)
    [(population,)] = sql.rows("select count(*) from decided")
    if population == 0:
        raise NotFoundError(
            f"tenant {order.tenant_id}: model {order.request.model} has no customer of it on {sources.day}; GET "
            f"/v1/tenants/{order.tenant_id}/readiness says what is missing"
        )
    files = write_files(ports, sql, order, sources, "changes" if sources.delta else "whole", f"part{tried}")
    added, removed = count_changes(sql)
    receipt = list_receipt(sql, order, sources, files, "delta" if sources.delta else "full", added, removed)
    receipt.check()
    if not _recorded(ports, sql, order, sources, plan.tables.get(EXPORTS)):
        return None
    _ask(ports, sql, order, sources)
    return receipt


def _recorded(ports: Ports, sql: Sql, order: ExportOrder, sources: ListSources, made_from: int | None) -> bool:
    """Append everybody's place to gold/exports, once. False where a list for the same destination came in between.

    A destination of additions and removals has its lists one after the other: each list follows one other, and no two
    follow the same.
    """
    facts = {
        "model": text(order.request.model),
        "model_version": f"{sources.version}::integer",
        "export": text(order.export),
        "destination": text(sources.destination.name),
        "channel": text(sources.destination.channel) if sources.destination.channel else "null::varchar",
        "exported_at": f"timestamptz {text(order.at)}",
        "holdout": f"{order.request.holdout}::double",
        "sent": "case when arm = 'exported' then sending end" if sources.keeps_sent else "null::varchar",
        "made_from": f"{-1 if made_from is None else made_from}::bigint",
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in MEMBERSHIP)
    query, own = f"select {columns} from decided", f"export {order.tenant_id} {order.export}"
    if not sources.keeps_sent:
        append_once(ports, sql, EXPORTS, query, own, EXPORTS_PARTITION)
        return True
    follows = f"list {order.tenant_id} {order.request.model} {sources.destination.name} after {last_list(sql)}"
    if own in ports.tables.committed(EXPORTS, [own]):
        return True
    try:
        ports.tables.append(EXPORTS, sql.stream(query), partition_by=EXPORTS_PARTITION, transactions=[own, follows])
    except RetryableError:
        there = ports.tables.committed(EXPORTS, [own, follows])
        if own not in there and follows not in there:
            raise
        return own in there
    return True


def _ask(ports: Ports, sql: Sql, order: ExportOrder, sources: ListSources) -> None:
    """Put the customers who wait for review into gold/review, once."""
    [(waiting,)] = sql.rows("select count(*) from decided where arm = 'review'")
    if waiting == 0:
        return
    facts = {
        "model": text(order.request.model),
        "model_version": f"{sources.version}::integer",
        "export": text(order.export),
        "destination": text(sources.destination.name),
        "told_at": f"timestamptz {text(order.at)}",
        "decision": "null::varchar",
        "reason": "null::varchar",
        "decided_by": "null::varchar",
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in REVIEW)
    query = f"select {columns} from decided where arm = 'review'"
    append_once(ports, sql, REVIEWS, query, f"review {order.tenant_id} {order.export}", EXPORTS_PARTITION)
