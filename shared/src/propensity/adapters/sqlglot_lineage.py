"""The QueryLineage port over sqlglot, in DuckDB's dialect. Names are resolved against the views a query may read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope, find_all_in_scope
from sqlglot.schema import MappingSchema

from propensity.kernel.errors import PackError
from propensity.kernel.lineage import POPULATION, Lineage

_DIALECT = "duckdb"
_PLAIN = "main"  # views that are named without a schema get this one
_ROW_CLAUSES = ("where", "group", "having", "qualify", "order", "limit", "offset", "distinct")


class SqlglotLineage:
    def trace(
        self, query: str, tables: Mapping[str, Sequence[str]], keys: Collection[str], *, what: str
    ) -> Mapping[str, Lineage]:
        known = ", ".join(sorted(tables))
        try:
            parsed, schema = parse_one(query, dialect=_DIALECT), _schema(tables)
            if not isinstance(parsed, exp.Query):
                raise PackError(f"{what}: no SELECT; its lineage cannot be told")
            unknown = sorted(_named(parsed) - set(tables))
            if unknown:
                raise PackError(f"{what}: no table {', '.join(unknown)}; its lineage is told from columns of {known}")
            tree = qualify(parsed, dialect=_DIALECT, schema=schema, db=_PLAIN, identify=False)
            root = build_scope(tree)
            if root is None or not isinstance(tree, exp.Query):
                raise PackError(f"{what}: no SELECT; its lineage cannot be told")
            tracer = _Tracer(root, schema)
            return {name: tracer.trace(name, root).lineage(keys) for name in tree.named_selects}
        except SqlglotError as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise PackError(f"{what}: {reason}; its lineage is told from columns of {known}") from error

    def formatted(self, query: str) -> str:
        try:
            return parse_one(query, dialect=_DIALECT).sql(dialect=_DIALECT, pretty=True, comments=False)
        except SqlglotError as error:
            raise PackError(f"cannot be read as SQL: {str(error).splitlines()[0]}") from error


def _named(parsed: exp.Query) -> set[str]:
    """The tables that a query names. The query's CTEs are not among them."""
    root = build_scope(parsed)
    found = {table for scope in (root.traverse() if root else ()) for table in _tables(scope)}
    return {f"{view}.{name}" if view else name for view, name in found}


def _schema(tables: Mapping[str, Sequence[str]]) -> MappingSchema:
    schema = MappingSchema(dialect=_DIALECT)
    for name, columns in tables.items():
        view, _, dataset = name.rpartition(".")
        schema.add_table(exp.table_(dataset, db=view or _PLAIN), dict.fromkeys(columns, "unknown"))
    return schema


@dataclass(slots=True)
class _Found:
    """The sources that were found for one column, or for the rows of one SELECT.

    A source column is (view, dataset, column).
    """

    columns: set[tuple[str, str, str]] = field(default_factory=set)
    conditions: set[tuple[str, str, str]] = field(default_factory=set)
    tables: set[tuple[str, str]] = field(default_factory=set)
    pieces: set[str] = field(default_factory=set)

    def decided_by(self, other: _Found) -> None:
        """Note that `other` chooses the rows of this one. The columns of `other` become conditions, not values."""
        self.conditions |= other.columns | other.conditions
        self.pieces |= other.pieces

    def lineage(self, keys: Collection[str]) -> Lineage:
        tables = {dataset for _, dataset in self.tables} | {dataset for _, dataset, _ in self.columns}
        return Lineage(
            columns=_names(self.columns, keys),
            conditions=_names(self.conditions - self.columns, keys),
            datasets=tuple(sorted(tables - {POPULATION})),
            pieces=tuple(sorted(self.pieces)),
        )


def _names(sources: Iterable[tuple[str, str, str]], keys: Collection[str]) -> tuple[str, ...]:
    names = {
        f"{dataset}.{column}" if view == _PLAIN else f"{view}.{dataset}.{column}"
        for view, dataset, column in sources
        if dataset != POPULATION and column not in keys
    }
    return tuple(sorted(names))


