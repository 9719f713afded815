"""The parts of a query that read more than one tenant's rows, by its syntax tree, in the words of the query itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

TENANT = "tenant_id"


def wide_reads(tree: Mapping[str, Any], sql: str, key: Collection[str] = (TENANT,)) -> list[str]:
    """What each part of a query reads of others, and what to do.

    For example: `(select count(*) from orders) counts other tenants' rows; correlate by tenant_id`.

    `tree` is the parsed answer of json_serialize_sql for `sql`. `key` holds the columns that keep rows apart. A part is
    a subquery that never names all of them, a window that is not partitioned by them, a join that does not compare
    them, or a CTE that never names them. This is a reading of the text, and proves nothing: it says where to look.
    """
    text = sql.encode()
    found = []
    for what, node in _parts(tree, {column.casefold() for column in key}):
        start, length = int(node.get("query_location") or 0), int(node.get("query_location_length") or 0)
        part = " ".join(text[start : start + length].decode(errors="replace").split()) if length else ""
        found.append(f"{part} {what}".strip())
    return list(dict.fromkeys(found))


def _parts(node: Any, key: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, list):
        for child in node:
            yield from _parts(child, key)
        return
    if not isinstance(node, Mapping):
        return
    columns = ", ".join(sorted(key))
    if node.get("class") == "SUBQUERY" and not key <= _columns(node):
        yield f"counts other tenants' rows; correlate by {columns}", node
    elif node.get("class") == "WINDOW" and not key <= _columns(node.get("partitions")):
        yield f"counts other tenants' rows; partition by {columns}", node
    elif node.get("type") == "JOIN" and not _keyed(node, key):
        yield f"joins other tenants' rows; join on {columns}, too", node
    for cte in (node.get("cte_map") or {}).get("map", ()):
        if not key <= _columns(cte["value"]):
            yield f"{cte['key']} reads other tenants' rows; group by {columns}", {}
    for value in node.values():
        yield from _parts(value, key)


def _keyed(join: Mapping[str, Any], key: set[str]) -> bool:
    """Whether a join compares the key's columns, or says that it takes what a WHERE clause compares."""
    if str(join.get("ref_type")) in {"CROSS", "NATURAL", "POSITIONAL"}:
        return False
    using = {str(column).casefold() for column in join.get("using_columns") or ()}
    return key <= using | _columns(join.get("condition"))


def _columns(node: Any) -> set[str]:
    """The last names of all column references below a node, in lower case, those of a JOIN's USING among them."""
    found: set[str] = set()
    if isinstance(node, Mapping):
        if node.get("class") == "COLUMN_REF":
            found.add(str(node["column_names"][-1]).casefold())
        found |= {str(column).casefold() for column in node.get("using_columns") or ()}
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            found |= _columns(child)
    return found
