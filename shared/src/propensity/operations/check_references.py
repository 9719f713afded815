"""check_references: find and flag orphans, which are rows that refer to a missing row of another dataset.

Orphans are kept. Files come in any order, so a row may be an orphan today and none tomorrow. The check therefore looks
at what was known at a day, and gold/orphans says for each row when it became an orphan and when it ceased to be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from propensity.kernel.errors import PackError
from propensity.kernel.sql_text import instant, quote, read_files, text
from propensity.lake.appends import append_once
from propensity.lake.domain.as_of_views import latest_versions
from propensity.lake.domain.run_names import parse_day
from propensity.lake.gold_tables import ORPHANS, REFERENCES
from propensity.lake.session import download
from propensity.lake.silver_tables import shape_of, silver_table
from propensity.lake.taken_back import retracted
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.quality import Reference
from propensity.ports import Ports, Snapshot, Sql
from propensity.stats.figures import wilson


def check_references(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Check each reference of each contract, as known at the slot's midnight UTC.

    gold/orphans gets a row for each row that became an orphan (`orphan` true) or ceased to be one. gold/references gets
    a row per tenant and reference: how many rows refer to something, how many are orphans, and their share with
    Wilson's 95 % interval. Each slot is checked once, and a slot before the newest one checked changes nothing. Raises
    PackError for a reference to a dataset or column that the pack does not have.
    """
    day = parse_day(slot, "slot").isoformat()
    contracts = {dataset: contract_of(ports, dataset) for dataset in pack_info(ports).datasets}
    references, orphans = 0, list[int]()
    for contract in contracts.values():
        for reference in contract.references:
            references += 1
            _check(contracts, contract, reference, ports.pack)
            found = _orphans(ports, contracts, contract, reference, day)
            if found is not None:
                orphans.append(found)
    ports.metrics.count("OrphanRows", sum(orphans))
    return {"slot": day, "references": references, "checked": len(orphans), "orphans": sum(orphans)}


def _check(contracts: Mapping[str, Contract], contract: Contract, reference: Reference, pack: str) -> None:
    """Check one reference of a contract.

    Raises PackError for a reference to a dataset or column that the pack lacks.
    """
    found = contracts.get(reference.to_dataset)
    if found is None or all(column.name != reference.to_column for column in found.columns):
        raise PackError(
            f"{pack}/contracts/{contract.dataset}.yaml: {reference.column}: relationships names "
            f"{reference.to_dataset}.{reference.to_column}, expected a column of a dataset of this pack"
        )


def _orphans(
    ports: Ports, contracts: Mapping[str, Contract], contract: Contract, reference: Reference, day: str
) -> int | None:
    """Check a reference as known at a day, and return how many rows are orphans.

    The result is None where this day or a later one was checked before, or where no row of the dataset has come.
    """
    name = f"{contract.dataset}.{reference.column}"
    snapshot = ports.tables.snapshot(silver_table(contract.dataset))
    with ports.sql() as sql:
        if snapshot is None or not _flagged(ports, sql, contract, reference, day):
            return None
        sql.execute("create temp table targets (tenant_id varchar, value varchar, primary key (tenant_id, value))")
        target = ports.tables.snapshot(silver_table(reference.to_dataset))
        if target is not None:
            known = _known(ports, contracts[reference.to_dataset], day)
            wanted = f"tenant_id, {quote(reference.to_column)}::varchar as value"
            insert = f"insert or ignore into targets select distinct {wanted} from ({known}) where value is not null"
            _by_bucket(ports, sql, target, contracts[reference.to_dataset], insert)
        sql.execute("create temp table naming (tenant_id varchar, _key varchar, entity varchar, orphan boolean)")
        entity = pack_info(ports).entity
        has_entity = any(column.name == entity for column in contract.columns)
        value = f"{quote(reference.column)}::varchar"
        insert = (
            f"insert into naming select s.tenant_id, s._key, {quote(entity) + '::varchar' if has_entity else 'null'}, "
            f"t.value is null from ({_known(ports, contract, day)}) s "
            f"left join targets t on t.tenant_id = s.tenant_id and t.value = s.{value} where s.{value} is not null"
        )
        _by_bucket(ports, sql, snapshot, contract, insert)
        sql.execute("""
            create temp table changed as
            select tenant_id, _key, coalesce(n.entity, f.entity) as entity, coalesce(n.orphan, false) as orphan
            from naming n full join flagged f using (tenant_id, _key)
            where coalesce(n.orphan, false) <> coalesce(f.orphan, false)""")
        orphans = _count(sql)
        stamp = (
            f"{text(contract.dataset)} as dataset, {text(reference.column)} as column_name, "
            f"{text(f'{reference.to_dataset}.{reference.to_column}')} as refers_to, {text(day)}::date as as_of"
        )
        # the orphans are written first: a day that has its counts was checked to the end
        flags = f"select tenant_id, entity as {quote(entity)}, _key as row_key, orphan, {stamp} from changed"
        append_once(ports, sql, ORPHANS, flags, f"orphans/{name}/{day}")
        append_once(ports, sql, REFERENCES, f"select *, {stamp} from counted", f"references/{name}/{day}")
    return orphans


