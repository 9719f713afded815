"""A DuckDB session over the Silver files of a work item. The session shows what was known of the files as of a date."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date

from propensity.features.domain.columns import expression, indicator, known_column, known_value
from propensity.kernel.errors import PackError, SqlError
from propensity.kernel.sql_text import instant, midnight, quote, text
from propensity.lake.domain.as_of_views import (
    SilverShape,
    arrived_rows,
    as_of_rows,
    history_rows,
    known_rows,
    newest_row,
    outcome_rows,
)
from propensity.lake.domain.run_records import ItemSource
from propensity.lake.session import silver_views
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.feature_spec import FeatureGroup
from propensity.pack.domain.query_guard import escapes, tables_read
from propensity.ports import ObjectStore, Sql


class SilverSession:
    """Runs a definition's queries as of the date that `cut` sets. Each file is downloaded once.

    Each table that queries may name is cut from Silver the first time that a query uses it. The table is then kept,
    because about ten queries of one date read it. A query that fails, or that names any other table, raises PackError
    naming the query.
    """

    def __init__(
        self,
        sql: Sql,
        lake: ObjectStore,
        sources: Mapping[str, ItemSource],
        definition: Definition,
        tenant: str | None = None,
    ) -> None:
        """Open the session. With `tenant`, the session holds that tenant's rows only."""
        self.sql = sql
        self._definition = definition
        sql.execute("create schema if not exists outcome; create schema if not exists history")
        self._shapes = silver_views(sql, lake, sources, tenant)
        self._reads = check_definition(sql, definition, self._shapes)
        self._rows: dict[tuple[str, str], str] = {}
        self._made: set[tuple[str, str]] = set()

    def cut(self, as_of: date) -> None:
        """Set the as-of date of all queries from now on, and make table `population` as of it."""
        self.sql.execute(f"create or replace macro as_of() as timestamp {text(str(midnight(as_of)))}")
        self._forget(self._made)
        self._rows = {}
        for dataset, shape in self._shapes.items():
            source = f"silver.{quote(dataset)}"
            self._rows["", dataset] = as_of_rows(shape, source, as_of)
            if shape.kind == "state":
                self._rows["history", dataset] = history_rows(shape, source, as_of)
        model = self._definition.model
        self._table("population", model.population.sql, f"model {model.name}, population")
        if self._definition.entity != "customer_id":
            # a pack's SQL names the customer's column by the pack's own name for it
            entity = quote(self._definition.entity)
            self.sql.execute(
                f"create or replace temp table population as select *, customer_id as {entity} from population"
            )

    def features(self, table: str) -> None:
        """Make a table with one row per customer of the population: tenant_id, customer_id and the matrix, float32.

        A customer for whom a group's SQL gives no row gets the defaults. A feature with a default also has a boolean
        column, named by `known_column`, which says whether the feature's value was known.
        """
        joined, columns = "population p", []
        for group in self._definition.groups:
            name = f"group_{group.group}"
            self._table(name, group.sql, f"feature group {group.group}", group)
            joined += f" left join {quote(name)} using (tenant_id, customer_id)"
            for feature in group.features:
                columns.append(f"{expression(feature)} as {quote(feature.name)}")
                if feature.missing_indicator:
                    columns.append(f"{indicator(feature)} as {quote(feature.indicator.name)}")
                if feature.default is not None:
                    columns.append(f"{known_value(feature)} is not null as {quote(known_column(feature))}")
        try:
            self.sql.execute(
                f"create or replace temp table {quote(table)} as "
                f"select p.tenant_id, p.customer_id, {', '.join(columns)} from {joined}"
            )
        except SqlError as error:
            raise PackError(self._not_numbers() or f"features of the model: {error}") from error

    def _not_numbers(self) -> str:
        """Say which features their groups' SQL gives as something that is no number; empty where there are none."""
        found = []
        for group in self._definition.groups:
            described = self.sql.rows(f"describe {quote(f'group_{group.group}')}")
            kinds = {str(row[0]): str(row[1]) for row in described}
            found += [
                f"feature group {group.group}: {feature.name} is {kinds[feature.name]}, expected a number; cast it in "
                f"features/{group.group}.sql, or give it dtype category"
                for feature in group.features
                if feature.dtype != "category"
                and kinds[feature.name].startswith(("VARCHAR", "DATE", "TIME", "INTERVAL"))
            ]
        return "; ".join(found)

    def newest(self, as_of: date) -> dict[str, tuple[str | None, str | None]]:
        """The newest rows per dataset, as of a day: when one last happened or began, and when one last became known."""
        return {
            dataset: self.sql.rows(newest_row(shape, f"silver.{quote(dataset)}", as_of))[0]
            for dataset, shape in sorted(self._shapes.items())
        }

    def arrived(self, as_of: date) -> dict[str, tuple[int, int]]:
        """The rows per dataset that features see as of a day, and how many of them had arrived by then."""
        return {
            dataset: self.sql.rows(arrived_rows(shape, f"silver.{quote(dataset)}", as_of))[0]
            for dataset, shape in sorted(self._shapes.items())
        }

    def slices(self, table: str) -> None:
        """Add a column per slice of the model to a table of features.

        A column is NULL where the slice's SQL gives no row.
        """
        model, joined, columns = self._definition.model, f"{quote(table)} f", []
        for part in model.slices:
            name = f"slice_{part.name}"
            self._table(name, part.sql, f"model {model.name}, slice {part.name}", others=["slice"])
            joined += f" left join {quote(name)} using (tenant_id, customer_id)"
            columns.append(f", {quote(name)}.slice::varchar as {quote(part.column)}")
        self.sql.execute(f"create or replace temp table {quote(table)} as select f.*{''.join(columns)} from {joined}")

    def outcomes(self, table: str, as_of: date, known_by: date | None) -> None:
        """Make a table of the customers that converted in the label window of `as_of`, as known before `known_by`."""
        self._forget({(schema, dataset) for schema, dataset in self._made if schema == "outcome"})
        model = self._definition.model
        window = model.label_window(as_of)
        for dataset, shape in self._shapes.items():
            if shape.kind == "event":
                source = f"silver.{quote(dataset)}"
                rows = outcome_rows(shape, source, start=window.start, end=window.end, known_by=known_by)
                self._rows["outcome", dataset] = rows
        self._table(table, model.target.sql, f"model {model.name}, target")

    def censored(self, table: str) -> None:
        """Make a table of the customers whose outcomes the model cannot see, in the window of the last `outcomes`."""
        model = self._definition.model
        self._customers(table, model.censored.sql, f"model {model.name}, censored")

    def treated(self, table: str) -> None:
        """Make a table of the customers that were under a campaign in the window of the last `outcomes`."""
        model = self._definition.model
        self._customers(table, model.treatment.sql if model.treatment else None, f"model {model.name}, treatment")

    def _customers(self, table: str, query: str | None, what: str) -> None:
        """Make a table of the customers that a query gives. The table is empty where there is no query."""
        if query is None:
            query = f"select null::varchar as tenant_id, null::varchar as {quote(self._definition.entity)} where false"
        self._table(table, query, what)

    def newest_events(self, until: date, *, before: date | None = None) -> dict[str, date]:
        """The day of each tenant's newest event before a day, as known by `until`, over all datasets of the session.

        The day is `before`, or `until` without one.
        """
        moment = instant(until)
        parts = [
            f"select tenant_id, _event_time from ({_known(shape, moment)}) "
            f"where _event_time < {instant(before or until)}{_not_taken_back(shape)}"
            for dataset, shape in self._shapes.items()
            if shape.kind == "event"
        ]
        if not parts:
            return {}
        found = self.sql.rows(
            f"select tenant_id, max(timezone('UTC', _event_time))::date from ({' union all '.join(parts)}) group by 1"
        )
        return dict(sorted(found))

    def filtered(self, table: str) -> None:
        """Make a table of the customers that the model's manual filter would choose, as of the last cut."""
        model = self._definition.model
        if model.filter is None:
            raise PackError(f"model {model.name}: has no filter")
        self._table(table, model.filter.sql, f"model {model.name}, filter")

    def segments(self, table: str) -> None:
        """Make a table of tenants and their segments, as of the last cut.

        It is empty where the model has no segments.
        """
        ladder, name = self._definition.model.ladder, self._definition.model.name
        self._make(f"model {name}, segment")
        query = ladder.segment.sql if ladder and ladder.segment else "select '' as tenant_id, '' as segment limit 0"
        try:
            self.sql.execute(
                f"create or replace temp table {quote(table)} as select tenant_id::varchar as tenant_id, "
                f"segment::varchar as segment from ({query.strip().rstrip(';')}) where segment is not null"
            )
        except SqlError as error:
            raise PackError(f"model {name}, segment: {error}; its SELECT must give tenant_id and segment") from error
        [(rows, tenants)] = self.sql.rows(f"select count(*), count(distinct tenant_id) from {quote(table)}")
        if rows != tenants:
            raise PackError(f"model {name}, segment: {rows} rows for {tenants} tenants; expected one row per tenant")

    def segments_on(self, day: date) -> dict[str, str]:
        """The segment of each tenant as of a day. A tenant without a segment is left out."""
        self.cut(day)
        self.segments("segments")
        return dict(self.sql.rows("select tenant_id, segment from segments order by tenant_id"))

    def _make(self, what: str) -> None:
        """Cut the tables that a query names, unless the tables are there already."""
        # `population` is among a query's tables, but it is not cut from a dataset
        for table in sorted((self._reads.get(what, set()) & self._rows.keys()) - self._made):
            self.sql.execute(f"create table {_name(*table)} as {self._rows[table]}")
            self._made.add(table)

    def _forget(self, tables: set[tuple[str, str]]) -> None:
        """Drop the tables of the last cut.

        A query of a table that is not cut anew must fail, not answer as of another day.
        """
        for table in tables:
            self.sql.execute(f"drop table {_name(*table)}")
        self._made -= tables

    def _table(
        self, table: str, query: str, what: str, group: FeatureGroup | None = None, others: Sequence[str] = ()
    ) -> None:
        """Make a table of a query's tenant_id, customer_id, and the features of `group` or the columns `others`.

        Raises PackError where the query fails, or gives a customer twice.
        """
        self._make(what)
        entity = quote(self._definition.entity)
        wanted = [quote(feature.name) for feature in group.features] if group else [quote(name) for name in others]
        try:
            self.sql.execute(
                f"create or replace temp table {quote(table)} as "
                f"select tenant_id, {entity} as customer_id {''.join(', ' + name for name in wanted)} "
                f"from ({query.strip().rstrip(';')})"
            )
        except SqlError as error:
            raise PackError(
                f"{what}: {error}; its SELECT must give tenant_id, {entity}, {', '.join(wanted)}"
            ) from error
        [(rows, people)] = self.sql.rows(
            f"select count(*), count(distinct (tenant_id, customer_id)) from {quote(table)}"
        )
        if rows != people:
            raise PackError(f"{what}: {rows} rows for {people} customers; expected one row per customer")


