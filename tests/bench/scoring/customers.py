"""A lake of made-up customers with ten events each, as files of Silver, with a champion who can score them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from propensity.adapters.delta_tables import DeltaTables
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.lake.domain.silver_rows import BucketRule, silver_rows
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import contract_of
from propensity.registry.domain.ledger import CHAMPION, LedgerLine
from propensity.registry.versions import append_to_ledger
from propensity.runtime.pack_files import pack_files
from tests.bench.scoring.models import TREES_8
from tests.bench.scoring.prepare import BUCKETS, DAY, MODEL, PACK, TENANTS, register_side
from tests.fakes.folder_store import FolderStore

CUSTOMERS = 1_000_000
EVENTS = 10  # per customer; one of them is a purchase
LARGE = 0.52  # the share of the customers of the largest tenant, who alone have half a million of a million
LARGEST = "dealer_000"
_PART = 1_000_000  # rows that are appended at once
_DAYS = 1_440  # of events before the as-of date, within the 48 months of the model's population


def make_lake(folder: Path, customers: int) -> None:
    """Write so many customers, their vehicles, leases, purchases and visits; and register a champion."""
    lake = FolderStore(folder)
    add_customers(folder, 0, customers)
    register_side(lake, TREES_8)
    line = LedgerLine(
        number=1, action="promote", alias=CHAMPION, version=1, previous=None, by="bench", why="bench", at=DAY
    )
    append_to_ledger(lake, MODEL, lambda _: line)
    for number in range(TENANTS):
        # a tenant is known once a file of it was validated
        lake.put(f"validation/customers/tenant_id=dealer_{number:03d}/bench.json", b"{}")


def add_customers(folder: Path, first: int, count: int, day: str = DAY) -> None:
    """Append customers and their rows, which are all known before a day."""
    tables = DeltaTables(str(folder))
    pack: Any = SimpleNamespace(pack=PACK, pack_files=pack_files(PACK))
    for dataset, per_customer, columns in _datasets(first, count, day):
        contract = contract_of(pack, dataset)
        rows = int(count * per_customer)
        for start in range(0, rows, _PART):
            made = (
                f"(select {columns}, 'bench' as _content_id, 'bench' as _source_key, i as _line, "
                f"(recorded_at + interval 8 hour) as _ingested_at, null::timestamptz as _known_from "
                f"from range({start}, {min(start + _PART, rows)}) t(i))"
            )
            with DuckDbSql() as sql:
                rule = BucketRule("tenant", BUCKETS)
                stream = sql.stream(silver_rows(contract, made, rule))
                tables.append(silver_table(dataset), stream, partition_by=("bucket",), buckets=BUCKETS)


def _datasets(first: int, count: int, day: str) -> list[tuple[str, float, str]]:
    """Each dataset, its rows per customer, and the columns of its ith row."""
    drawn = f"({first} + (hash(i, {first}) % {count})::bigint)"
    own = f"({first} + i)"
    ago = f"(hash(i, {first} + 1) % {_DAYS} + 2)::integer"

    def of(customer: str) -> str:
        # by the number's own digits, so that customers who are added later have tenants by the same shares
        small = f"1 + (hash({customer}, 1) % {TENANTS - 1})"
        tenant = f"case when hash({customer}) % 1000 < {LARGE * 1000} then 0 else {small} end"
        return f"'dealer_' || lpad(({tenant})::varchar, 3, '0') as tenant_id, {_name('C', customer)} as customer_id"

    begun = f"date '{day}' - {_DAYS + 60}"
    recorded = f"({begun})::timestamptz as recorded_at"
    happened = f"(date '{day}' - {ago})"
    visits = (
        f"{of(drawn)}, {_name('S', f'{first * EVENTS} + i', 11)} as service_id, 1 as revision, {_vin(drawn)} as vin, "
        f"({happened} + interval 10 hour)::timestamptz as visited_at, 'maintenance' as visit_kind, "
        f"(hash(i) % 200000)::bigint as odometer_km, (hash(i, 3) % 90000) / 100.0 as amount, "
        f"case when hash(i, 4) % 5 = 0 then (hash(i, 5) % 40000) / 100.0 end as declined_amount, "
        f"({happened} + interval 18 hour)::timestamptz as recorded_at"
    )
    return [
        (
            "customers",
            1,
            f"{of(own)}, 'c' || {own} || '@example.com' as email, '+49' || (1510000000 + {own}) as phone, "
            f"lpad((hash(i) % 90000)::varchar, 5, '0') as postcode, true as consent, {begun} as valid_from, {recorded}",
        ),
        (
            "vehicles",
            1,
            f"{of(own)}, {_vin(own)} as vin, 'make' as make, 2018 as model_year, "
            f"(date '{day}' - (hash(i, 7) % 4000)::integer) as first_registered_on, {begun} as valid_from, {recorded}",
        ),
        (
            "leases",
            0.3,
            f"{of(own)}, {_name('L', own)} as lease_id, {_vin(own)} as vin, {begun} as starts_on, "
            f"(date '{day}' + (hash(i, 9) % 700)::integer) as ends_on, 299.0 as monthly, {begun} as valid_from, "
            f"{recorded}",
        ),
        (
            "sales",
            1,
            f"{of(own)}, {_name('X', own)} as sale_id, {_vin(own)} as vin, {happened} as sold_on, 'new' as condition, "
            f"'cash' as finance, 20000.0 as price, ({happened} + interval 18 hour)::timestamptz as recorded_at",
        ),
        ("service_records", EVENTS - 1, visits),
    ]


def _name(letter: str, number: str, width: int = 9) -> str:
    return f"'{letter}' || lpad(({number})::varchar, {width}, '0')"


def _vin(customer: str) -> str:
    return f"'WVWZZZ' || lpad(({customer})::varchar, 11, '0')"
