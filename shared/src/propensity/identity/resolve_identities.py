"""resolve_identities: finds which customers are one person, and which persons are one household, as known at a slot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import Field

from propensity.identity.domain import queries
from propensity.identity.domain.identity_rules import FILE, LEVELS, IdentityRules, datasets_with, parse_identity
from propensity.identity.domain.queries import IDENTITY_COLUMNS
from propensity.identity.identities import load_identities
from propensity.kernel.errors import ConflictError, PackError, SqlError
from propensity.kernel.spec import Record
from propensity.kernel.sql_text import quote
from propensity.lake.appends import append_once
from propensity.lake.domain.as_of_views import as_of_rows
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import IDENTITIES
from propensity.lake.json_objects import dumps, find_record, parse_record, write_once
from propensity.lake.pins import pin_datasets
from propensity.lake.session import silver_views
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.contract import Contract
from propensity.ports import Ports, Sql

REPORTS = "identities"


class Shares(Record):
    """The number of values of a rule that several customers share, and the number of these customers."""

    values: int
    customers: int


class TenantIdentities(Record):
    """The figures of one tenant on one day.

    `new` counts the customers who were never resolved before, and `rows` the customers whose row changed. For each
    rule, `joined` counts the values that join customers. `refused` counts the values that more customers share than the
    rule allows.
    """

    customers: int
    persons: int
    households: int
    new: int
    rows: int
    person_merges: int
    person_splits: int
    household_merges: int
    household_splits: int
    joined: dict[str, Shares]
    refused: dict[str, Shares]


class IdentityPlan(Record):
    """The plan `identities/<day>/plan.json`: Silver's version per dataset, the files taken back, and the rules."""

    silver: dict[str, int]
    retracted: dict[str, list[list[str]]] = Field(default_factory=dict)
    rules: IdentityRules


class IdentityReport(IdentityPlan):
    """The report `identities/<day>.json`: the plan, the figures per tenant, and their totals by name."""

    slot: str
    totals: dict[str, int]
    tenants: dict[str, TenantIdentities]


