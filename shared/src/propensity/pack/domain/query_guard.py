"""What a pack's SQL may touch: what was cut for it, and nothing else.

It keeps the future out only of those who go through it. So each query's syntax tree, as DuckDB's own parser gives it
(`json_serialize_sql`), is held against what it may name before it runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

# tables out of their arguments alone
_TABLE_FUNCTIONS = {"unnest", "range", "generate_series"}
# clocks, chance, and the engine's surroundings: another answer tomorrow, or more than the views
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
# these may be written without parentheses, and then look like columns
_BARE = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


def escapes(tree: Mapping[str, Any], tables: Collection[tuple[str, str]]) -> list[str]:
    """What a query names beyond `tables`, (schema, name) pairs with schema '' for a date's rows; sorted, once each.

    `tree`: the parsed answer of json_serialize_sql.
    """
    return sorted(set(_found(tree, frozenset(), {_folded(one) for one in tables})))


def tables_read(tree: Mapping[str, Any], tables: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of `tables` that a query names; a CTE of the same name counts as naming it."""
    found = set(_named(tree))
    return {table for table in tables if _folded(table) in found}


def _named(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        if node.get("type") == "BASE_TABLE":
            yield _folded((str(node.get("schema_name") or ""), str(node["table_name"])))
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from _named(one)


def _folded(table: tuple[str, str]) -> tuple[str, str]:
    return table[0].casefold(), table[1].casefold()


def _found(node: Any, ctes: frozenset[str], tables: Collection[tuple[str, str]]) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _found(one, ctes, tables)
        return
    if not isinstance(node, Mapping):
        return
    ctes |= {str(one["key"]).casefold() for one in (node.get("cte_map") or {}).get("map", ())}
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
    own = not catalog and not schema and name.casefold() in ctes
    if not own and (catalog or (schema.casefold(), name.casefold()) not in tables):
        yield ".".join(part for part in (catalog, schema, name) if part)
