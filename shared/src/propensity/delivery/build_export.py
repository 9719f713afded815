"""build_export: make a list: decide who is on it, write its files, record everybody's place, write the receipt last.

Each step stands once it is done: the plan, the decision, each file, the rows in gold/exports. A second try goes on from
there, whatever the pack, its contracts or this package say by then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from propensity.delivery.domain.list_sql import ORDER
from propensity.delivery.domain.order import ExportOrder, ExportPlan, export_folder
from propensity.delivery.domain.receipt import ListReceipt, receipt_key
from propensity.delivery.list_files import rows_of_files, write_files
from propensity.delivery.list_plans import (
    destination_of,
    list_datasets,
    list_name,
    newest_plan,
    pinned_tables,
    plan_anew,
)
from propensity.delivery.list_sources import MEMBERSHIP, REVIEW, ListSources, sends_changes
from propensity.delivery.members import decide_members, file_column
from propensity.delivery.recalls import recall_request, record_recall, refuse_superseded
from propensity.delivery.receipts import list_receipt
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.kernel.sql_text import read_files, text
from propensity.lake.appends import append_once
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import EXPORTS, EXPORTS_PARTITION, IDENTITIES, RECALLS, REVIEWS, SCORES
from propensity.lake.json_objects import dumps, find_record, parse_record, read_record, write_once
from propensity.lake.kept_files import keep_first
from propensity.lake.pins import pin_datasets
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.list_rules import parse_rules
from propensity.ports import Ports, Sql
from propensity.registry.versions import load_version

_MOST_PLANS = 5  # of one call, each of which came after another list of the tenant by the same model


def build_export(ports: Ports, *, tenant: str, export: str, gap: str | None = None) -> dict[str, Any]:
    """Make the list of a request. A second call finds the receipt of the first, or goes on where the first ended.

    `gap` is the execution that filled the gaps for this list. The list takes the scores of the version that filled
    them, also where another version has become champion since. A list that another list of the tenant by the model came
    before is planned anew, so that it sees who is on that one. Raises NotFoundError where nobody asked for the list, or
    where the model has no champion, and IncompleteRunError where the gap run has not been committed. Raises
    RetryableError where other lists came before again and again, and ConflictError where another version became
    champion since the request, whose lists are not released.
    """
    folder = export_folder(tenant, export)
    key = receipt_key(folder)
    known = find_record(ports.lake, key, ListReceipt)
    if known is None:
        order = read_record(ports.lake, f"{folder}/request.json", ExportOrder)
        known = _made(ports, order, gap)
        there = set(ports.lake.keys(f"{folder}/"))
        if not all(f"{folder}/{file.file}" in there for file in known.files):
            raise RetryableError(f"export {export}: an erasure removed its files while it was made; it is made again")
        known = parse_record(write_once(ports.lake, key, dumps(known)), key, ListReceipt)
        if order.recall is None:
            ports.metrics.count("Exported", known.arms["exported"])
    return {"tenant": tenant, "export": export, "receipt": key, "arms": dict(known.arms)}


def _made(ports: Ports, order: ExportOrder, gap: str | None) -> ListReceipt:
    plan = newest_plan(ports, order, gap)
    for _ in range(_MOST_PLANS):
        with ports.sql() as sql:
            # with one thread, a second call writes the rows in the same order, and so the same bytes
            sql.execute("set threads = 1")
            _decided(ports, sql, order, plan)
            receipt = _written(ports, sql, order, plan)
        if receipt is not None:
            return receipt
        plan = plan_anew(ports, order, plan)
    raise RetryableError(
        f"export {order.export}: {_MOST_PLANS} other lists of tenant {order.tenant_id} by model {order.request.model} "
        "came first; try again"
    )


def _decided(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan) -> None:
    """Make tables `settled` and `row`, as the first try of this plan decided.

    `settled` has a row per customer who was decided on. `row` has the rows of the files, with the file's `stem`, the
    `operation` and the place `nth_of_files`. `exported_at` is after that of every earlier list of the tenant by the
    model. Only customers who are exported keep the values of the destination's columns.
    """
    key = f"{export_folder(order.tenant_id, order.export)}/{plan.named('decided.parquet')}"
    path = sql.scratch / "decided.parquet"
    try:
        ports.lake.download(key, path)
    except NotFoundError:
        _decide(ports, sql, order, plan, path)
        keep_first(ports.lake, key, path)
    source = read_files([str(path)])
    sql.execute(f"create temp table settled as select * from {source} where stem is null")
    sql.execute(f"create or replace temp table row as select * from {source} where stem is not null")


def _decide(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan, path: Path) -> None:
    """Decide, and write table `decided` and the rows of the files to one file."""
    sources = _decide_members(ports, sql, order, plan)
    if order.recall is None:
        rows_of_files(sql, sources, {"part": "changes" if sources.delta else "whole"})
    else:
        refuse_superseded(sql, sources)
        rows_of_files(sql, sources, {"recall": "removals", "corrected": "whole"})
    names = [file_column(number) for number in range(len(sources.destination.columns))]
    shown = ", ".join(f"case when arm = 'exported' then {name} end as {name}" for name in names)
    kept = "case when arm = 'exported' then sending end" if sources.keeps_sent else "null::varchar"
    # two lists of one second, or one that was asked for first and came second, are in the order in which they came
    at = f"greatest(timestamptz {text(order.at)}, (select max(exported_at) from list_past) + interval 1 millisecond)"
    sql.execute(
        f"copy (select * exclude (sending) replace ({shown}), {kept} as sent, {at} as exported_at, "
        "null::varchar as stem, null::varchar as operation, null::bigint as nth_of_files from decided "
        "union all by name select * from row "
        f"order by stem nulls first, nth_of_files, {ORDER}) to {text(str(path))} (format parquet, compression zstd)"
    )


def _decide_members(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan) -> ListSources:
    """Make table `decided` from what the plan pinned."""
    version = load_version(ports.lake, order.request.model, plan.version)
    definition, info = version.definition(ports.lake), pack_info(ports)
    destination = destination_of(ports, order, plan)
    datasets = list_datasets(ports, order, plan.version, destination)
    pins = pin_datasets(ports, datasets, SilverAt(versions=plan.silver, retracted=plan.retracted))
    listed = parse_rules(ports.pack_files, ports.pack)
    rules = listed.of(order.request.model)
    tables = pinned_tables(ports, plan)
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
        destination=destination,
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
    [(population,)] = sql.rows("select count(*) from decided")
    if population == 0 and order.recall is None:
        raise NotFoundError(
            f"tenant {order.tenant_id}: model {order.request.model} has no customer of it on {sources.day}; GET "
            f"/v1/tenants/{order.tenant_id}/readiness says what is missing"
        )
    return sources


def _written(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan) -> ListReceipt | None:
    """Write the files, and table `settled` to gold/exports or, for a recall, to gold/recalls; the receipt.

    None where another list came first, and nothing of this one is visible.
    """
    destination = destination_of(ports, order, plan)
    if order.recall is not None:
        files = write_files(ports, sql, order, plan, destination, {"recall": True, "corrected": False})
        receipt = list_receipt(sql, order, plan, destination, files, "recall")
        receipt.check()
        record_recall(ports, sql, order, destination)
        return receipt
    name = f"export {order.tenant_id} {order.export}"
    place = [] if plan.nth is None else [list_name(order.tenant_id, order.request.model, plan.nth)]
    if _came_late(ports, name, place):
        return None  # before files are written that nobody may hand out
    changes = sends_changes(destination, order.request)
    files = write_files(ports, sql, order, plan, destination, {"part": changes})
    receipt = list_receipt(sql, order, plan, destination, files, "delta" if changes else "full")
    receipt.check()
    facts = {
        "model": text(order.request.model),
        "model_version": f"{plan.version}::integer",
        "export": text(order.export),
        "destination": text(destination.name),
        "channel": text(destination.channel) if destination.channel else "null::varchar",
        "holdout": f"{order.request.holdout}::double",
    }
    columns = ", ".join(f"{facts.get(column, f'{column}::{kind}')} as {column}" for column, kind in MEMBERSHIP)
    try:
        append_once(ports, sql, EXPORTS, f"select {columns} from settled", name, EXPORTS_PARTITION, also=place)
    except RetryableError:
        if _came_late(ports, name, place):
            return None
        raise
    _ask(ports, sql, order, plan)
    return receipt


def _came_late(ports: Ports, name: str, place: list[str]) -> bool:
    """Whether another list has the place of a list, which is not part of gold/exports itself."""
    found = ports.tables.committed(EXPORTS, [name, *place])
    return bool(found) and name not in found


def _ask(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan) -> None:
    """Put the customers who wait for review into gold/review, once."""
    [(waiting,)] = sql.rows("select count(*) from settled where arm = 'review'")
    if waiting == 0:
        return
    facts = {
        "model": text(order.request.model),
        "model_version": f"{plan.version}::integer",
        "export": text(order.export),
        "destination": text(order.request.destination),
        "told_at": f"timestamptz {text(order.at)}",
        "decision": "null::varchar",
        "reason": "null::varchar",
        "decided_by": "null::varchar",
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in REVIEW)
    query = f"select {columns} from settled where arm = 'review'"
    append_once(ports, sql, REVIEWS, query, f"review {order.tenant_id} {order.export}", EXPORTS_PARTITION)
