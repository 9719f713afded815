"""Keeps a pack's SQL to the tables that were cut as of the date.

A table that was cut has no row from after the date, but a query could name other tables or clocks. So before a query
runs, its syntax tree is checked for the names in it. DuckDB's own parser gives the tree (`json_serialize_sql`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

# these functions make a table of their arguments, and read nothing else
_TABLE_FUNCTIONS = {"unnest", "range", "generate_series"}
# clocks, chance and the engine's surroundings are refused. They answer otherwise tomorrow, or show more than the tables
_FUNCTIONS = {
    "now",
    "today",
    "current_date",
    "current_time",
    "current_timestamp",
    "get_current_time",
    "get_current_timestamp",
    "localtime",
    "localtimestamp",
    "current_localtime",
    "current_localtimestamp",
    "transaction_timestamp",
    "random",
    "setseed",
    "uuid",
    "uuidv4",
    "uuidv7",
    "gen_random_uuid",
    "nextval",
    "currval",
    "getenv",
    "getvariable",
    "current_setting",
    "txid_current",
    "query",
    "query_table",
}
# these functions may be written without parentheses, and then the tree has them as columns
_BARE = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


def escapes(tree: Mapping[str, Any], tables: Collection[tuple[str, str]]) -> list[str]:
    """The names that a query uses beyond `tables` and the allowed functions, sorted and without repetition.

    `tables` holds (schema, name), with schema '' for rows as of the date. `tree` is the parsed answer of
    json_serialize_sql.
    """
    return sorted(set(_found(tree, frozenset(), {_folded(table) for table in tables})))


def tables_read(tree: Mapping[str, Any], tables: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """The tables of `tables` that a query names. A CTE that has a table's name counts as that table."""
    named = set(_named(tree))
    return {table for table in tables if _folded(table) in named}


def _named(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        if node.get("type") == "BASE_TABLE":
            yield _folded((str(node.get("schema_name") or ""), str(node["table_name"])))
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _named(child)


def _folded(table: tuple[str, str]) -> tuple[str, str]:
    return table[0].casefold(), table[1].casefold()


def _found(node: Any, ctes: frozenset[str], tables: Collection[tuple[str, str]]) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _found(child, ctes, tables)
        return
    if not isinstance(node, Mapping):
        return
    ctes |= {str(cte["key"]).casefold() for cte in (node.get("cte_map") or {}).get("map", ())}
    kind = node.get("type")
    if node.get("sample"):
        yield "a sample"
    if node.get("at_clause"):
        yield "another version (at)"
    if node.get("class") == "FUNCTION" and node.get("function_name") == "age" and len(node.get("arguments", ())) == 1:
        yield "age() of one argument, which is from today"
    if kind == "BASE_TABLE":
        yield from _table(node, ctes, tables)
    elif kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name", "")).casefold()
        if name not in _TABLE_FUNCTIONS:
            yield f"{name}()"
    elif kind == "SHOW_REF":
        yield "describe or summarize"
    elif node.get("class") == "FUNCTION" and str(node.get("function_name")).casefold() in _FUNCTIONS:
        yield f"{node['function_name']}()"
    elif kind == "COLUMN_REF" and len(node["column_names"]) == 1 and node["column_names"][0].casefold() in _BARE:
        yield str(node["column_names"][0])
    for value in node.values():
        yield from _found(value, ctes, tables)


def _table(node: Mapping[str, Any], ctes: frozenset[str], tables: Collection[tuple[str, str]]) -> Iterator[str]:
    catalog, schema, name = (str(node.get(part) or "") for part in ("catalog_name", "schema_name", "table_name"))
    is_cte = not catalog and not schema and name.casefold() in ctes
    if not is_cte and (catalog or (schema.casefold(), name.casefold()) not in tables):
        yield ".".join(part for part in (catalog, schema, name) if part)
