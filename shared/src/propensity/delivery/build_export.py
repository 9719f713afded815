"""build_export: make a list: decide who is on it, write its files, record everybody's place, write the receipt last.

Each step stands once it is done: the plan, the decision, each file, the rows in gold/exports. A second try goes on from
there, whatever the pack, its contracts or this package say by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from propensity.delivery.domain.list_sql import ORDER
from propensity.delivery.domain.order import ExportOrder, ExportPlan, export_folder
from propensity.delivery.domain.receipt import ARMS, ListFile, ListReceipt
from propensity.delivery.list_plans import destination_of, list_datasets, list_name, newest_plan, plan_anew
from propensity.delivery.members import MEMBERSHIP, ListSources, decide_members, file_column
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.appends import append_once
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import EXPORTS, EXPORTS_PARTITION, IDENTITIES, SCORES
from propensity.lake.json_objects import dumps, find_record, parse_record, read_record, write_once
from propensity.lake.kept_files import keep_first
from propensity.lake.pins import pin_datasets
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.destination_spec import Destination
from propensity.pack.domain.list_rules import parse_rules
from propensity.ports import Ports, Sql
from propensity.registry.versions import load_version

_FORMULA = r"^[=+\-@\t\r]"  # OWASP, "CSV Injection": what a spreadsheet takes for a formula
_BOM = b"\xef\xbb\xbf"
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
    known = find_record(ports.lake, f"{folder}/receipt.json", ListReceipt)
    if known is None:
        order = read_record(ports.lake, f"{folder}/request.json", ExportOrder)
        known = _made(ports, order, gap)
        there = set(ports.lake.keys(f"{folder}/"))
        if not all(f"{folder}/{file.file}" in there for file in known.files):
            raise RetryableError(f"export {export}: an erasure removed its files while it was made; it is made again")
        key = f"{folder}/receipt.json"
        known = parse_record(write_once(ports.lake, key, dumps(known)), key, ListReceipt)
        ports.metrics.count("Exported", known.arms["exported"])
    return {"tenant": tenant, "export": export, "receipt": f"{folder}/receipt.json", "arms": dict(known.arms)}


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
    """Make table `settled`: a row per customer of the population, as the first try of this plan decided.

    `operation` says what becomes of the customer in the files: add, remove, or NULL for none. `exported_at` is after
    that of every earlier list of the tenant by the model. Only rows of the files, and those exported, keep the values
    of the destination's columns.
    """
    key = f"{export_folder(order.tenant_id, order.export)}/{plan.named('decided.parquet')}"
    path = sql.scratch / "decided.parquet"
    try:
        ports.lake.download(key, path)
    except NotFoundError:
        _decide(ports, sql, order, plan, path)
        keep_first(ports.lake, key, path)
    sql.execute(f"create temp table settled as select * from {read_files([str(path)])}")


def _decide(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan, path: Path) -> None:
    """Decide, and write table `decided` to a file with the columns that table `settled` has besides."""
    version = load_version(ports.lake, order.request.model, plan.version)
    definition, info = version.definition(ports.lake), pack_info(ports)
    destination = destination_of(ports, order, plan)
    datasets = list_datasets(ports, order, plan.version, destination)
    pins = pin_datasets(ports, datasets, SilverAt(versions=plan.silver, retracted=plan.retracted))
    rules = parse_rules(ports.pack_files, ports.pack).of(order.request.model)
    tables = {
        table: None if number is None else ports.tables.snapshot(table, version=number)
        for table, number in plan.tables.items()
    }
    sources = ListSources(
        request=order.request,
        tenant=order.tenant_id,
        day=order.day,
        today=order.today,
        version=plan.version,
        entity=info.entity,
        contracts={dataset: contract_of(ports, dataset) for dataset in datasets},
        rules=rules,
        destination=destination,
        scores=tables[SCORES],
        exports=tables[EXPORTS],
        identities=plan.tables[IDENTITIES],
        shapes=pins.shapes,
    )
    buckets = list(range(pins.bucket_count))
    if info.partition_key == "tenant":
        # all rows of the tenant lie in one bucket
        buckets = [int(sql.rows(f"select {bucket_of(text(order.tenant_id), pins.bucket_count)}")[0][0])]
    queries = [rule.query for rule in rules]
    session = SilverSession(sql, ports.lake, pins.sources(buckets), definition, order.tenant_id, queries)
    decide_members(ports, sql, session, sources)
    [(population,)] = sql.rows("select count(*) from decided")
    if population == 0:
        raise NotFoundError(
            f"tenant {order.tenant_id}: model {order.request.model} has no customer of it on {sources.day}; GET "
            f"/v1/tenants/{order.tenant_id}/readiness says what is missing"
        )
    operation = "case when arm = 'exported' then 'add' end"
    if sources.delta:
        operation = (
            "case when arm = 'exported' and customer_id not in (select customer_id from list_last) then 'add' "
            "when arm <> 'exported' and customer_id in (select customer_id from list_last) then 'remove' end"
        )
    names = [file_column(number) for number in range(len(destination.columns))]
    shown = ", ".join(
        f"case when arm = 'exported' or operation is not null then {name} end as {name}" for name in names
    )
    # two lists of one second, or one that was asked for first and came second, are in the order in which they came
    at = f"greatest(timestamptz {text(order.at)}, (select max(exported_at) from list_past) + interval 1 millisecond)"
    sql.execute(
        f"copy (select * replace ({shown}) from (select *, {operation} as operation, {at} as exported_at from decided) "
        f"order by {ORDER}) to {text(str(path))} (format parquet, compression zstd)"
    )


def _written(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan) -> ListReceipt | None:
    """Write the files of table `settled`, and its rows to gold/exports; the receipt.

    None where another list came first, and nothing of this one is visible.
    """
    destination = destination_of(ports, order, plan)
    delta = destination.mode == "delta" and not order.request.reset
    name = f"export {order.tenant_id} {order.export}"
    place = [] if plan.nth is None else [list_name(order.tenant_id, order.request.model, plan.nth)]
    if _came_late(ports, name, place):
        return None  # before files are written that nobody may hand out
    sql.execute(
        f"create temp table row as select *, row_number() over (order by operation, {ORDER}) as nth_of_files "
        "from settled where operation is not null"
    )
    files = tuple(_files(ports, sql, order, plan, destination, delta=delta))
    receipt = _receipt(sql, order, plan, destination, files, delta=delta)
    receipt.check()
    facts = {
        "model": text(order.request.model),
        "model_version": f"{plan.version}::integer",
        "export": text(order.export),
        "destination": text(destination.name),
        "channel": text(destination.channel) if destination.channel else "null::varchar",
        "holdout": f"{order.request.holdout}::double",
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in MEMBERSHIP)
    try:
        append_once(ports, sql, EXPORTS, f"select {columns} from settled", name, EXPORTS_PARTITION, also=place)
    except RetryableError:
        if _came_late(ports, name, place):
            return None
        raise
    return receipt


def _came_late(ports: Ports, name: str, place: list[str]) -> bool:
    """Whether another list has the place of a list, which is not part of gold/exports itself."""
    found = ports.tables.committed(EXPORTS, [name, *place])
    return bool(found) and name not in found


def _files(
    ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan, destination: Destination, *, delta: bool
) -> Iterator[ListFile]:
    """Write table `row` as files of at most `max_rows` rows. A list without rows is one file with its header."""
    kind = order.request.format or destination.format
    chosen = [_cell(kind, destination, file_column(n), column.name) for n, column in enumerate(destination.columns)]
    if delta:
        chosen.append(f"operation as {quote(destination.operation)}")
    [(rows,)] = sql.rows("select count(*) from row")
    for part, start in enumerate(range(0, max(int(rows), 1), destination.max_rows), start=1):
        name = plan.named(f"part-{part:04d}.{kind}")
        path = sql.scratch / name
        part_of = f"nth_of_files > {start} and nth_of_files <= {start + destination.max_rows}"
        query = f"select {', '.join(chosen)} from row where {part_of} order by nth_of_files"
        sql.execute(f"copy ({query}) to {text(str(path))} ({_FORMATS[kind]})")
        if kind == "csv" and destination.spreadsheet:
            path.write_bytes(_BOM + path.read_bytes())
        # an earlier try may have written this file under another release: the receipt tells of the one that stands
        keep_first(ports.lake, f"{export_folder(order.tenant_id, order.export)}/{name}", path)
        with path.open("rb") as body:
            digest = hashlib.file_digest(body, "sha256").hexdigest()
        count = min(destination.max_rows, int(rows) - start)
        yield ListFile(file=name, rows=count, bytes=path.stat().st_size, sha256=digest)


_FORMATS = {
    "csv": "format csv, header, delimiter ',', quote '\"', escape '\"'",
    "jsonl": "format json",
    "parquet": "format parquet, compression zstd",
}


def _cell(kind: str, destination: Destination, value: str, name: str) -> str:
    if kind == "csv" and destination.spreadsheet:
        guarded = f"regexp_matches({value}::varchar, {text(_FORMULA)}) and typeof({value}) = 'VARCHAR'"
        return f"case when {guarded} then '''' || {value}::varchar else {value}::varchar end as {quote(name)}"
    return f"{value} as {quote(name)}"


def _receipt(
    sql: Sql,
    order: ExportOrder,
    plan: ExportPlan,
    destination: Destination,
    files: tuple[ListFile, ...],
    *,
    delta: bool,
) -> ListReceipt:
    """Count table `settled`."""
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
        mode="delta" if delta else "full",
        added=int(operations.get("add", 0)),
        removed=int(operations.get("remove", 0)),
        nth=plan.nth,
        files=files,
    )