def _flagged(ports: Ports, sql: Sql, contract: Contract, reference: Reference, day: str) -> bool:
    """Create the table `flagged`: the rows, by whether they were orphans before this day.

    Return False where this day or a later one was checked before.
    """
    which = f"dataset = {text(contract.dataset)} and column_name = {text(reference.column)}"
    sql.execute("create temp table flagged (tenant_id varchar, _key varchar, entity varchar, orphan boolean)")
    counted = ports.tables.snapshot(REFERENCES)
    if counted and counted.files:
        counts = read_files(download(sql, ports.lake, counted.file_keys(), "references"))
        [(newest,)] = sql.rows(f"select max(as_of)::varchar from {counts} where {which}")
        if newest is not None and newest >= day:
            return False
    orphans = ports.tables.snapshot(ORPHANS)
    if orphans and orphans.files:
        flags = read_files(download(sql, ports.lake, orphans.file_keys(), "orphans"))
        sql.execute(
            f"insert into flagged select tenant_id, row_key, {quote(pack_info(ports).entity)}, orphan "
            f"from {flags} where {which} and as_of < {text(day)}::date "
            "qualify row_number() over (partition by tenant_id, row_key order by as_of desc) = 1"
        )
    return True


def _known(ports: Ports, contract: Contract, day: str) -> str:
    """Return a SELECT over `silver`: the latest version of each key, as known at the beginning of the day."""
    moment = instant(date.fromisoformat(day))
    shape = shape_of(contract, retracted(ports.lake, contract.dataset))
    return latest_versions(shape, "silver", known_before=moment, valid_before=moment)


def _by_bucket(ports: Ports, sql: Sql, snapshot: Snapshot, contract: Contract, statement: str) -> None:
    """Run a statement once per bucket, with the bucket's files as `silver`; only one bucket is on disk at a time."""
    columns = ", ".join(f"null::{column.duckdb_type} as {quote(column.name)}" for column in contract.columns)
    for bucket in sorted({file.partition["bucket"] for file in snapshot.files}, key=int):
        paths = download(sql, ports.lake, snapshot.file_keys(bucket=bucket), "bucket")
        # a file from before the contract had a column gets null in the column
        empty = f"select {columns}, null::timestamptz as _healed_at where false"
        rows = f"({empty}) union all by name select * from {read_files(paths)}"
        sql.execute(f"create or replace temp view silver as {rows}")
        sql.execute(statement)
        for path in paths:
            Path(path).unlink()


def _count(sql: Sql) -> int:
    """Create the table `counted`, a row per tenant, and return the orphans of all tenants."""
    sql.execute(
        "create temp table counted (tenant_id varchar, row_count bigint, orphans bigint, share double, low double, "
        "high double)"
    )
    found = sql.rows("select tenant_id, count(*), count(*) filter (orphan) from naming group by tenant_id")
    for tenant, rows, orphans in found:
        share = wilson(orphans, rows)
        sql.execute(
            "insert into counted values (?, ?, ?, ?, ?, ?)", [tenant, rows, orphans, share.value, share.low, share.high]
        )
    return sum(orphans for _, _, orphans in found)
