"""Proves, before a run is planned, that no feature of a customer depends on the rows of others that lie beside it.

Work is cut into items by buckets of tenants, or of customers. So a query that reads the rows of other tenants answers
by how the work was cut, and shows one tenant what others did. A sample of Silver is computed twice: once with all of
its tenants together, and once with each tenant alone. Both must agree.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from propensity.features.domain.wide_reads import TENANT, wide_reads
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import PackError, SqlError
from propensity.kernel.sql_text import instant, quote, text
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.pins import Pins
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports, Sql

SAMPLE_ROWS = 30_000  # of each dataset; what a feature reads of others shows in hundreds of rows
_FILES = 4  # of each dataset and bucket
_ALONE = 6  # tenants, or customers, that are computed alone
# A sum of the same numbers in another order differs in its last bits, and a feature is stored as a 32-bit number. A
# value that rests on other rows differs by far more.
_ROUNDING = 1e-5


def check_isolation(ports: Ports, definition: Definition, pins: Pins, day: date, partition_key: str) -> None:
    """Compute the features of a sample as of a day, alone and together.

    The sample has up to SAMPLE_ROWS rows of each dataset, from the buckets with the fewest rows. Beside its own tenants
    it has three made-up ones, who each have a part of the rows of a real tenant, with the same customers. So a lake of
    one tenant proves as much, and a join that forgets the tenant is seen. With partition_key `entity`, customers are
    computed alone. Raises PackError that names group, feature and what the SQL reads.
    """
    buckets = _buckets(pins)
    if not buckets:
        return
    with ports.sql() as sql:
        sources = {
            dataset: source.model_copy(update={"keys": source.keys[: _FILES * len(buckets)]})
            for dataset, source in pins.sources(buckets).items()
        }
        session = SilverSession(sql, ports.lake, sources, definition)
        _sample(sql, pins.shapes, day)
        entity = definition.entity if partition_key == "entity" else None
        owned = [name for name, shape in pins.shapes.items() if entity in {column for column, _ in shape.columns}]
        _show(sql, list(sources), "true")
        try:
            session.cut(day)
            session.features("together")
        except PackError as error:
            if isinstance(error.__cause__, SqlError):
                raise  # the query itself is wrong, whoever's rows it reads
            raise PackError(f"{error}{_blame(sql, definition, str(error))}") from error
        for unit in _units(sql, entity):
            for dataset in sources:
                _show(sql, [dataset], _of(unit, entity if dataset in owned else None))
            session.cut(day)
            session.features("alone")
            _compare(sql, definition, _of(unit, "customer_id" if entity else None), entity)


def _buckets(pins: Pins) -> list[int]:
    """The buckets with the fewest rows that together have a sample's rows; at least one, where there are any."""
    rows: Counter[int] = Counter()
    for snapshot in pins.snapshots.values():
        for file in snapshot.files:
            rows[int(file.partition["bucket"])] += file.rows
    chosen: list[int] = []
    total = 0
    for bucket, count in sorted(rows.items(), key=lambda item: (item[1], item[0])):
        if chosen and total + count > SAMPLE_ROWS:
            break
        chosen.append(bucket)
        total += count
    return sorted(chosen)


def _sample(sql: Sql, shapes: Mapping[str, SilverShape], day: date) -> None:
    """Make a table `sampled.<dataset>` of each dataset, with the rows of the made-up tenants."""
    sql.execute("create schema sampled")
    for dataset in shapes:
        [(rows,)] = sql.rows(f"select count(*) from silver.{quote(dataset)}")
        draw = "('0x' || substr(md5(_key), 1, 8))::bigint"
        share = min(1.0, SAMPLE_ROWS / max(1, rows))
        table = f"sampled.{quote(dataset)}"
        sql.execute(f"create table {table} as select * from silver.{quote(dataset)} where {draw} < {share * 2**32:.0f}")
    counts = " union all ".join(f"select tenant_id from sampled.{quote(dataset)}" for dataset in shapes)
    found = sql.rows(f"select tenant_id from ({counts}) group by 1 order by count(*) desc, 1 limit 1")
    for (tenant,) in found:
        for dataset, shape in shapes.items():
            table = f"sampled.{quote(dataset)}"
            own = f"tenant_id = {text(tenant)}"
            half = "('0x' || substr(md5(_key || 'half'), 1, 8))::bigint % 2"
            past = f"{own} and {shape.time_column} < {instant(day)}"
            older = f"{shape.time_column} < (select quantile_disc({shape.time_column}, 0.8) from {table} where {past})"
            # the last one has none of the newest rows, so that a query that takes the newest of everyone is seen, too
            for number, condition in enumerate((f"{half} = 0", f"{half} = 1", older)):
                name = text(f"{tenant}~{number}")
                sql.execute(
                    f"insert into {table} by name "
                    f"select * replace ({name} as tenant_id) from {table} where {own} and {condition}"
                )


