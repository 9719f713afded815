"""Pack SQL that tries to see past its views is refused, by whatever name; the SQL of the shipped packs is not."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.features.silver_session import SilverSession, check_definition
from propensity.kernel.errors import PackError
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.domain.run_records import ItemSource
from propensity.lake.silver_tables import shape_of
from propensity.pack.current import contract_of
from propensity.pack.domain.definition import parse_definition, parse_pack
from propensity.runtime.pack_files import pack_files, pack_names
from propensity.training.domain.cost import check_candidate
from tests.fakes.folder_store import FolderStore
from tests.kit.drops import Drops

MODEL = """
name: again
hypothesis: h
owner: o
population: {{description: d, sql: "{population}"}}
target: {{description: d, sql: "{target}"}}
horizon_days: 30
features: [orders]
training: {{as_of_count: 2, every_months: 1}}
candidates: [{{family: logistic_regression}}]
filter: {{description: d, sql: "{filter}"}}
"""
GROUP = "{group: orders, description: d, owner: o, features: [{name: n, description: d}]}"
HARMLESS = {
    "population": "select distinct tenant_id, customer from orders",
    "target": "select distinct tenant_id, customer from outcome.orders",
    "filter": "select tenant_id, customer_id as customer from population",
    "group": "with o as (select * from orders) select tenant_id, customer, count(*) as n from o group by all",
}
ESCAPES = {
    "silver.orders": "select tenant_id, customer, count(*) as n from silver.orders group by all",
    "memory.silver.orders": "select tenant_id, customer, 1 as n from memory.silver.orders",
    "group_orders": "select tenant_id, customer_id as customer, n from group_orders",
    "now()": "select distinct tenant_id, customer, epoch(now()) as n from orders",
    "current_date": "select distinct tenant_id, customer, year(current_date) as n from orders",
    "random()": "select tenant_id, customer, max(random()) as n from orders group by all",
    "read_text()": "select t.tenant_id, t.customer, 1 as n from orders t, read_text('/etc/hostname')",
    "/etc/hostname": "select t.tenant_id, t.customer, 1 as n from orders t, '/etc/hostname'",
    "duckdb_tables()": "select tenant_id, customer, (select count(*) from duckdb_tables()) as n from orders",
    "query_table()": "select tenant_id, customer, 1 as n from query_table('silver.orders')",
    "a sample": "select tenant_id, customer, 1 as n from orders using sample 10%",
    "current_localtimestamp()": "select tenant_id, customer, epoch(current_localtimestamp()) as n from orders",
    "age()": "select tenant_id, customer, year(age(ordered_at)) as n from orders",
    "expected one SELECT": "drop table x",
}


def check(**queries: str) -> None:
    wanted = {**HARMLESS, **queries}
    group = wanted.pop("group")
    files = {
        "models/again.yaml": MODEL.format(**wanted),
        "features/orders.yaml": GROUP,
        "features/orders.sql": group,
    }
    definition = parse_definition(files, "again", where="shop", entity="customer")
    with DuckDbSql() as sql:
        check_definition(sql, definition, SHAPES)


SHAPES = {"orders": SilverShape("orders", "event", ()), "addresses": SilverShape("addresses", "state", ())}


def test_queries_over_the_views_pass() -> None:
    check()


def test_states_have_a_history_and_events_have_none() -> None:
    check(group="select tenant_id, customer, count(*) as n from history.addresses group by all")
    with pytest.raises(PackError, match=r"names history\.orders"):
        check(group="select tenant_id, customer, count(*) as n from history.orders group by all")


@pytest.mark.parametrize("where", ["group", "population", "target", "filter"])
@pytest.mark.parametrize("told", ESCAPES)
def test_a_query_that_reaches_past_its_views_is_refused(told: str, where: str) -> None:
    with pytest.raises(PackError) as raised:
        check(**{where: ESCAPES[told]})
    assert told in str(raised.value)
    assert "orders" in str(raised.value) or "again" in str(raised.value)


@pytest.mark.parametrize("where", ["group", "population", "filter"])
def test_only_the_target_sees_outcomes(where: str) -> None:
    with pytest.raises(PackError, match=r"names outcome\.orders"):
        check(**{where: "select tenant_id, customer, 1 as n from outcome.orders"})


# by the files' names: a pack.yaml that cannot be read fails its own tests, and not those of all packs
PACKS = [
    (pack, file.removeprefix("models/").removesuffix(".yaml"))
    for pack in pack_names()
    for file in pack_files(pack)
    if file.startswith("models/")
]


@pytest.mark.parametrize(("pack", "model"), PACKS)
def test_every_candidate_of_every_pack_states_what_its_family_takes(pack: str, model: str) -> None:
    files = pack_files(pack)
    definition = parse_definition(files, model, where=pack, entity=parse_pack(files, pack).entity)
    assert definition.model.candidates
    for candidate in definition.model.candidates:
        check_candidate(candidate, f"{pack}/models/{model}.yaml")


@pytest.mark.parametrize(("pack", "model"), PACKS)
def test_every_query_of_every_pack_runs_on_a_lake_of_the_contracts_columns(
    pack: str, model: str, tmp_path: Path
) -> None:
    files = pack_files(pack)
    info = parse_pack(files, pack)
    ports: Any = Drops(files)
    ports.pack = pack
    definition = parse_definition(files, model, where=pack, entity=info.entity)
    sources = {dataset: ItemSource(shape=shape_of(contract_of(ports, dataset)), keys=()) for dataset in info.datasets}
    with DuckDbSql() as sql:
        session = SilverSession(sql, FolderStore(tmp_path), sources, definition)
        session.cut(date(2025, 7, 1))
        session.features("features")
        session.outcomes("converted", date(2025, 7, 1), None)
        if definition.model.filter:
            session.filtered("filtered")
        described = dict(row[:2] for row in sql.rows("describe features"))
    assert [name for name, kind in described.items() if kind == "FLOAT"] == list(definition.feature_names)


def test_what_was_cut_as_of_another_day_or_window_is_there_no_more(tmp_path: Path) -> None:
    files = pack_files("retail")
    info = parse_pack(files, "retail")
    ports: Any = Drops(files)
    ports.pack = "retail"
    [dataset] = info.datasets
    sources = {dataset: ItemSource(shape=shape_of(contract_of(ports, dataset)), keys=())}
    cut = "select schema_name from duckdb_tables() where table_name = ? and schema_name <> 'typed' order by all"
    with DuckDbSql() as sql:
        definition = parse_definition(files, info.models[0], where="retail", entity=info.entity)
        session = SilverSession(sql, FolderStore(tmp_path), sources, definition)
        for day in (date(2011, 6, 1), date(2011, 9, 1)):
            session.cut(day)
            assert sql.rows(cut, [dataset]) == [("main",)]
            for known_by in (None, date(2011, 12, 1)):
                session.outcomes("converted", day, known_by)
                assert sql.rows(cut, [dataset]) == [("main",), ("outcome",)]