def check_definition(
    sql: Sql, definition: Definition, shapes: Mapping[str, SilverShape]
) -> dict[str, set[tuple[str, str]]]:
    """The tables that each query names, as (schema, name).

    Raises PackError for a query that is no single SELECT, or that reaches past the tables that are cut for it.
    """
    cut = {("", dataset) for dataset in shapes}
    cut |= {("history", dataset) for dataset, shape in shapes.items() if shape.kind == "state"}
    # only events have a label window: of a state, `outcome` would name a table that is never made
    outcomes = {("outcome", dataset) for dataset, shape in shapes.items() if shape.kind == "event"}
    population = {("", "population")}
    reads = {}
    for query in definition.queries():
        allowed = cut | (population if query.with_population else set()) | (outcomes if query.with_outcomes else set())
        [(answer,)] = sql.rows("select json_serialize_sql(?)", [query.sql])
        tree = json.loads(answer)
        if tree["error"]:
            raise PackError(f"{query.name}: {tree['error_message']}; expected one SELECT")
        found = escapes(tree, allowed)
        if found:
            listed = ", ".join(sorted(".".join(part for part in table if part) for table in allowed))
            raise PackError(
                f"{query.name}: names {', '.join(found)}; it may read {listed}, and take the date from as_of()"
                f"{_no_outcomes(found, shapes)}"
            )
        reads[query.name] = tables_read(tree, allowed)
    return reads


def _no_outcomes(found: Sequence[str], shapes: Mapping[str, SilverShape]) -> str:
    """Say which of the names are outcomes of states, which no query has."""
    states = [name for name, shape in shapes.items() if shape.kind == "state" and f"outcome.{name}" in found]
    listed = ", ".join(states)
    return f"; a state dataset has no outcomes ({listed}): read history.{states[0]}" if states else ""


def _name(schema: str, dataset: str) -> str:
    return f"{schema}.{quote(dataset)}" if schema else quote(dataset)


def _known(shape: SilverShape, moment: str) -> str:
    return known_rows(shape, f"silver.{quote(shape.dataset)}", known_before=moment, valid_before=None)


def _not_taken_back(shape: SilverShape) -> str:
    if not shape.retracted:
        return ""
    return f" and _content_id not in ({', '.join(text(content_id) for content_id, _ in shape.retracted)})"