class _Tracer:
    """Traces the columns of one qualified query. Each column of each of its SELECTs is traced once."""

    def __init__(self, root: Scope, schema: MappingSchema) -> None:
        self._root, self._schema = root, schema
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._columns: dict[tuple[int, str], _Found] = {}
        self._rows: dict[int, _Found] = {}

    def trace(self, name: str, scope: Scope) -> _Found:
        key = id(scope.expression), name
        if key not in self._columns:
            # the entry is stored before it is filled, because a recursive query comes back to it
            found = self._columns[key] = _Found()
            for node in self._nodes(name, scope):
                self._add(found, node)
        return self._columns[key]

    def _nodes(self, name: str, scope: Scope) -> Iterator[Node]:
        """The lineage of a column's values by sqlglot: a node for each SELECT on the way, and for each table column."""
        node: Node = lineage(
            name, scope.expression, self._schema, dialect=_DIALECT, scope=scope, trim_selects=False, copy=False
        )
        return node.walk()

    def _add(self, found: _Found, node: Node) -> None:
        if isinstance(node.expression, exp.Table):
            table = node.expression
            found.columns.add((table.db, table.name, node.name.rpartition(".")[2]))
            return
        if isinstance(node.source, exp.SetOperation):
            found.pieces.add(_kind(node.source))  # the SELECTs on both sides are nodes of their own
            return
        scope = self._scopes.get(id(node.source))
        if isinstance(node.expression, exp.Placeholder) or scope is None or not isinstance(node.source, exp.Select):
            return  # such a column is made of no table, for example by unnest() of a list
        found.pieces.add(_text(node.expression))
        used = {column.table for column in _columns(node.expression)}
        if not used and not node.expression.find(exp.Query):
            found.tables |= _tables(scope)  # the rows of the table are counted
        found.decided_by(self._rows_of(scope, used))

    def _rows_of(self, scope: Scope, used: Collection[str]) -> _Found:
        """The parts that decide which rows a SELECT has, and how the rows are grouped.

        `used` has the tables that a column is made of.
        """
        found, query = _Found(), scope.expression
        if not isinstance(query, exp.Select):
            return found
        clauses = [query.args[name] for name in _ROW_CLAUSES if query.args.get(name)]
        if query.args.get("distinct") or (query.args.get("group") and query.args["group"].args.get("all")):
            clauses += [item for item in query.selects if item.find(exp.Column) and not item.find(exp.AggFunc)]
        joins = self._joins(scope, {*used, *(column.table for clause in clauses for column in _columns(clause))})
        clauses += [join.args["on"] for join in joins if join.args.get("on")]
        found.pieces |= {f"{join.alias_or_name}: {join.side} {join.kind} join" for join in joins}
        for clause in clauses:
            found.pieces.add(_text(clause))
            for column in _columns(clause):
                found.decided_by(self._source(column, scope))
        start = [query.args["from_"]] if query.args.get("from_") else []
        for name in (item.alias_or_name for item in (*start, *joins)):
            source = scope.sources.get(name)
            if isinstance(source, Scope):
                found.decided_by(self._rows_once(source))
            elif isinstance(source, exp.Table):
                found.pieces.add(f"from {source.db}.{source.name}")
        shown = {id(node) for item in query.selects for node in item.walk()}
        for inner in scope.subquery_scopes:
            if id(inner.expression) not in shown and isinstance(inner.expression, exp.Query):
                for name in inner.expression.named_selects:
                    found.decided_by(self.trace(name, inner))
        return found

    def _joins(self, scope: Scope, named: Collection[str]) -> list[exp.Join]:
        """The joins that can change a column.

        The outermost SELECT has one row per customer, whatever it joins. So a LEFT JOIN there cannot change a column
        where neither the column nor a clause names the joined table.
        """
        query = scope.expression
        outermost = scope is self._root and not query.args.get("group")
        joins = query.args.get("joins") or ()
        return [join for join in joins if not (outermost and join.side == "LEFT" and join.alias_or_name not in named)]

    def _rows_once(self, scope: Scope) -> _Found:
        key = id(scope.expression)
        if key not in self._rows:
            self._rows[key] = _Found()
            if isinstance(scope.expression, exp.SetOperation):
                self._rows[key].pieces.add(_kind(scope.expression))
            for part in scope.set_operation_scopes or [scope]:
                self._rows[key].decided_by(self._rows_of(part, ()))
        return self._rows[key]

    def _source(self, column: exp.Column, scope: Scope) -> _Found:
        """The source that a column of a clause comes from."""
        source = scope.sources.get(column.table)
        if isinstance(source, Scope):
            return self.trace(column.name, source)
        if isinstance(source, exp.Table):
            return _Found(columns={(source.db, source.name, column.name)})
        return _Found()


def _kind(operation: exp.SetOperation) -> str:
    return f"{operation.key}{'' if operation.args.get('distinct') else ' all'}"


def _columns(node: exp.Expr) -> list[exp.Column]:
    """The columns of a clause or an expression, without the columns of the queries inside it."""
    return list(find_all_in_scope(node, exp.Column))


def _tables(scope: Scope) -> set[tuple[str, str]]:
    """The tables below a SELECT."""
    return {(table.db, table.name) for part in scope.traverse() for table in part.tables if not _is_cte(table, part)}


def _is_cte(table: exp.Table, scope: Scope) -> bool:
    return isinstance(scope.sources.get(table.alias_or_name), Scope)


def _text(node: exp.Expr) -> str:
    return node.sql(dialect=_DIALECT, comments=False)