def resolve_identities(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Append the customers whose identity changed to gold/identities, and write the report `identities/<day>.json`.

    The rows are appended in one commit. Returns the report's totals. Silver is read as known at the slot's midnight
    UTC. The first call of a slot pins Silver's versions and the rules. So a call after a crash does the same again, and
    a call after a finished call does nothing. A pack without rules resolves nothing.
    Raises ConflictError where a later day was resolved already, because ids build on the ids of the days before.
    """
    day = parse_day(slot, "slot").isoformat()
    if FILE not in ports.pack_files:
        return {"slot": day, "rows": 0, "rules": 0}
    key = f"{REPORTS}/{day}.json"
    report = find_record(ports.lake, key, IdentityReport)
    if report is None:
        kept = write_once(ports.lake, key, dumps(_resolve(ports, day).model_dump(mode="json")))
        report = parse_record(kept, key, IdentityReport)
    return {"slot": day, **report.totals}


def _resolve(ports: Ports, day: str) -> IdentityReport:
    info = pack_info(ports)
    contracts = {dataset: contract_of(ports, dataset) for dataset in info.datasets}
    rules = parse_identity(ports.pack_files, contracts, entity=info.entity, pack=ports.pack)
    datasets = datasets_with(info.entity, contracts)
    newest = pin_datasets(ports, datasets)
    wanted = IdentityPlan(silver=newest.versions(), retracted=newest.retracted(), rules=rules)
    key = f"{REPORTS}/{day}/plan.json"
    kept = write_once(ports.lake, key, dumps(wanted.model_dump(mode="json")))
    plan, as_of = parse_record(kept, key, IdentityPlan), date.fromisoformat(day)
    pins = pin_datasets(ports, datasets, SilverAt(versions=plan.silver, retracted=plan.retracted))
    buckets = [bucket for group in pins.groups(ports.rows_per_item) for bucket in group]
    with ports.sql() as sql:
        for dataset, shape in silver_views(sql, ports.lake, pins.sources(buckets)).items():
            rows = as_of_rows(shape, f"silver.{quote(dataset)}", as_of)
            sql.execute(f"create view {quote(dataset)} as {rows}")
        sql.execute("create schema resolve")
        load_identities(ports, sql, "resolve.history")
        name = f"{REPORTS}/{day}"
        if not ports.tables.committed(IDENTITIES, [name]):
            _refuse_out_of_order(sql, as_of)
        _table(sql, "customer", queries.customers(datasets, info.entity))
        _identifiers(sql, plan.rules, contracts, info.entity, as_of, f"{ports.pack}/{FILE}")
        _assign(sql, as_of)
        columns = ", ".join(column for column, _ in IDENTITY_COLUMNS)
        changed = f"select {columns} from resolve.identity where changed order by tenant_id, customer_id"
        append_once(ports, sql, IDENTITIES, changed, name)
        tenants = _figures(sql)
        return IdentityReport(slot=day, **dict(plan), totals=_totals(tenants), tenants=tenants)


def _refuse_out_of_order(sql: Sql, as_of: date) -> None:
    [(newest,)] = sql.rows("select max(as_of) from resolve.history")
    if newest is not None and newest > as_of:
        raise ConflictError(f"slot {as_of}: identities were resolved as of {newest} already; days go in order")


def _identifiers(
    sql: Sql, rules: IdentityRules, contracts: Mapping[str, Contract], entity: str, as_of: date, where: str
) -> None:
    """Create tables of each customer's values, of the values that several share, and of each customer's evidence."""
    sql.execute(
        "create table resolve.identifier (level varchar, rule varchar, max_customers integer, node bigint, "
        "tenant_id varchar, value varchar)"
    )
    for level, rule in rules.rules():
        try:
            sql.execute(f"insert into resolve.identifier {queries.identifiers(level, rule, contracts, entity, as_of)}")
        except SqlError as error:
            raise PackError(f"{where}: {level} rule {rule.name}: {error}; are its patterns RE2?") from error
    _table(sql, "shared", queries.SHARED)
    _table(sql, "evidence", queries.EVIDENCE)


def _assign(sql: Sql, as_of: date) -> None:
    """Create table `resolve.identity`: every customer's row as of the day."""
    _table(sql, "previous", queries.previous(as_of))
    for level in LEVELS:
        _table(sql, "link", queries.links(level))
        _components(sql)
        _table(sql, f"{level}_member", queries.members(level))
        _table(sql, level, queries.assigned(level, as_of))
    _table(sql, "identity", queries.identities(as_of))


def _components(sql: Sql) -> None:
    """Create table `resolve.component` (node, root) of all nodes with links, and empty table `resolve.link`."""
    _table(sql, "component", "select a as node, a as root from resolve.link union select b, b from resolve.link")
    while _any(sql, "from resolve.link"):
        _table(sql, "hop", queries.HOPS)
        while _any(sql, f"from ({queries.SHORTER}) s join resolve.hop h using (node) where s.root <> h.root"):
            _table(sql, "hop", queries.SHORTER)
        _table(sql, "component", queries.ROOTS)
        _table(sql, "link", queries.CARRIED)


def _table(sql: Sql, name: str, query: str) -> None:
    sql.execute(f"create or replace table resolve.{name} as {query}")


def _any(sql: Sql, source: str) -> bool:
    return bool(sql.rows(f"select 1 {source} limit 1"))


def _figures(sql: Sql) -> dict[str, TenantIdentities]:
    """The figures of each tenant."""
    found: dict[str, dict[str, Any]] = {}
    for tenant, *figures in sql.rows(
        "select tenant_id, count(*), count(distinct person_id), count(distinct household_id), "
        "count(*) filter (is_new), count(*) filter (changed) from resolve.identity group by tenant_id order by 1"
    ):
        names = ("customers", "persons", "households", "new", "rows")
        found[tenant] = dict(zip(names, figures, strict=True)) | {"joined": {}, "refused": {}}
    for level in LEVELS:
        moved = {tenant: figures for tenant, *figures in sql.rows(queries.moves(level))}
        for tenant, counts in found.items():
            merges, splits = moved.get(tenant, (0, 0))
            counts |= {f"{level}_merges": merges, f"{level}_splits": splits}
    for tenant, rule, refused, values, customers in sql.rows(
        "select tenant_id, rule, s.refused, count(distinct value), count(distinct node) from resolve.identifier "
        "join resolve.shared s using (level, rule, tenant_id, value) group by all order by all"
    ):
        found[tenant]["refused" if refused else "joined"][rule] = Shares(values=values, customers=customers)
    return {tenant: TenantIdentities.model_validate(counts) for tenant, counts in found.items()}


def _totals(tenants: Mapping[str, TenantIdentities]) -> dict[str, int]:
    """The sum of each figure over all tenants. Without any tenant only `customers` and `rows` are given, both 0."""
    totals: defaultdict[str, int] = defaultdict(int, customers=0, rows=0)
    for figures in tenants.values():
        for name, count in figures:
            if isinstance(count, int):
                totals[name] += count
    return dict(totals)
