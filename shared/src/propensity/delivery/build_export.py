"""build_export: make a list: decide who is on it, write its files, record everybody's place, write the receipt last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from propensity.delivery.domain.list_sql import ORDER
from propensity.delivery.domain.order import ExportOrder, ExportPlan, export_folder
from propensity.delivery.domain.receipt import ARMS, ListFile, ListReceipt
from propensity.delivery.members import MEMBERSHIP, ListSources, decide_members, file_column
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import NotFoundError
from propensity.kernel.sql_text import quote, text
from propensity.lake.appends import append_once
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import EXPORTS, EXPORTS_PARTITION, IDENTITIES, SCORES
from propensity.lake.json_objects import dumps, find_record, is_planned, read_record
from propensity.lake.pins import pin_datasets
from propensity.lake.silver_tables import datasets_used
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.destination_spec import Destination
from propensity.pack.domain.list_rules import parse_destination, parse_rules
from propensity.ports import Ports, Sql
from propensity.registry.release_gate import refuse_unreleased
from propensity.registry.versions import load_champion, load_version

_FORMULA = r"^[=+\-@\t\r]"  # OWASP, "CSV Injection": what a spreadsheet takes for a formula
_BOM = b"\xef\xbb\xbf"


def build_export(ports: Ports, *, tenant: str, export: str) -> dict[str, Any]:
    """Make the list of a request. A second call finds the receipt of the first, or makes the same list again.

    Raises NotFoundError where nobody asked for the list, or where the model has no champion. Raises ConflictError where
    another version became champion since the request, whose lists are not released.
    """
    folder = export_folder(tenant, export)
    known = find_record(ports.lake, f"{folder}/receipt.json", ListReceipt)
    if known is None:
        order = read_record(ports.lake, f"{folder}/request.json", ExportOrder)
        plan = _plan(ports, order)
        with ports.sql() as sql:
            # with one thread, a second call writes the rows in the same order, and so the same bytes
            sql.execute("set threads = 1")
            known = _made(ports, sql, order, plan)
        ports.lake.put_new(f"{folder}/receipt.json", dumps(known))
        ports.metrics.count("Exported", known.arms["exported"])
    return {"tenant": tenant, "export": export, "receipt": f"{folder}/receipt.json", "arms": dict(known.arms)}


def _plan(ports: Ports, order: ExportOrder) -> ExportPlan:
    version = load_champion(ports.lake, order.request.model)
    if not is_planned(ports.lake, export_folder(order.tenant_id, order.export)):
        refuse_unreleased(ports, version)
    pins = pin_datasets(ports, _datasets(ports, order, version.number))
    snapshots = {table: ports.tables.snapshot(table) for table in (SCORES, EXPORTS, IDENTITIES)}
    plan = ExportPlan(
        version=version.number,
        silver=pins.versions(),
        retracted=pins.retracted(),
        tables={table: snapshot and snapshot.version for table, snapshot in snapshots.items()},
    )
    key = f"{export_folder(order.tenant_id, order.export)}/plan.json"
    return plan if ports.lake.put_new(key, dumps(plan)) else read_record(ports.lake, key, ExportPlan)


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


def _made(ports: Ports, sql: Sql, order: ExportOrder, plan: ExportPlan) -> ListReceipt:
    version = load_version(ports.lake, order.request.model, plan.version)
    definition, info = version.definition(ports.lake), pack_info(ports)
    datasets = _datasets(ports, order, plan.version)
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
        destination=_destination(ports, order),
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
    return _written(ports, sql, order, sources)


def _written(ports: Ports, sql: Sql, order: ExportOrder, sources: ListSources) -> ListReceipt:
    added, removed = _rows(sql, sources)
    files = tuple(_files(ports, sql, order, sources))
    receipt = _receipt(sql, order, sources, files, added, removed)
    receipt.check()
    facts = {
        "model": text(order.request.model),
        "model_version": f"{sources.version}::integer",
        "export": text(order.export),
        "destination": text(sources.destination.name),
        "channel": text(sources.destination.channel) if sources.destination.channel else "null::varchar",
        "exported_at": f"timestamptz {text(order.at)}",
        "holdout": f"{order.request.holdout}::double",
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in MEMBERSHIP)
    append_once(
        ports,
        sql,
        EXPORTS,
        f"select {columns} from decided",
        f"export {order.tenant_id} {order.export}",
        EXPORTS_PARTITION,
    )
    return receipt


def _rows(sql: Sql, sources: ListSources) -> tuple[int, int]:
    """Make table `row`: the rows of the files in their order. Returns how many are additions, and how many removals."""
    columns = ", ".join(file_column(number) for number in range(len(sources.destination.columns)))
    if not sources.delta:
        sql.execute(
            f"create temp table row as select {columns}, row_number() over (order by {ORDER}) as nth "
            "from decided where arm = 'exported'"
        )
        [(rows,)] = sql.rows("select count(*) from row")
        return int(rows), 0
    sql.execute(
        f"""
        create temp table row as
        select {columns}, operation, row_number() over (order by operation, {ORDER}) as nth from (
            select *, 'add' as operation from decided
                where arm = 'exported' and customer_id not in (select customer_id from list_last)
            union all
            select *, 'remove' from decided
                where arm <> 'exported' and customer_id in (select customer_id from list_last)
        )"""
    )
    found = dict(sql.rows("select operation, count(*) from row group by 1"))
    return int(found.get("add", 0)), int(found.get("remove", 0))


def _files(ports: Ports, sql: Sql, order: ExportOrder, sources: ListSources) -> Iterator[ListFile]:
    """Write table `row` as files of at most `max_rows` rows. A list without rows is one file with its header."""
    destination = sources.destination
    kind = order.request.format or destination.format
    chosen = [_cell(kind, destination, file_column(n), column.name) for n, column in enumerate(destination.columns)]
    if sources.delta:
        chosen.append(f"operation as {quote(destination.operation)}")
    [(rows,)] = sql.rows("select count(*) from row")
    for part, start in enumerate(range(0, max(int(rows), 1), destination.max_rows), start=1):
        name = f"part-{part:04d}.{kind}"
        path = sql.scratch / name
        part_of = f"nth > {start} and nth <= {start + destination.max_rows}"
        query = f"select {', '.join(chosen)} from row where {part_of} order by nth"
        sql.execute(f"copy ({query}) to {text(str(path))} ({_FORMATS[kind]})")
        if kind == "csv" and destination.spreadsheet:
            path.write_bytes(_BOM + path.read_bytes())
        folder = export_folder(order.tenant_id, order.export)
        ports.lake.upload_new(f"{folder}/{name}", path)
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
    sql: Sql, order: ExportOrder, sources: ListSources, files: tuple[ListFile, ...], added: int, removed: int
) -> ListReceipt:
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
        mode="delta" if sources.delta else "full",
        added=added,
        removed=removed,
        files=files,
    )