def _show(sql: Sql, datasets: Sequence[str], condition: str) -> None:
    """Let the session's views show the rows of the sample for which a condition holds."""
    for dataset in datasets:
        name = quote(dataset)
        sql.execute(f"create or replace view silver.{name} as select * from sampled.{name} where {condition}")


def _units(sql: Sql, entity: str | None) -> list[tuple[str, str]]:
    """The tenants, each with '', or the customers, each with their tenant, that are computed alone."""
    if entity is None:
        # the made-up tenants first, since each lacks some of the extreme values of everyone
        found = sql.rows(
            "select tenant_id from together group by 1 order by contains(tenant_id, '~') desc, count(*), 1"
        )
        return [(tenant, "") for (tenant,) in found[:_ALONE]]
    return [
        (tenant, customer)
        for tenant, customer in sql.rows(
            "select tenant_id, customer_id from together "
            f"order by contains(tenant_id, '~') desc, md5(customer_id), tenant_id limit {_ALONE}"
        )
    ]


def _of(unit: tuple[str, str], column: str | None) -> str:
    tenant, customer = unit
    of_customer = f" and {quote(column)}::varchar = {text(customer)}" if column else ""
    return f"tenant_id = {text(tenant)}{of_customer}"


def _compare(sql: Sql, definition: Definition, condition: str, entity: str | None) -> None:
    """Hold `alone` against the same customers of `together`."""
    key = [TENANT, entity] if entity else [TENANT]
    others = "other customers'" if entity else "other tenants'"
    together = f"(select *, true as _there from together where {condition})"
    alone = f"(select *, true as _there from alone where {condition})"
    both = f"{together} t full join {alone} a using (tenant_id, customer_id)"
    [(people, apart)] = sql.rows(f"select count(*), count(*) filter (t._there is null or a._there is null) from {both}")
    if apart:
        raise PackError(
            f"model {definition.model.name}, population: {apart} of {people} customers of a sample belong to it only "
            f"with, or only without, {others} rows beside them"
            f"{_read(sql, definition.model.population.sql, key)}; a population may rest on their own rows alone"
        )
    for group in definition.groups:
        for feature in group.features:
            own, mixed = f"a.{quote(feature.name)}::double", f"t.{quote(feature.name)}::double"
            near = f"abs({own} - {mixed}) <= {_ROUNDING} * greatest(abs({own}), abs({mixed}))"
            same = f"({own} is not distinct from {mixed} or coalesce({near}, false))"
            [(differing,)] = sql.rows(f"select count(*) filter (not {same}) from {both}")
            if differing:
                raise PackError(
                    f"feature group {group.group}, feature {feature.name}: {differing} of {people} customers of a "
                    f"sample have another value when {others} rows lie beside theirs"
                    f"{_read(sql, group.sql, key)}; expected a value that rests on their own rows alone"
                )


def _blame(sql: Sql, definition: Definition, message: str) -> str:
    """What the query that a message begins with reads of other tenants, whose rows may be why it failed."""
    return next((_read(sql, one.sql, [TENANT]) for one in definition.queries() if message.startswith(one.name)), "")


def _read(sql: Sql, query: str, key: Sequence[str]) -> str:
    """What the query's text shows of it, as the middle of a sentence."""
    [(answer,)] = sql.rows("select json_serialize_sql(?)", [query])
    found = wide_reads(json.loads(answer), query, [TENANT]) or wide_reads(json.loads(answer), query, key)
    return f": {'; '.join(found)}" if found else ""
